"""Wasserstein GAN with gradient penalty (Arjovsky 2017; Gulrajani et al. 2017): a critic that measures how far apart two
distributions are, instead of a judge that is sure of itself.

    critic:     descends E[C(G(z))] - E[C(x)] + penalty * E[(|grad C(m)| - 1)^2],  m between x and G(z), evenly drawn
    generator:  descends -E[C(G(z))]

Minus the critic's loss without the penalty, told as `distance`, is an estimate of the earth mover's distance between what is
real and what is made, up to a factor. The critic learns several times as often (`train.adversarial.turns`, 5 in the paper), and
has no batch normalisation: its gradient is to be that of each picture by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gradus.errors import UserError
from gradus.models.generative.dcgan import DCGAN
from gradus.models.generative.game import Pictures
from gradus.models.generative.outcome import Outcome, as_pair


class WGANGP(DCGAN):
    """The players of a DCGAN, the critic without norms. penalty: lambda, 10 in the paper."""

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        num_classes: int | None = None,
        latent_size: int = 100,
        width: int = 32,
        kernel_size: int = 4,
        penalty: float = 10.0,
        rules: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            in_channels, image_size, num_classes, latent_size, width, kernel_size, batch_norm=False, rules=rules
        )
        labels = [name for name in ("loss", "label_smoothing", "label_noise") if name in (rules or {})]
        if labels:
            raise UserError(f"rules.{labels[0]}: wgan_gp has no labels and one loss; leave it out")
        if not penalty >= 0:
            raise UserError(f"penalty: expected 0 or more, received {penalty}")
        self.penalty = penalty

    def play(self, player: str, inputs: Pictures) -> Outcome:
        pictures, classes = as_pair(inputs)
        latents = self.latents_like(pictures)
        if player == "generator":
            loss = -self.judge(self.seen(self.generate(latents, classes)), classes)
            return Outcome(loss, {"generator_loss": loss})
        with torch.no_grad():
            made = self.seen(self.generate(latents, classes))
        pictures = self.seen(pictures)
        distance = self.judge(pictures, classes) - self.judge(made, classes)
        if not torch.is_grad_enabled():  # a gradient cannot be looked at in evaluation
            return Outcome(-distance, {"critic_loss": -distance, "distance": distance})
        norm = self.slope(pictures, made, classes)
        loss = self.penalty * (norm - 1) ** 2 - distance
        return Outcome(loss, {"critic_loss": loss, "distance": distance, "slope": norm})

    def slope(self, pictures: Tensor, made: Tensor, classes: Tensor | None) -> Tensor:
        """(B,) length of the critic's gradient by a picture, at one point between each real one and a made one."""
        share = torch.rand(len(pictures), 1, 1, 1, device=pictures.device, dtype=pictures.dtype)
        between = torch.lerp(pictures.detach(), made.detach(), share).requires_grad_()
        judged = self.judge(between, classes).sum()
        (gradient,) = torch.autograd.grad(judged, between, create_graph=True)
        return (gradient.flatten(1).square().sum(dim=1) + 1e-12).sqrt()  # the root has no gradient at 0
