"""Choosing the next token: the formula of the text, its traps, and the ranges."""

from __future__ import annotations

import math

import pytest
import torch

from gradus.nn.sampling import entropy, next_distribution, sample


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("temperature", [0.01, 0.2, 0.5, 1.0, 1.2])
def test_the_texts_formula(temperature):
    """*Deep Learning with Python*, listing 8-1: exp(log(p) / T) / sum."""
    chances = torch.tensor([0.3, 0.25, 0.4, 0.05], dtype=torch.float64)
    printed = (chances.log() / temperature).exp()
    found = next_distribution(chances.log(), temperature)
    assert torch.allclose(found, printed / printed.sum())
    assert found.dtype == torch.float64


def test_what_underflows_in_the_texts_formula_does_not_here():
    """T-45: log(0) is -inf, and -inf / T * 0 is nan; a multinomial draw complains of sums above 1."""
    logits = torch.tensor([0.0, -200.0, -1e4], dtype=torch.float32)
    assert torch.softmax(logits, 0)[1:].tolist() == [0.0, 0.0]
    for temperature in (1e-3, 0.2, 1.0, 100.0):
        found = next_distribution(logits, temperature)
        assert torch.isfinite(found).all()
        assert found.sum().item() == pytest.approx(1, abs=1e-12)
    assert next_distribution(logits, 100.0)[1].item() == pytest.approx(math.exp(-2) / (1 + math.exp(-2)))


def test_temperature_0_is_the_most_probable():
    logits = torch.tensor([[1.0, 3.0, 3.0], [5.0, 1.0, 2.0]])
    assert next_distribution(logits, 0).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_the_k_most_probable_and_the_share_p():
    logits = torch.tensor([0.1, 0.4, 0.3, 0.2]).log()
    assert next_distribution(logits, top_k=2).tolist() == pytest.approx([0, 4 / 7, 3 / 7, 0])
    assert next_distribution(logits, top_p=0.65).tolist() == pytest.approx([0, 4 / 7, 3 / 7, 0])
    assert next_distribution(logits, top_p=0.75).tolist() == pytest.approx([0, 4 / 9, 3 / 9, 2 / 9])
    assert next_distribution(logits, top_p=0.01).tolist() == [0, 1, 0, 0]
    assert next_distribution(logits, top_k=9).tolist() == pytest.approx([0.1, 0.4, 0.3, 0.2])
    assert next_distribution(torch.zeros(4), top_k=2).tolist() == [0.5, 0.5, 0, 0]  # of equals the first


def test_what_is_forbidden_is_never_chosen():
    forbidden = torch.tensor([True, False, False])
    for options in ({"temperature": 0}, {"top_k": 1}, {"top_p": 0.5}, {}):
        assert next_distribution(torch.tensor([9.0, 1.0, 0.0]), **options, forbidden=forbidden)[0] == 0


def test_draws_have_the_frequencies_and_repeat_with_the_seed():
    chances = torch.tensor([0.0, 0.3, 0.0, 0.7, 0.0], dtype=torch.float64).expand(20_000, 5)
    drawn = sample(chances, generator())
    assert set(drawn.tolist()) == {1, 3}
    assert (drawn == 1).double().mean().item() == pytest.approx(0.3, abs=0.015)  # p(e) = 0.3 is chosen 30 % of the time
    assert torch.equal(drawn, sample(chances, generator()))
    assert not torch.equal(drawn, sample(chances, generator(1)))


def test_sums_that_are_not_quite_1_do_no_harm():
    chances = torch.full((10_000, 3), 1 / 3 + 1e-9, dtype=torch.float64)
    assert set(sample(chances, generator()).tolist()) == {0, 1, 2}


def test_entropy_grows_with_the_temperature_from_none_to_all():
    logits = torch.randn(50, generator=generator())
    found = [entropy(next_distribution(logits, t)).item() for t in (0, 0.2, 0.5, 1.0, 1.2, 100)]
    assert found[0] == 0 and found == sorted(found)
    assert found[-1] == pytest.approx(math.log(50), abs=1e-3)


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.5}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="temperature"):
        next_distribution(torch.zeros(3), **wrong)
