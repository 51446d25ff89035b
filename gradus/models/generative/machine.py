"""What machines with an energy share: chains of Gibbs steps, and learning by contrast (Hinton 2002; Tieleman 2008).

Contrastive divergence is descent on F(picture) - F(where a chain went from it), the end of the chain held fixed: the slope of
the free energy F is minus what visible and hidden units show together, so what falls for the pictures rises for what the
machine makes of them. Every chain's end is a sample, none a mean, so with long chains the slope is that of the likelihood.

The value of that contrast measures nothing. What is told in evaluation, and chooses the best weights, is `Machine.judge`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError, unknown_name
from gradus.models.generative.outcome import Outcome

Units = Literal["bernoulli", "gaussian"]
FEW_PIXELS, PROBES = 64, 8  # up to so many pixels, the pseudo-likelihood asks all of them; else so many of each picture


def sample(chances: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """0 or 1 with these chances; a generator's numbers are drawn on the CPU, so that they are the same for every device."""
    if generator is None:
        return torch.bernoulli(chances)
    return (torch.rand(chances.shape, generator=generator).to(chances.device) < chances).to(chances.dtype)


class Machine(nn.Module):
    """A machine of one visible and one hidden layer. Subclasses give `weight`, `visible_bias`, and the four functions below.

    visible:     bernoulli: pixels are 0 or 1, grey ones chances; gaussian: any number, brought to mean 0 and deviation 1
    steps:       Gibbs steps of a chain, the k of CD-k
    chains:      persistent chains, which go on from step to step in place of beginning at the pictures; 0: none
    sparsity:    the share of the time that a hidden unit is to be on; 0: whatever it likes
    sparsity_weight: how much a unit's cross-entropy from that share weighs
    gibbs_steps: of a chain that makes a new picture

    A picture's states are tensors (B, *shape); hidden ones (B, ...). Raises `UserError` for settings out of range.
    """

    pixels: Literal["unit"] = "unit"
    weight: Tensor
    visible_bias: Tensor
    hidden_shape: tuple[int, ...]  # of what a machine above sees
    chains: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        visible: Units,
        steps: int,
        chains: int,
        sparsity: float,
        sparsity_weight: float,
        gibbs_steps: int,
    ) -> None:
        super().__init__()
        if visible not in ("bernoulli", "gaussian"):
            raise unknown_name("kind of visible units", visible, ("bernoulli", "gaussian"))
        for name, value, least in (("steps", steps, 1), ("chains", chains, 0), ("gibbs_steps", gibbs_steps, 1)):
            if value < least:
                raise UserError(f"{name}: expected {least} or more, received {value}")
        if not 0 <= sparsity < 1:
            raise UserError(f"sparsity: expected a share from 0 to 1 (1 excluded), received {sparsity}")
        self.shape, self.visible, self.steps = shape, visible, steps
        self.sparsity, self.sparsity_weight, self.gibbs_steps = sparsity, sparsity_weight, gibbs_steps
        self.register_buffer("chains", torch.bernoulli(torch.full((chains, *shape), 0.5)))
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("deviation", torch.ones(shape))

    # What a kind of machine is

    def heard(self, visible: Tensor) -> Tensor:
        """What the hidden units hear: (B, ...)."""
        raise NotImplementedError

    def hidden_chances(self, visible: Tensor) -> Tensor:
        """p(h = 1 | v)."""
        raise NotImplementedError

    def sample_hidden(self, visible: Tensor, generator: torch.Generator | None = None) -> Tensor:
        raise NotImplementedError

    def said(self, hidden: Tensor) -> Tensor:
        """What the visible units hear of the hidden ones, bias included: (B, *shape)."""
        raise NotImplementedError

    def hidden_free_energy(self, heard: Tensor) -> Tensor:
        """The hidden units' part of the free energy, of what they hear: (B,)."""
        raise NotImplementedError

    def bias_of_pixels(self) -> Tensor:
        """The visible bias, of `shape`."""
        raise NotImplementedError

    def features(self, states: Tensor) -> Tensor:
        """What a machine above this one sees of the visible states, numbers from 0 to 1."""
        return self.hidden_chances(states)

    def pictured(self, features: Tensor) -> Tensor:
        """The means of the visible units, given what a machine above makes of the features."""
        return self.visible_mean(features)

    # What all do

    def enter(self, pictures: Tensor) -> Tensor:
        """Pictures (B, ...) as states of the visible units."""
        states = pictures.reshape(-1, *self.shape)
        return (states - self.mean) / self.deviation if self.visible == "gaussian" else states

    def leave(self, states: Tensor) -> Tensor:
        """States, or their means, as pictures."""
        return (states * self.deviation + self.mean).clamp(0, 1) if self.visible == "gaussian" else states

    def visible_mean(self, hidden: Tensor) -> Tensor:
        """The mean of the visible units, given the hidden ones: chances where they are 0 or 1."""
        return self.said(hidden) if self.visible == "gaussian" else self.said(hidden).sigmoid()

    def sample_visible(self, hidden: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mean = self.visible_mean(hidden)
        if self.visible == "gaussian":
            noise = torch.randn(mean.shape, generator=generator).to(mean) if generator else torch.randn_like(mean)
            return mean + noise
        return sample(mean, generator)

    def free_energy(self, states: Tensor) -> Tensor:
        """(B,): -log of the sum of exp(-energy) over all hidden states, in nats; up to a constant, -log p(states)."""
        bias = self.bias_of_pixels()
        if self.visible == "gaussian":
            own = 0.5 * ((states - bias) ** 2).flatten(1).sum(dim=1)
        else:
            own = -(states * bias).flatten(1).sum(dim=1)
        return own + self.hidden_free_energy(self.heard(states))

    @torch.no_grad()
    def gibbs(self, states: Tensor, steps: int, generator: torch.Generator | None = None) -> Tensor:
        """The states after so many steps: the hidden units are drawn given the visible ones, then these given those."""
        for _ in range(steps):
            states = self.sample_visible(self.sample_hidden(states, generator), generator)
        return states

    def reconstruct(self, states: Tensor) -> Tensor:
        """The mean of the visible units given the chances of the hidden ones: no sampling."""
        return self.visible_mean(self.hidden_chances(states))

    def forward(self, pictures: Tensor) -> Outcome:
        """In training the loss is the contrast; in evaluation what `judge` says. `reconstruction` is the squared error summed
        over the pixels. In bf16 the difference of two nearly equal slopes would be lost, so it is never used."""
        with torch.autocast(pictures.device.type, enabled=False):
            states = self.enter(pictures.float())
            energy = self.free_energy(states)
            loss = self._contrast(states, energy) if self.training else self.judge(states)
            with torch.no_grad():
                made = self.reconstruct(states)
                error = ((made - states) ** 2).flatten(1).sum(dim=1)
            return Outcome(loss, {"reconstruction": error, "free_energy": energy.detach()}, self.leave(made))

    def _contrast(self, states: Tensor, energy: Tensor) -> Tensor:
        if len(self.chains):
            ends = self.gibbs(self.chains, self.steps)
            self.chains.copy_(ends)
            loss = energy - self.free_energy(ends).mean()
        else:
            loss = energy - self.free_energy(self.gibbs(states, self.steps))
        return loss + self._density(states) if self.sparsity else loss

    def _density(self, states: Tensor) -> Tensor:
        """How far hidden units are from being on as often as wanted: a number (Hinton 2010, §11)."""
        chances = self.hidden_chances(states)
        often = chances.flatten(2).mean(dim=(0, 2)) if chances.ndim > 2 else chances.mean(dim=0)
        wanted = torch.full_like(often, self.sparsity)
        often = often.clamp(1e-6, 1 - 1e-6)
        return self.sparsity_weight * functional.binary_cross_entropy(often, wanted, reduction="sum")

    def judge(self, states: Tensor) -> Tensor:
        """(B,) what can be compared between machines: -log pseudo-likelihood in nats; of Gaussian units half the squared error.

        The pseudo-likelihood (Besag 1975) is the product of p(pixel | all others). Of larger pictures some pixels are drawn for
        each, and stand for all.
        """
        if self.visible == "gaussian":
            return 0.5 * ((self.reconstruct(states) - states) ** 2).flatten(1).sum(dim=1)
        rows, pixels = len(states), states[0].numel()
        asked = torch.arange(pixels, device=states.device)[:, None].expand(-1, rows)
        if pixels > FEW_PIXELS:
            asked = torch.randint(pixels, (PROBES, rows), device=states.device)
        total, heard = torch.zeros(rows, device=states.device), self.heard(states)
        for places in asked:
            true = states.flatten(1).gather(1, places[:, None])[:, 0]  # of a grey pixel: the mean of what 0 and 1 cost
            gap = self.gap(states, heard, places)
            total += functional.binary_cross_entropy_with_logits(gap, true, reduction="none")
        return total * (pixels / len(asked))

    def gap(self, states: Tensor, heard: Tensor, places: Tensor) -> Tensor:
        """(B,): the free energy with one pixel (B,) of each row off, less that with it on: the logit of its being on."""
        off, on = (
            self.free_energy(states.flatten(1).scatter(1, places[:, None], value).reshape(-1, *self.shape))
            for value in (0.0, 1.0)
        )
        return off - on

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, *shape): states of noise around the visible bias, with which chains begin."""
        bias = self.bias_of_pixels().detach().cpu().expand(count, *self.shape)
        if self.visible == "gaussian":
            return bias + torch.randn((count, *self.shape), generator=generator)
        return sample(bias.sigmoid(), generator)

    @torch.no_grad()
    def generate(
        self, latents: Tensor, classes: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """The means of the visible units where chains from these states end."""
        states = self.gibbs(latents, self.gibbs_steps - 1, generator)
        return self.leave(self.visible_mean(self.sample_hidden(states, generator)))

    @torch.no_grad()
    def complete(
        self, pictures: Tensor, known: Tensor, steps: int, generator: torch.Generator | None = None, kept: int = 50
    ) -> Tensor:
        """Pictures whose pixels are kept where `known` (broadcast to them, bool) and drawn by a chain elsewhere: the mean of the
        chances of its last `kept` steps."""
        given = self.enter(pictures)
        known = known.expand_as(pictures).reshape(given.shape)
        states = torch.where(known, given, sample(torch.full_like(given, 0.5), generator))
        total, kept = torch.zeros_like(states), min(kept, steps)
        for step in range(steps):
            hidden = self.sample_hidden(states, generator)
            states = torch.where(known, given, self.sample_visible(hidden, generator))
            if step >= steps - kept:
                total += torch.where(known, given, self.visible_mean(hidden))
        return self.leave(total / kept).reshape(pictures.shape)
