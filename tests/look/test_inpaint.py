"""What is missing of a picture: masks, weights of what is left, blending; and that a search finds a latent that is there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gradus.errors import UserError
from gradus.look.inside.inpaint import blend, center_mask, inpaint, random_mask, weights_of
from gradus.look.inside.maker import Maker
from gradus.look.inside.subject import Picture, Subject


class Ramps(nn.Module):
    """Two latents: a grey value, and a slope from left to right."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def draw(self, count: int, generator: torch.Generator) -> torch.Tensor:
        return torch.randn((count, 2), generator=generator)

    def generate(self, latents, classes=None, generator=None):
        across = torch.linspace(-1, 1, 8)
        rows = latents[:, :1] * 0.2 + 0.5 + latents[:, 1:] * 0.15 * across
        return (self.scale * rows)[:, None, None, :].expand(-1, 1, 8, 8)


def maker(model: nn.Module) -> Maker:
    subject = Subject("ramps", model, lambda p: p.permute(0, 3, 1, 2).float() / 255, lambda g: g, 8, 1)
    return Maker(subject, lambda made: (made * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy())


def test_masks_leave_out_the_share_that_is_asked_for():
    block = center_mask((2, 8, 12), 0.25)
    assert not block[:, 2:6, 3:9].any() and (~block).sum() == 2 * 24
    points = random_mask((3, 10, 10), 0.8, seed=1)
    assert ((~points).sum(axis=(1, 2)) == 80).all() and not (points[0] == points[1]).all()


def test_weights_are_the_share_that_is_missing_around():
    kept = torch.ones(1, 9, 9, dtype=torch.bool)
    kept[0, 4, 4] = False
    weights = weights_of(kept)
    assert weights[0, 4, 4] == 0 and weights[0, 0, 4] == 0  # missing; too far from what is
    torch.testing.assert_close(weights[0, 3, 3], torch.tensor(1 / 49))
    torch.testing.assert_close(weights[0, 1, 1], torch.tensor(1 / 25))  # its window has 25 pixels within the picture


def test_blending_takes_differences_from_one_and_the_border_from_the_other():
    ramp = np.tile(np.arange(8, dtype=np.uint8) * 10, (8, 1))[..., None]
    kept = center_mask((1, 8, 8), 0.25)[0]
    blended = blend(ramp + 50, ramp, kept)  # the same differences, another level
    assert (blended == ramp + 50).all()
    flat = blend(np.full((8, 8, 1), 90, np.uint8), np.full((8, 8, 1), 10, np.uint8), kept)
    assert (flat == 90).all()
    none = np.zeros((8, 8), dtype=bool)
    assert (blend(ramp, ramp + 5, none) == ramp + 5).all() and (blend(ramp, ramp + 5, ~none) == ramp).all()


@pytest.mark.parametrize("missing", ["center", "random"])
def test_a_latent_that_is_there_is_found(missing):
    model = Ramps()
    with torch.no_grad():
        made = maker(model).pictures_of(model.generate(torch.tensor([[0.6, -0.9]])))
    sight = inpaint(
        maker(model),
        [Picture("ramp", made[0])],
        missing=missing,
        steps=120,
        learning_rate=0.05,
        strength=0.0,
    )
    assert sight.numbers["error of a missing pixel"] < 2 < sight.numbers["with the mean in its place"]
    assert sight.arrays["pictures"].shape == (4, 1, 8, 8, 1)
    assert model.scale.requires_grad and model.scale.grad is None


def test_mistakes_are_told():
    picture = [Picture("one", np.zeros((8, 8, 1), np.uint8))]
    with pytest.raises(UserError, match="1 or more steps"):
        inpaint(maker(Ramps()), picture, steps=0)
    with pytest.raises(UserError, match="share from 0"):
        inpaint(maker(Ramps()), picture, share=1.0)


def test_classes_are_told_for_more_pictures_than_pass_at_once():
    class Told(Ramps):
        def generate(self, latents, classes=None, generator=None):
            assert len(classes) == len(latents)
            return super().generate(latents)

    grey = np.tile(np.arange(8, dtype=np.uint8) * 10, (8, 1))[..., None]
    one = maker(Told())
    told = Maker(one.subject, one.pictures_of, conditional=True)
    sight = inpaint(told, [Picture("ramp", grey, label=0)] * 260, steps=1, starts=2)
    assert sight.arrays["pictures"].shape[1] == 260


@pytest.mark.parametrize(("missing", "share"), [("center", 0.99), ("random", 0.001)])
def test_a_share_that_leaves_nothing_to_do_is_refused(missing, share):
    grey = np.zeros((8, 8, 1), np.uint8)
    with pytest.raises(UserError, match="share"):
        inpaint(maker(Ramps()), [Picture("black", grey)], missing=missing, share=share)
