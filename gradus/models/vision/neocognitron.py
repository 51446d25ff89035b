"""The Neocognitron (Fukushima 1980), small: S-cells find features, C-cells forgive where they are, and both alternate.

S-cells learn without labels, by winner-take-all: before training they are shown patches of the training pictures
(`fit_inputs`), and of all planes only the one that answers most to a patch is reinforced by it; where none answers, a plane
that has learnt nothing yet takes it. A linear layer on the last C-cells then learns the classes by descent: the paper reads
the class off single cells instead.

Differs from the paper besides: patches are drawn at random places in place of the competition within hypercolumns; two pairs of
layers, not three; constants as Fukushima (1988) writes them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models.stages import StagedNetwork

PATCHES = 3000  # that the S-cells of a layer are shown
STRENGTH = (
    1e4  # q: how much a plane is reinforced by one patch; large, so that faint patches are judged by their shape too
)


class SCells(nn.Module):
    """(B, C, H, W) -> (B, planes, H, W), from 0 on.

    s = r * max(0, (1 + e) / (1 + r / (1 + r) * b * v) - 1): e is the weighted sum of the patch, v the root of its mean square.
    A plane that has learnt one patch well answers where the cosine with it is above r / (1 + r), the selectivity.
    """

    excitation: Tensor
    inhibition: Tensor

    def __init__(self, in_channels: int, planes: int, kernel_size: int, selectivity: float) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.ratio = selectivity / (1 - selectivity)  # r
        # until pictures are shown: small random excitation, no inhibition
        start = torch.rand(planes, in_channels, kernel_size, kernel_size) / (in_channels * kernel_size**2)
        self.register_buffer("excitation", start)
        self.register_buffer("inhibition", torch.zeros(planes))

    def _reinforce(self, plane: int, patch: Tensor) -> None:
        """patch: (C * kernel_size^2,)"""
        self.excitation[plane] += STRENGTH * patch.reshape(self.excitation.shape[1:]) / len(patch)
        self.inhibition[plane] += STRENGTH * patch.square().mean().sqrt()

    def answers(self, excited: Tensor, inhibiting: Tensor, inhibition: Tensor) -> Tensor:
        share = self.ratio / (1 + self.ratio)
        return self.ratio * functional.relu((1 + excited) / (1 + share * inhibition * inhibiting) - 1)

    @torch.no_grad()
    def fit(self, maps: Tensor) -> None:
        """Learns from random patches of maps (B, C, H, W), one after the other."""
        chosen = maps[torch.randperm(len(maps))[: PATCHES // 4]]
        patches = functional.unfold(chosen, self.kernel_size).transpose(1, 2)  # (B, places, C * k * k)
        patches = patches.flatten(0, 1)
        strength = patches.square().mean(dim=1)
        strong = patches[strength > strength.mean() / 2]  # the others are nearly empty
        strong = strong[torch.randperm(len(strong))[:PATCHES]]
        self.excitation.zero_()
        self.inhibition.zero_()
        used = 0
        for patch in strong:
            inhibiting = patch.square().mean().sqrt()
            found = self.answers(self.excitation[:used].flatten(1) @ patch, inhibiting, self.inhibition[:used])
            if used and float(found.max()) > 0:
                self._reinforce(int(found.argmax()), patch)
            elif used < len(self.excitation):
                self._reinforce(used, patch)
                used += 1

    def forward(self, maps: Tensor) -> Tensor:
        padding = (self.kernel_size - 1) // 2, self.kernel_size // 2
        padded = functional.pad(maps, (*padding, *padding))
        excited = functional.conv2d(padded, self.excitation)
        mean = functional.avg_pool2d(padded.square(), self.kernel_size, stride=1).mean(dim=1, keepdim=True)
        return self.answers(excited, (mean + 1e-12).sqrt(), self.inhibition[:, None, None])


class CCells(nn.Module):
    """(B, planes, H, W) -> (B, planes, H / 2, W / 2), from 0 to 1: S-planes blurred, less where all answer, saturating."""

    blur: Tensor

    def __init__(self, kernel_size: int = 5, halfway: float = 0.1) -> None:
        super().__init__()
        self.halfway = halfway
        bell = torch.exp(-((torch.arange(kernel_size) - (kernel_size - 1) / 2) ** 2) / (kernel_size / 2))
        self.register_buffer("blur", (bell[:, None] * bell / (bell.sum() ** 2))[None, None])

    def forward(self, maps: Tensor) -> Tensor:
        planes, side = maps.shape[1], self.blur.shape[-1]
        seen = functional.conv2d(
            maps, self.blur.expand(planes, 1, side, side), stride=2, padding=side // 2, groups=planes
        )
        lateral = seen.mean(dim=1, keepdim=True)
        answer = functional.relu((1 + seen) / (1 + lateral) - 1)
        return answer / (self.halfway + answer)


class Neocognitron(StagedNetwork):
    """(B, in_channels, image_size, image_size) -> logits (B, num_classes).

    planes:      of the two layers of S-cells
    selectivity: the cosine from which on S-cells answer, of each layer
    """

    stages = {  # noqa: RUF012 - as of all staged networks
        **{name: (name,) for name in ("s1", "c1", "s2", "c2")},
        "head": ("flatten", "fc"),
    }
    smallest_image_size = 5

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        num_classes: int = 10,
        planes: tuple[int, int] = (16, 48),
        selectivity: tuple[float, float] = (0.8, 0.5),
    ) -> None:
        super().__init__()
        if len(planes) != 2 or min(planes) < 1 or len(selectivity) != 2 or not all(0 < one < 1 for one in selectivity):
            raise UserError(
                f"neocognitron: two numbers of planes, and two selectivities from 0 to 1 (both excluded), received "
                f"{list(planes)} and {list(selectivity)}"
            )
        self.s1 = SCells(in_channels, planes[0], 5, selectivity[0])
        self.c1 = CCells()
        self.s2 = SCells(planes[0], planes[1], 5, selectivity[1])
        self.c2 = CCells()
        self.flatten = nn.Flatten()
        side = (image_size + 3) // 4  # halved twice, rounded up
        self.fc = nn.Linear(planes[1] * side**2, num_classes)

    @torch.no_grad()
    def fit_inputs(self, pictures: Tensor) -> None:
        """Has the S-cells learn from the training pictures, the first layer before the second. (B, in_channels, ...)"""
        shown = pictures[: PATCHES // 4]
        self.s1.fit(shown)
        self.s2.fit(self.c1(self.s1(shown)))
