"""Deep belief networks (Hinton, Osindero and Teh 2006): machines on each other, which learn one after the other.

The epochs are divided among the machines, from the pictures on. Each learns what those below it, which stay as they are, say of
the pictures: the chances of their hidden units, as Hinton and Salakhutdinov (2006) have it. Fine-tuning as a classifier is
another run, of `dbn_classifier`, which begins with these weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.generative.machine import Machine, Units
from gradus.models.generative.outcome import Outcome
from gradus.models.generative.rbm import RBM


class Stack(nn.Module):
    """Machines on each other. What is told is said by the machine that learns, so losses of different machines follow each
    other, none of them is the best of all, and the last weights are kept."""

    pixels: Literal["unit"] = "unit"
    chooses_best = False

    def __init__(self, layers: Sequence[Machine]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.layer = len(self.layers) - 1  # the machine that learns, or that speaks

    @property
    def machines(self) -> list[Machine]:
        return list(self.layers)  # type: ignore[arg-type]

    def begin_epoch(self, epoch: int, epochs: int) -> str:
        """Has the next machine learn, where its epochs begin. With fewer epochs than machines the last never do; it says so."""
        before, count = self.layer, len(self.layers)
        self.layer = min(epoch * count // max(epochs, count), count - 1)
        if epoch == 0 and epochs < count:
            left = count - epochs
            return f"{count} machines learn one after the other: of {epochs} epochs the last {left} get none and do not learn"
        return f"epoch {epoch + 1}: machine {self.layer + 1} of {count} learns" if self.layer != before else ""

    @property
    def resting(self) -> tuple[str, ...]:
        """The parts that do not learn now."""
        return tuple(f"layers.{number}" for number in range(len(self.layers)) if number != self.layer)

    @torch.no_grad()
    def fit_inputs(self, pictures: Tensor) -> None:
        self.layers[0].fit_inputs(pictures)  # type: ignore[operator]

    @torch.no_grad()
    def below(self, pictures: Tensor, layer: int) -> Tensor:
        """What the machine of this number sees of pictures."""
        for machine in self.machines[:layer]:
            pictures = machine.features(machine.enter(pictures))
        return pictures

    def pictured(self, states: Tensor, layer: int) -> Tensor:
        """What the machine of this number would see, as pictures."""
        for machine in reversed(self.machines[:layer]):
            states = machine.leave(machine.pictured(states.reshape(len(states), *machine.hidden_shape)))
        return states

    def forward(self, pictures: Tensor) -> Outcome:
        with torch.autocast(pictures.device.type, enabled=False):
            outcome: Outcome = self.layers[self.layer](self.below(pictures.float(), self.layer))
            if self.training or outcome.made is None:
                return replace(outcome, made=None)
            return replace(outcome, made=self.pictured(outcome.made, self.layer))

    @torch.no_grad()
    def complete(
        self, pictures: Tensor, known: Tensor, steps: int, generator: torch.Generator | None = None, kept: int = 50
    ) -> Tensor:
        """As `Machine.complete`: up through all machines, a Gibbs step in the topmost one, and down again, so often."""
        top, below, known = self.machines[-1], len(self.layers) - 1, known.expand_as(pictures)
        states, kept = torch.where(known, pictures, torch.full_like(pictures, 0.5)), min(kept, steps)
        total = torch.zeros_like(pictures)
        for step in range(steps):
            made = self.pictured(top.leave(top.gibbs(top.enter(self.below(states, below)), 1, generator)), below)
            states = torch.where(known, pictures, made)
            total += states if step >= steps - kept else 0
        return total / kept

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        return self.machines[-1].draw(count, generator)

    @torch.no_grad()
    def generate(
        self, latents: Tensor, classes: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """A chain in the topmost machine, and from its end one way down."""
        return self.pictured(self.machines[-1].generate(latents, None, generator), len(self.layers) - 1)


class DBN(Stack):
    """(B, C, H, W), values 0..1; `hidden`: units of each machine, from the pictures on. The other settings are `RBM`'s."""

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        hidden: Sequence[int] = (500, 500, 1000),
        visible: Units = "bernoulli",
        steps: int = 1,
        chains: int = 0,
        sparsity: float = 0.0,
        sparsity_weight: float = 0.1,
        gibbs_steps: int = 200,
    ) -> None:
        hidden = [hidden] if isinstance(hidden, int) else list(hidden)
        if not hidden or not all(isinstance(width, int) and width > 0 for width in hidden):
            raise UserError(f"dbn: hidden must be whole numbers above 0, received {hidden}")
        settings = steps, chains, sparsity, sparsity_weight, gibbs_steps
        layers = [RBM(in_channels, image_size, hidden[0], visible, *settings)]
        layers += [RBM(below, 1, above, "bernoulli", *settings) for below, above in pairwise(hidden)]
        super().__init__(layers)
