"""Autoencoders, plain and variational: against sums, torch.distributions, and a case whose likelihood is known exactly."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, MultivariateNormal, Normal, kl_divergence

from gradus.errors import UserError
from gradus.models import MODELS, create_model
from gradus.models.generative.vae import VariationalAutoencoder

BOOK = {"widths": (32, 64, 64, 64), "strides": (1, 2, 1, 1), "up_widths": (32,), "hidden": (32,)}
SMALL = {"image_size": 6, "hidden": (8,)}


def pictures(rows: int = 5, side: int = 6, channels: int = 1, seed: int = 0) -> Tensor:
    return torch.rand(rows, channels, side, side, generator=torch.Generator().manual_seed(seed))


def count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("conv_vae", {}, 134_165),  # 69 076 + 65 089, keras.io
        ("conv_vae", BOOK, 550_629),  # 494 244 + 56 385, Deep Learning with Python §8.4
        ("dense_vae", {}, 784 * 400 + 400 + 2 * (400 * 20 + 20) + 20 * 400 + 400 + 400 * 784 + 784),
        ("dense_autoencoder", {"hidden": (1000, 500, 250), "code_size": 30}, 2_837_314),
    ],
)
def test_networks_have_the_printed_numbers_of_parameters(name, options, parameters):
    with torch.device("meta"):
        assert count(create_model(name, **options)) == parameters


def test_an_encoder_and_its_decoder_are_the_printed_ones():
    model = create_model("conv_vae", **BOOK)
    heads = count(model.mean) + count(model.log_variance)
    assert (count(model.encoder) + heads, count(model.decoder)) == (494_244, 56_385)


@pytest.mark.parametrize("side", [7, 9, 10])
@pytest.mark.parametrize("name", ["conv_vae", "conv_autoencoder", "dense_vae", "dense_autoencoder"])
def test_pictures_of_any_side_come_back(name, side):
    model = create_model(name, in_channels=3, image_size=side)
    found = model(pictures(2, side, 3))
    assert found.made.shape == (2, 3, side, side) and found.loss.shape == (2,)
    drawn = model.draw(4, torch.Generator().manual_seed(0))
    assert model.generate(drawn).shape == (4, 3, side, side)
    assert model.encode(pictures(2, side, 3)).shape == (2, drawn.shape[1])


def test_what_a_vae_tells_is_that_of_the_distributions():
    torch.manual_seed(0)
    model, given = create_model("dense_vae", latent_size=3, beta=4.0, **SMALL), pictures()
    mean, log_variance = model.posterior(given)
    torch.manual_seed(1)
    latents = Normal(mean, (log_variance / 2).exp()).loc + (log_variance / 2).exp() * torch.randn_like(mean)
    torch.manual_seed(1)
    found = model(given)
    surprise = -Bernoulli(logits=model.decoder(latents), validate_args=False).log_prob(given).flatten(1).sum(dim=1)
    divergence = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(found.parts["reconstruction"], surprise)
    torch.testing.assert_close(found.parts["kl"], divergence)
    torch.testing.assert_close(found.loss, surprise + 4 * divergence)
    torch.testing.assert_close(found.parts["elbo"], -(surprise + divergence))


def latents_of(model: VariationalAutoencoder, given: Tensor) -> Tensor:
    seen = []
    handle = model.decoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model(given)
    handle.remove()
    return seen[0].detach()


def test_the_deviation_is_the_root_of_the_variance():
    """Deep Learning with Python, listing 8-23: exp(log_variance) as deviation would give 4 here."""
    model = create_model("dense_vae", latent_size=1, **SMALL)
    with torch.no_grad():
        for layer, bias in ((model.mean, 0.0), (model.log_variance, math.log(4))):
            layer.weight.zero_()
            layer.bias.fill_(bias)
    torch.manual_seed(0)
    drawn = latents_of(model, pictures(4000))
    assert float(drawn.std()) == pytest.approx(2, rel=0.05)


def test_the_printed_loss_is_another_one():
    """Deep Learning with Python, listing 8-25: means in place of sums. Times 784 its divergence weighs 0.392, not 1."""
    torch.manual_seed(0)
    model, given = create_model("dense_vae", image_size=28, latent_size=2, hidden=(8,)), pictures(4, 28)
    found = model(given)
    mean, log_variance = (value.detach().numpy() for value in model.posterior(given))
    made, real = found.made.detach().numpy(), given.numpy()
    entropy = -(real * np.log(made) + (1 - real) * np.log(1 - made)).mean()
    printed = entropy - 5e-4 * (1 + log_variance - mean**2 - np.exp(log_variance)).mean()
    reconstruction, divergence = (found.parts[name].mean().item() for name in ("reconstruction", "kl"))
    assert 784 * printed == pytest.approx(reconstruction + 0.392 * divergence, rel=1e-5)
    assert found.loss.mean().item() == pytest.approx(reconstruction + divergence, rel=1e-5)


class LinearGaussian:
    """x = W z + b + noise: a dense_vae without hidden layers. Its columns are at right angles, so the exact q is diagonal."""

    def __init__(self, log_variance_off: float = 0.0, samples: int = 1) -> None:
        deviation = 0.5
        self.model = create_model(
            *("dense_vae",),
            image_size=2,
            hidden=(),
            latent_size=2,
            likelihood="gaussian",
            deviation=deviation,
            samples=samples,
        ).double()
        weight = torch.tensor([[1.0, 0.5], [1.0, -0.5], [-1.0, 0.5], [1.0, 0.5]]).double()
        bias = torch.tensor([0.1, 0.2, 0.3, 0.4]).double()
        assert float(weight[:, 0] @ weight[:, 1]) == 0
        variance = 1 / (1 + (weight**2).sum(dim=0) / deviation**2)
        read = variance[:, None] * weight.T / deviation**2
        with torch.no_grad():
            self.model.mean.weight.copy_(read)
            self.model.mean.bias.copy_(-read @ bias)
            self.model.log_variance.weight.zero_()
            self.model.log_variance.bias.copy_(variance.log() + log_variance_off)
            last = self.model.decoder.layers[0]
            last.weight.copy_(weight)
            last.bias.copy_(bias)
        covariance = weight @ weight.T + deviation**2 * torch.eye(4).double()
        self.given = torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(3)).double()
        self.exact = MultivariateNormal(bias, covariance).log_prob(self.given.flatten(1))


def test_every_bound_is_the_likelihood_where_q_is_exact():
    case = LinearGaussian()
    torch.manual_seed(0)
    weights = case.model.log_weights(case.given, 3)
    torch.testing.assert_close(weights, case.exact.expand(3, 6))  # whatever the latents
    with torch.no_grad():
        each = case.model(case.given.repeat(2000, 1, 1, 1)).parts["elbo"].view(2000, 6)
    torch.testing.assert_close(each.mean(dim=0), case.exact, atol=0.1, rtol=0)
    assert float(each.std(dim=0).min()) > 0.1  # with the divergence exact, one latent is an estimate


def test_more_samples_come_nearer_to_the_likelihood():
    off = 1.2  # q is too wide: the elbo lies KL(q || exact q) below
    case = LinearGaussian(log_variance_off=off)
    gap = 2 * 0.5 * (math.exp(off) - 1 - off)
    torch.manual_seed(0)
    with torch.no_grad():
        weights = case.model.log_weights(case.given, 40_000)
    torch.testing.assert_close(weights.mean(dim=0), case.exact - gap, atol=0.03, rtol=0)
    bounds = [(weights.view(-1, size, 6).logsumexp(dim=1) - math.log(size)).mean(dim=0) for size in (1, 5, 50, 40_000)]
    for lower, upper in pairwise(bounds):
        assert bool((lower < upper).all())
    torch.testing.assert_close(bounds[-1], case.exact, atol=0.02, rtol=0)


def test_the_importance_weighted_loss_is_that_bound():
    case = LinearGaussian(samples=7)
    found = case.model(case.given)
    torch.testing.assert_close(found.loss, -case.exact)
    torch.testing.assert_close(found.parts["bound"], case.exact)


def test_a_learnt_deviation_finds_that_of_the_noise():
    torch.manual_seed(0)
    model = create_model(
        "dense_vae", latent_size=1, likelihood="gaussian", deviation=1.0, learn_deviation=True, **SMALL
    )
    given = 0.5 + 0.2 * torch.randn(256, 1, 6, 6)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.04)
    for _ in range(100):
        optimizer.zero_grad()
        model(given).loss.mean().backward()
        optimizer.step()
    assert float(model.log_deviation.detach().exp()) == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("name", ["conv_vae", "dense_vae"])
def test_classes_are_told_to_both_sides(name):
    torch.manual_seed(0)
    model, given = create_model(name, image_size=8, num_classes=3), pictures(4, 8)
    ones, twos = torch.ones(4, dtype=torch.long), torch.full((4,), 2)
    assert model((given, ones)).loss.shape == (4,)
    assert not torch.equal(model.encode(given, ones), model.encode(given, twos))
    latents = model.draw(4, torch.Generator())
    assert not torch.equal(model.generate(latents, ones), model.generate(latents, twos))
    weights = model.log_weights((given, twos), 2)
    torch.manual_seed(0)
    assert weights.shape == (2, 4)
    with pytest.raises(UserError, match="told the class"):
        model(given)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("conv_vae", {"widths": (4, 4), "strides": (2,)}, "strides: expected 2, one for each"),
        ("conv_vae", {"widths": (4,), "strides": (3,)}, "strides: expected 1 or 2"),
        ("conv_vae", {"widths": (), "strides": ()}, "dense_vae has none"),
        ("conv_vae", {"up_widths": (4,)}, "up_widths: expected 2"),
        ("dense_vae", {"hidden": (0,)}, "hidden: expected whole numbers"),
        ("dense_vae", {"likelihood": "poisson"}, "bernoulli or gaussian, received 'poisson'"),
        ("dense_vae", {"learn_deviation": True}, "only a gaussian"),
        ("dense_vae", {"samples": 5, "beta": 2.0}, "which has no beta"),
        ("dense_autoencoder", {"noise": "salt"}, "none, masking, gaussian or salt-and-pepper, received 'salt'"),
        ("dense_autoencoder", {"noise": "masking", "noise_level": 2}, "a share is in 0..1"),
    ],
)
def test_mistakes_are_told(name, options, told):
    with pytest.raises(UserError, match=told.replace(".", r"\.")):
        create_model(name, **options)


def test_a_sparse_code_costs_what_the_notes_say():
    torch.manual_seed(0)
    given = pictures(6)
    model = create_model("dense_autoencoder", code_size=4, sparsity="kl", target=0.1, sparsity_weight=3.0, **SMALL)
    found, codes = model(given), model.encode(given)
    crowding = kl_divergence(Bernoulli(torch.full((4,), 0.1)), Bernoulli(codes.mean(dim=0))).sum()
    torch.testing.assert_close(found.loss, found.parts["reconstruction"] + 3 * crowding)
    model = create_model("dense_autoencoder", code_size=4, sparsity="l1", sparsity_weight=0.5, **SMALL)
    found, codes = model(given), model.encode(given)
    assert float(codes.detach().min()) >= 0
    torch.testing.assert_close(found.loss, found.parts["reconstruction"] + 0.5 * codes.sum(dim=1))


def test_sparse_codes_become_sparse():
    torch.manual_seed(0)
    model = create_model("dense_autoencoder", code_size=16, sparsity="kl", sparsity_weight=10.0, **SMALL)
    given = pictures(64)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        model(given).loss.mean().backward()
        optimizer.step()
    assert float(model.encode(given).detach().mean()) == pytest.approx(0.05, abs=0.02)


def test_noise_is_of_its_kind_and_the_loss_is_against_the_whole_picture():
    torch.manual_seed(0)
    given = 0.25 + 0.5 * pictures(200, 6, 3)
    shares = {}
    for noise in ("masking", "gaussian", "salt-and-pepper"):
        model = create_model("dense_autoencoder", in_channels=3, noise=noise, noise_level=0.3, **SMALL)
        damaged = model.damage(given)
        shares[noise] = [float((damaged == value).float().mean()) for value in (0.0, 1.0)]
        if noise != "gaussian":
            spoilt = (damaged != given).float()
            assert torch.equal(spoilt.amin(dim=1), spoilt.amax(dim=1))  # a pixel's channels share its fate
    assert shares["masking"] == [pytest.approx(0.3, abs=0.02), 0]
    assert shares["salt-and-pepper"] == [pytest.approx(0.15, abs=0.02)] * 2
    assert float((damaged - given).abs().max()) > 0
    seen = []
    model.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    found = model.eval()(given)
    assert not torch.equal(seen[0], given)
    torch.testing.assert_close(found.parts["squared_error"], ((found.made - given) ** 2).flatten(1).mean(dim=1))


def test_what_is_drawn_has_mean_and_covariance_of_the_codes():
    torch.manual_seed(0)
    model, given = create_model("dense_autoencoder", code_size=3, **SMALL), pictures(400)
    model.train()
    model(given)
    model.eval()
    model(pictures(50, seed=9))  # evaluation is not remembered
    codes = model.encode(given).detach().numpy()
    drawn = model.draw(20_000, torch.Generator().manual_seed(0)).numpy()
    np.testing.assert_allclose(drawn.mean(axis=0), codes.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(codes.T), atol=0.02)
    mean, deviation = model.spread()
    np.testing.assert_allclose(mean, codes.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(deviation, codes.std(axis=0), atol=1e-4)


def test_the_page_has_every_network_with_its_parameters():
    page = (Path(__file__).parents[2] / "docs" / "autoencoders.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]* \| ([\d ]+) \|$", page, re.MULTILINE))
    ours = {
        name for name, (where, _) in MODELS.items() if where.startswith(("generative.vae:", "generative.autoencoder:"))
    }
    assert set(rows) == ours
    with torch.device("meta"):
        assert {name: int(told.replace(" ", "")) for name, told in rows.items()} == {
            name: count(create_model(name)) for name in rows
        }
