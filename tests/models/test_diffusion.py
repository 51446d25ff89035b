"""Diffusion: the processes by hand and in closed form, and the small network that they are learnt with."""

from __future__ import annotations

import math

import pytest
import torch

from gradus.errors import UserError
from gradus.models import create_model
from gradus.models.generative.diffusion import Diffusion, DiffusionSampling
from gradus.models.generative.noising import noised, places, posterior, run_chain, shares_left

SHARES = shares_left(1000)


def test_noise_keeps_the_variance_of_unit_data():
    generator = torch.Generator().manual_seed(0)
    pictures, noise = torch.randn(2, 40_000, generator=generator)
    for time in (1, 250, 500, 900, 1000):
        noisy = noised(pictures, noise, SHARES[time])
        assert float(noisy.var()) == pytest.approx(1, abs=0.03)
        assert float((noisy * pictures).mean()) == pytest.approx(math.sqrt(SHARES[time]), abs=0.02)


def test_the_schedules_are_those_of_the_papers():
    assert float(SHARES[0]) == 1 and float(SHARES[-1]) < 1e-6 and bool((SHARES.diff() < 0).all())
    # Nichol 2021, eq. 17 at the middle: cos^2 of 0.508 / 1.008 of a right angle over that of 0.008 / 1.008
    wanted = math.cos(0.508 / 1.008 * math.pi / 2) ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    assert float(SHARES[500]) == pytest.approx(wanted, rel=1e-9)
    linear = shares_left(1000, "linear")
    assert float(1 - linear[1]) == pytest.approx(1e-4) and float(1 - linear[1000] / linear[999]) == pytest.approx(0.02)
    assert float(linear[-1]) == pytest.approx(
        4.04e-5, rel=0.01
    )  # Ho 2020, §4: D_KL(q(x_T) | N(0, 1)) is about 1e-5 bits


def test_the_step_back_is_bayes_rule():
    """q(x_s | x_t, x_0) of two Gaussians, multiplied by hand: the prior from x_0, the likelihood of x_t."""
    share, before, clean, noisy = 0.3, 0.6, 0.8, -0.5
    kept = share / before
    prior_mean, prior_variance = math.sqrt(before) * clean, 1 - before
    precision = 1 / prior_variance + kept / (1 - kept)
    mean = (prior_mean / prior_variance + math.sqrt(kept) * noisy / (1 - kept)) / precision
    found, variance = posterior(torch.tensor(clean), torch.tensor(noisy), share, before)
    assert float(found) == pytest.approx(mean, rel=1e-6) and variance == pytest.approx(1 / precision, rel=1e-9)


def best_guess(mean: float, variance: float):
    """The noise that a perfect network would predict, E(noise | x_t), for pixels N(mean, variance)."""

    def predict(state: torch.Tensor, time: int) -> torch.Tensor:
        share = float(SHARES[time])
        whole = share * variance + 1 - share
        return math.sqrt(1 - share) * (state - math.sqrt(share) * mean) / whole

    return predict


@pytest.mark.parametrize(("sampler", "steps"), [("ddim", 50), ("ddim", 1000), ("ddpm", 1000)])
def test_a_perfect_denoiser_gives_the_distribution(sampler, steps):
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(4000, 1, 1, 2, generator=generator)
    for mean, variance in ((0.5, 0.09), (-0.7, 0.0)):
        made = run_chain(
            best_guess(mean, variance), noise, SHARES, steps, sampler=sampler, clip=False, generator=generator
        )
        assert float(made.mean()) == pytest.approx(mean, abs=0.02)
        assert float(made.std()) == pytest.approx(math.sqrt(variance), rel=0.06, abs=1e-3)


def test_places_lead_from_noise_to_picture():
    assert places(4, 1000) == [1000, 750, 500, 250, 0] and places(3, 4) == [4, 3, 1, 0]


def tiny(**options) -> Diffusion:
    torch.manual_seed(0)
    model = create_model("diffusion", image_size=8, width=8, num_steps=20, **options)
    for parameter in model.network.leave[2].parameters():  # it begins at zero
        torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def test_pictures_follow_from_latents_and_classes():
    model = tiny(num_classes=3)
    latents, classes = model.draw(4, torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 2])
    with torch.no_grad():
        made = model.generate(latents, classes)
        assert made.shape == (4, 1, 8, 8) and torch.equal(made, model.generate(latents, classes))
        assert not torch.allclose(made, model.generate(latents, classes.flip(0)))
        model.sampling = DiffusionSampling(steps=20, guidance=2.0)
        assert not torch.allclose(made, model.generate(latents, classes))
        model.sampling = DiffusionSampling(steps=20, sampler="ddpm")
        drawn = [model.generate(latents, classes, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_guidance_goes_beyond_the_class_away_from_none():
    """Ho and Salimans 2022, eq. 6: (1 + w) of what is told of the class, minus w of what is told without."""
    model, seen = tiny(num_classes=2, predicts="noise"), []

    def network(state, times, classes):
        seen.append(classes)
        return torch.full_like(state, 0.3 if classes is not None else 0.1)

    model.network.forward = network
    model.sampling = DiffusionSampling(steps=1, guidance=0.5)
    model.shares = torch.tensor([1.0, 0.8])
    made = model.generate(torch.zeros(1, 1, 8, 8), torch.tensor([1]))
    assert float(made.mean()) == pytest.approx(-math.sqrt(0.2 / 0.8) * (1.5 * 0.3 - 0.5 * 0.1)) and seen[1] is None


def test_noise_follows_from_the_velocity():
    """A network that is right about one known picture leads from any noise to that picture, and has no loss."""
    for predicts in ("velocity", "noise"):
        model = tiny(predicts=predicts)
        picture = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(2)) * 2 - 1

        def right(state, times, classes, model=model, picture=picture):
            share = model.shares[(times * 20).round().long()].float()[:, None, None, None]
            noise = (state - share.sqrt() * picture) / (1 - share).sqrt()
            return noise if model.predicts == "noise" else share.sqrt() * noise - (1 - share).sqrt() * picture

        model.network.forward = right
        outcome = model(picture.expand(30, -1, -1, -1))
        assert float(outcome.loss.max()) < 1e-8 and float(outcome.parts["noise_error"].max()) < 1e-8
        made = model.generate(model.draw(3, torch.Generator().manual_seed(3)))
        assert torch.allclose(made, picture.expand(3, -1, -1, -1), atol=1e-4)
        model.network.forward = lambda state, times, classes: torch.zeros_like(state)
        lost = model(torch.zeros(1000, 1, 8, 8)).parts[
            "noise_error"
        ]  # of no noise at all: 1, or the picture's share of it
        if predicts == "noise":
            assert float(lost.mean()) == pytest.approx(1, abs=0.05)
        else:  # what is predicted: √(1 - share) of the noisy picture, itself √(1 - share) noise
            shares = model.shares[1:].float()
            assert float(lost.mean()) == pytest.approx(float((shares**2).mean()), abs=0.05)


def test_classes_are_dropped_in_training_alone():
    model, told = tiny(num_classes=4, drop_classes=0.5), []
    model.network.forward = lambda state, times, classes: told.append(classes) or state
    pictures, classes = torch.zeros(400, 1, 8, 8), torch.arange(400) % 4
    model((pictures, classes))
    model.train()((pictures, classes))
    assert torch.equal(told[0], classes)
    dropped = told[1] == 4
    assert 0.35 < float(dropped.float().mean()) < 0.65 and torch.equal(told[1][~dropped], classes[~dropped])


def test_mistakes_are_told():
    model = tiny()
    latents = model.draw(1, torch.Generator())
    with pytest.raises(UserError, match="trained for 20"):
        model.sampling = DiffusionSampling(steps=21)
        model.generate(latents)
    with pytest.raises(UserError, match="without classes"):
        model.sampling = DiffusionSampling(steps=2, guidance=1.0)
        model.generate(latents)
    with pytest.raises(UserError, match="multiple of 4"):
        create_model("diffusion", image_size=30)
    with pytest.raises(UserError, match="guidance"):
        DiffusionSampling(guidance=-1)
