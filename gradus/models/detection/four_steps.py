"""Training Faster R-CNN in four steps, as its authors did (Ren et al. 2015, §3.2, "alternating training").

    1  a network of its own learns to propose regions
    2  the detector, with a backbone of its own, learns from these regions
    3  the proposals learn again, on the detector's map, which stays as it is: from here on both share one backbone
    4  the detector's head learns again, from the new regions, on the same map

Differs from the paper: the steps are parts of one training, so that they have one schedule, one run and one resume. The second
backbone is kept with the weights, and not used once the third step has begun.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

BEGINS = (0.25, 0.6, 0.8)  # shares of the epochs at which the second, third and fourth step begin
STEPS = (
    "a network of its own proposes regions",
    "the detector learns from these regions",
    "the proposals learn on the detector's map, which stays",
    "the detector's head learns from the new regions",
)


class FourSteps(nn.Module):
    """Which step a training is in (`now`, 0 to 3), and the network that proposes regions in the first two."""

    def __init__(self, backbone: nn.Module, lateral: nn.Module) -> None:
        super().__init__()
        self.backbone, self.lateral = copy.deepcopy(backbone), copy.deepcopy(lateral)
        self.register_buffer("step", torch.tensor(3.0))  # as `now`; kept with the weights
        self.now = 3

    def begin_epoch(self, epoch: int, epochs: int) -> str:
        """Returns what is learnt from here on where that is new, else nothing."""
        before = self.now
        self.now = sum(epoch >= max(number + 1, round(share * epochs)) for number, share in enumerate(BEGINS))
        self.step.fill_(float(self.now))  # type: ignore[operator]
        return f"step {self.now + 1} of 4: {STEPS[self.now]}" if self.now != before or epoch == 0 else ""

    def map_of_proposals(self, pictures: Tensor, of_detector: Tensor) -> Tensor:
        """The map that the proposals are read from: one of their own in the first two steps, then the detector's."""
        if self.now >= 2:
            return of_detector
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.now == 0):
            return functional.relu(self.lateral(self.backbone(pictures)[0]))

    @property
    def learns_map(self) -> bool:
        """Whether the detector's map learns: in the second step alone."""
        return self.now == 1

    @property
    def learns_proposals(self) -> bool:
        return self.now in (0, 2)

    @property
    def resting(self) -> tuple[str, ...]:
        """The network's parts that do not learn now."""
        learns = {
            "backbone": self.learns_map,
            "lateral": self.learns_map,
            "proposals": self.learns_proposals,
            "head": not self.learns_proposals,
            "steps": self.now == 0,
        }
        return tuple(part for part, now in learns.items() if not now)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self.now = int(self.step)  # type: ignore[arg-type]
