"""The Neocognitron: its cells against their formula, and what they learn without labels."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits

from gradus.errors import UserError
from gradus.models import create_model
from gradus.models.vision.neocognitron import CCells, SCells


def test_an_s_cell_answers_above_a_cosine():
    """With a plane that has learnt one patch well, s is (1 + r) cos - r, cut at zero; brightness does not count."""
    torch.manual_seed(0)
    cells = SCells(1, 1, 3, selectivity=0.7)
    learnt = torch.rand(9)
    cells.excitation.zero_()
    cells.inhibition.zero_()
    for _ in range(10):
        cells._reinforce(0, learnt)
    others = torch.stack([learnt, 0.5 * learnt, *(learnt + 0.6 * torch.randn(20, 9)).clamp(min=0)])
    found = cells(others.reshape(-1, 1, 3, 3))[:, 0, 1, 1]
    cosine = torch.cosine_similarity(others, learnt, dim=1)
    expected = ((1 + cells.ratio) * cosine - cells.ratio).clamp(min=0)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    assert (cosine > 0.7).any() and (cosine < 0.7).any()


def test_the_winner_alone_learns_and_silent_planes_take_what_is_new():
    """Two kinds of patches, three planes: one plane each, the third stays as it was."""
    upright, flat = torch.zeros(5, 5), torch.zeros(5, 5)
    upright[:, 2], flat[2] = 1.0, 1.0
    maps = torch.stack([upright, flat] * 40)[:, None]
    torch.manual_seed(0)
    cells = SCells(1, 3, 5, selectivity=0.7)
    cells.fit(maps)
    learnt = cells.excitation.flatten(1)
    kinds = torch.cosine_similarity(learnt[:, None], torch.stack([upright, flat]).flatten(1)[None], dim=2)
    assert sorted(kinds[:2].argmax(dim=1).tolist()) == [0, 1] and kinds[:2].max(dim=1).values.min() > 0.999
    assert not learnt[2].any() and not cells(maps)[:, 2].any()


def test_c_cells_forgive_small_moves():
    picture = torch.zeros(1, 2, 16, 16)
    picture[0, 0, 8, 8] = 4.0
    cells = CCells()
    here, there = cells(picture), cells(picture.roll(1, dims=3))
    alike = torch.cosine_similarity(here.flatten(), there.flatten(), dim=0)
    assert alike > 0.6 > torch.cosine_similarity(picture.flatten(), picture.roll(1, dims=3).flatten(), dim=0)
    assert here.shape == (1, 2, 8, 8) and here.max() < 1


def test_it_learns_planes_from_digits_without_labels():
    """Read by a linear layer with 100 labels; ten classes, so 0.1 by chance."""
    from sklearn.linear_model import LogisticRegression

    digits = load_digits()
    pictures = torch.from_numpy(digits.images[:500] / 16).float()[:, None]
    pictures = pictures.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.manual_seed(0)
    model = create_model("neocognitron", image_size=16, planes=(12, 40)).eval()
    model.fit_inputs(pictures[:100])
    found = model.run(pictures, last="c2").flatten(1).numpy()
    linear = LogisticRegression(C=10, max_iter=300).fit(found[:100], digits.target[:100])
    assert linear.score(found[100:], digits.target[100:500]) > 0.55


def test_mistakes_are_told():
    for options in ({"planes": [3]}, {"selectivity": [0.5, 1.0]}):
        with pytest.raises(UserError, match="two numbers of planes"):
            create_model("neocognitron", **options)
    assert bool(create_model("neocognitron")(torch.zeros(2, 1, 28, 28)).isfinite().all())
