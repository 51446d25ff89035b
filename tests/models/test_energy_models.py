"""Machines with an energy: their slopes against the textbook's, their chains, what they are told and refuse."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from gradus.errors import UserError
from gradus.models import create_model
from gradus.models.generative.annealing import log_mean, log_mean_range, partition_weights, unnormalised_likelihoods
from gradus.reference import energy

TINY = {"image_size": 2, "hidden": 3}  # 4 visible units


def tiny(**options) -> torch.nn.Module:
    torch.manual_seed(0)
    model = create_model("rbm", **TINY, **options).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model.train()


def rows(count: int = 8, side: int = 2) -> Tensor:
    return torch.randint(0, 2, (count, 1, side, side), generator=torch.Generator().manual_seed(1)).double()


def parameters(model) -> energy.Parameters:
    return tuple(p.detach().numpy() for p in (model.weight, model.visible_bias, model.hidden_bias))


def slopes(model) -> list[np.ndarray]:
    return [p.grad.numpy() for p in (model.weight, model.visible_bias, model.hidden_bias)]


@pytest.fixture(autouse=True)
def in_double(monkeypatch):
    """Pictures are brought to float32; here to what the model computes in."""
    monkeypatch.setattr(Tensor, "float", lambda self: self)


@pytest.mark.parametrize("options", [{"steps": 1}, {"steps": 3}, {"chains": 5, "steps": 2}])
def test_the_slope_is_what_data_and_chain_show_together(options):
    """<v h>_data - <v h>_chain, at the very chain that was drawn; hidden units as chances where they are counted."""
    model, given = tiny(**options), rows()
    begin = model.chains.clone() if "chains" in options else given.flatten(1)
    torch.manual_seed(5)
    ends = model.gibbs(begin, options["steps"])
    torch.manual_seed(5)
    outcome = model(given)
    outcome.loss.mean().backward()
    w, b, c = parameters(model)
    data = given.flatten(1).numpy()
    assert outcome.loss.mean().item() == pytest.approx(energy.contrast(data, ends.numpy(), w, b, c))
    for one, other in zip(slopes(model), energy.contrast_backward(data, ends.numpy(), w, c), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    assert set(np.unique(ends.numpy())) <= {0, 1}  # states, no chances
    if "chains" in options:
        assert torch.equal(model.chains, ends)


def test_long_chains_give_the_slope_of_the_likelihood():
    model, given = tiny(chains=20_000, steps=30), rows()
    model(given).loss.mean().backward()
    exact = energy.rbm_log_likelihood_backward(given.flatten(1).numpy(), *parameters(model))
    for one, other in zip(slopes(model), exact, strict=True):
        np.testing.assert_allclose(one, -other, atol=0.015)


def test_chances_energy_and_pseudo_likelihood_are_those_of_the_reference():
    model, given = tiny().eval(), rows()
    w, b, c = parameters(model)
    data = given.flatten(1)
    np.testing.assert_allclose(model.free_energy(data).detach(), energy.free_energy(data.numpy(), w, b, c))
    np.testing.assert_allclose(model.hidden_chances(data).detach(), energy.hidden_chances(data.numpy(), w, c))
    total = np.zeros(len(data))  # of every pixel, by Bayes' rule over the two values it can have
    for pixel in range(4):
        flipped = data.clone()
        flipped[:, pixel] = 1 - flipped[:, pixel]
        here, there = (np.exp(-energy.free_energy(states.numpy(), w, b, c)) for states in (data, flipped))
        total -= np.log(here / (here + there))
    np.testing.assert_allclose(model(given).loss.detach(), total)


def test_pseudo_likelihood_is_that_of_scikit_learn():
    from sklearn.neural_network import BernoulliRBM

    model, given = tiny().eval(), rows(4000)
    other = BernoulliRBM(n_components=3, random_state=0)
    other.components_, other.intercept_visible_, other.intercept_hidden_ = (
        model.weight.detach().numpy().T,
        *parameters(model)[1:],
    )
    # scikit-learn asks one pixel of each row; ours all of these four
    assert -other.score_samples(given.flatten(1).numpy()).mean() == pytest.approx(
        model(given).loss.mean().item(), abs=0.1
    )


def test_of_large_pictures_the_pixels_asked_stand_for_all(monkeypatch):
    model, given = tiny().eval(), rows(4000)
    exact = model(given).loss.mean().item()
    monkeypatch.setattr("gradus.models.generative.machine.FEW_PIXELS", 0)
    assert model(given).loss.mean().item() == pytest.approx(exact, abs=0.05)


def test_gaussian_units_have_their_energy_and_their_scale():
    """E = |v - b|^2 / 2 - v W h - c h: the hidden units sum out in closed form."""
    model = tiny(visible="gaussian")
    pictures = torch.rand(50, 1, 2, 2, dtype=torch.float64) * 0.3 + 0.5
    model.fit_inputs(pictures)
    states = model.enter(pictures)
    assert states.mean().abs() < 1e-9 and states.std(dim=0).sub(1).abs().max() < 1e-9
    w, b, c = parameters(model)
    v = states.numpy()
    both = [0.5 * ((v - b) ** 2).sum(1) - v @ w @ h - h @ c for h in energy.all_states(3)]
    np.testing.assert_allclose(model.free_energy(states).detach(), -np.logaddexp.reduce(-np.array(both)))
    np.testing.assert_allclose(model.leave(states).numpy(), pictures.numpy())
    model(pictures).loss.mean().backward()


def test_the_visible_bias_begins_at_how_often_a_pixel_is_on():
    model = create_model("rbm", image_size=2, hidden=3, chains=4000).double()
    assert model.weight.std() < 0.03 and not model.hidden_bias.any()
    given = torch.tensor([0.0, 1, 0.5, 0.25], dtype=torch.float64).expand(1000, 4).reshape(-1, 1, 2, 2)
    model.fit_inputs(given)
    np.testing.assert_allclose(model.visible_bias.detach().sigmoid(), [0.001, 0.999, 0.5, 0.25], atol=0.001)
    np.testing.assert_allclose(model.chains.mean(dim=0), [0, 1, 0.5, 0.25], atol=0.04)


def test_sparsity_draws_units_to_the_wanted_share():
    given, shares = rows(64), []
    for options in ({"sparsity": 0.1, "sparsity_weight": 3.0}, {}):
        model = tiny(**options)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(200):
            optimizer.zero_grad()
            model(given).loss.mean().backward()
            optimizer.step()
        shares.append((model.hidden_chances(given.flatten(1)).mean(dim=0) - 0.1).abs().max().item())
    assert shares[0] < 0.05 < 0.2 < shares[1]


def conv(**options) -> torch.nn.Module:
    torch.manual_seed(0)
    model = create_model("conv_rbm", image_size=4, maps=1, kernel_size=3, sparsity=0.0, **options).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model


def test_a_block_is_a_choice_of_at_most_one_unit():
    """Free energy and chances against the five states of the one block, written out (Lee 2009, eq. 10)."""
    model, given = conv(), rows(5, 4)
    heard = model.heard(given).detach()  # (5, 1, 2, 2): one block
    weights = torch.cat([heard.flatten(1).exp(), torch.ones(5, 1)], dim=1)
    chances = weights / weights.sum(dim=1, keepdim=True)
    torch.testing.assert_close(model.hidden_chances(given).detach().flatten(1), chances[:, :4])
    torch.testing.assert_close(model.features(given).detach().flatten(1), 1 - chances[:, 4:])
    expected = -weights.sum(dim=1).log() - given.flatten(1).sum(dim=1) * model.visible_bias.detach()
    torch.testing.assert_close(model.free_energy(given).detach(), expected)
    drawn = model.sample_hidden(given[:1].expand(20_000, -1, -1, -1)).flatten(1)
    assert set(drawn.sum(dim=1).tolist()) == {0.0, 1.0}
    np.testing.assert_allclose(drawn.mean(dim=0), chances[0, :4], atol=0.015)


def test_what_a_visible_unit_hears_is_the_slope_of_what_hidden_units_hear():
    """One energy for both directions: the transposed convolution is the transpose of the convolution."""
    model = create_model("conv_rbm", in_channels=2, image_size=8, maps=3, kernel_size=3).double()
    v, h = torch.rand(4, 2, 8, 8).double(), torch.rand(4, 3, 6, 6).double()
    hears = (model.heard(v) * h).sum() - (model.hidden_bias[:, None, None] * h).sum()
    says = (model.said(h) * v).sum() - (model.bias_of_pixels() * v).sum()
    torch.testing.assert_close(hears, says)
    torch.testing.assert_close(model._maps(model._blocks(h)), h)


def test_the_machines_of_a_stack_learn_one_after_the_other():
    model = create_model("dbn", image_size=2, hidden=[3, 5, 2]).double().train()
    said = [model.begin_epoch(epoch, 6) for epoch in range(6)]
    assert [text for text in said if text] == [
        f"epoch {e}: machine {m} of 3 learns" for e, m in ((1, 1), (3, 2), (5, 3))
    ]
    model.begin_epoch(3, 6)
    assert model.layer == 1  # a function of the epoch alone, so that a run can be resumed
    outcome = model(rows())
    outcome.loss.mean().backward()
    assert {name.split(".")[1] for name, p in model.named_parameters() if p.grad is not None} == {"1"}
    torch.testing.assert_close(model.below(rows(), 1), model.layers[0].hidden_chances(rows().flatten(1)))
    assert model.begin_epoch(0, 1) and model.layer == 0
    assert model.eval()(rows()).made.shape == (8, 1, 2, 2)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("rbm", TINY),
        ("rbm", {**TINY, "visible": "gaussian"}),
        ("dbn", {"image_size": 2, "hidden": [3, 2]}),
        ("conv_rbm", {"image_size": 4, "maps": 2, "kernel_size": 3}),
        ("conv_dbn", {"image_size": 6, "maps": [2, 3], "kernel_size": [3, 1]}),
    ],
)
def test_the_same_seed_makes_the_same_pictures(name, options):
    model = create_model(name, **options, gibbs_steps=5).eval()
    side = options["image_size"]
    made = []
    for seed in (0, 0, 1):
        generator = torch.Generator().manual_seed(seed)
        made.append(model.generate(model.draw(6, generator), None, generator))
    assert made[0].shape == (6, 1, side, side) and torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])
    assert made[0].min() >= 0 and made[0].max() <= 1


def test_what_is_known_of_a_picture_is_kept_and_the_rest_follows_the_machine():
    """Two pixels that are always alike: one of them tells the other."""
    model = create_model("rbm", image_size=2, hidden=1).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[8.0], [8], [0], [0]]))
        model.visible_bias.copy_(torch.tensor([-4.0, -4, 0, 0]))
        model.hidden_bias.fill_(-8.0)
    given = torch.tensor([1.0, 0, 0, 0, 0, 1, 1, 1]).reshape(2, 1, 2, 2).double()
    known = torch.tensor([True, False, True, True]).reshape(1, 2, 2)
    filled = model.complete(given, known, 400, torch.Generator().manual_seed(0), kept=300)
    assert torch.equal(filled[:, known.expand(1, 2, 2)], given[:, known.expand(1, 2, 2)])
    assert filled[0, 0, 0, 1] > 0.8 and filled[1, 0, 0, 1] < 0.2


def test_averages_take_the_chains_with_them():
    model = create_model("rbm", **TINY, chains=3)
    assert "chains" in model.state_dict() and torch.equal(copy.deepcopy(model).chains, model.chains)


def test_a_classifier_begins_as_the_machines():
    stack = create_model("dbn", image_size=2, hidden=[3, 5])
    for parameter in stack.parameters():
        torch.nn.init.normal_(parameter)
    model = create_model("dbn_classifier", in_features=4, num_classes=2, hidden=[3, 5, 6])
    (note,) = model.load_backbone(stack.state_dict(), "here")
    assert note == "2 of 3 layers begin as machines of here; new: layer3, head"
    given = rows().to(torch.float32)
    torch.testing.assert_close(model.run(given, last="layer2"), stack.layers[1].hidden_chances(stack.below(given, 1)))
    one = create_model("rbm", image_size=2, hidden=3)
    assert model.load_backbone(one.state_dict(), "there")[0].startswith("1 of 3 layers")
    for weights, told in (
        (
            create_model("rbm", image_size=2, hidden=9).state_dict(),
            "its machine 1 is 4 -> 9, layer 1 of dbn_classifier 4 -> 3",
        ),
        (create_model("conv_rbm", image_size=4, maps=2, kernel_size=3).state_dict(), "no restricted Boltzmann machine"),
    ):
        with pytest.raises(UserError, match=told):
            model.load_backbone(weights, "x")


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("rbm", {"visible": "gausian"}, "did you mean 'gaussian'"),
        ("rbm", {"steps": 0}, "steps: expected 1 or more"),
        ("rbm", {"sparsity": 1.5}, "sparsity: expected a share"),
        ("rbm", {"hidden": 0}, "hidden must be 1 or more"),
        ("dbn", {"hidden": [5, 0]}, "whole numbers above 0"),
        ("conv_rbm", {"kernel_size": 8}, "blocks of 2 do not fill; choose kernel_size=9"),
        ("conv_rbm", {"kernel_size": 28}, "fit into 28x28"),
        ("conv_dbn", {"maps": [3, 3]}, "lists of equal length"),
        ("dbn_classifier", {"hidden": []}, "whole numbers above 0"),
    ],
)
def test_mistakes_are_one_sentence(name, options, told):
    with pytest.raises(UserError, match=told.replace("(", r"\(")):
        create_model(name, **options)


@pytest.mark.parametrize("steps", [1, 20])
def test_annealing_finds_the_sum_over_all_states(steps):
    """With one step it is importance sampling, as right in the mean and much less certain."""
    model = tiny()
    base = torch.tensor([0.5, -1.0, 0.0, 2.0]).double()
    logs = partition_weights(model, base, steps, 20_000, torch.Generator().manual_seed(0))
    exact = energy.log_partition(*parameters(model))
    low, high = log_mean_range(logs)
    assert low < exact < high and log_mean(logs) == pytest.approx(exact, abs=0.1 if steps == 1 else 0.02)
    assert high - low < (0.3 if steps == 1 else 0.05)


def test_annealing_a_machine_without_weights_has_no_error():
    model = tiny()
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.zeros_(model.hidden_bias)
    logs = partition_weights(model, model.visible_bias, 3, 5)
    np.testing.assert_allclose(logs.detach(), energy.log_partition(*parameters(model)), rtol=1e-6)


def test_the_bound_of_a_stack_is_below_its_likelihood_by_the_divergence():
    """log p(v) - E_q[...] is KL(q(h|v) || p(h|v)), all by enumeration; of one machine there is no gap."""
    torch.manual_seed(0)
    stack = create_model("dbn", image_size=2, hidden=[3, 2]).double()
    for parameter in stack.parameters():
        torch.nn.init.normal_(parameter)
    lower, upper = stack.machines
    given = rows(1).flatten(1)
    hidden = torch.from_numpy(energy.all_states(3))
    with torch.no_grad():
        chances, means = lower.hidden_chances(given), lower.visible_mean(hidden)
        by_q = (hidden * chances.log() + (1 - hidden) * (1 - chances).log()).sum(dim=1)
        told = (given * means.log() + (1 - given) * (1 - means).log()).sum(dim=1) - upper.free_energy(hidden)
        exact, divergence = told.logsumexp(0), (by_q.exp() * (by_q - told.log_softmax(0))).sum()
        drawn = unnormalised_likelihoods([lower, upper], given.expand(20_000, -1), torch.Generator().manual_seed(0))
        one = unnormalised_likelihoods([lower], given)
    assert drawn.mean().item() == pytest.approx((exact - divergence).item(), abs=0.02) and divergence > 0.05
    assert one.item() == pytest.approx(-lower.free_energy(given).item())
