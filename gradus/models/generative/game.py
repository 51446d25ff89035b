"""Games of two players (Goodfellow 2014): a generator makes pictures, a discriminator says how likely each is a real one.

    value(D, G) = E[log D(x)] + E[log(1 - D(G(z)))]

The discriminator climbs it, so it descends -value. The generator descends it ("minimax"), or descends -log D(G(z))
("non-saturating", the same paper §3), whose gradient does not fade while the discriminator is sure of itself. Both have the
same fixed point: where what is made is distributed as what is real, D is 1/2 everywhere, and the value is -log 4.

Parts that are told of each picture: generator_loss, discriminator_loss, d_real = D(x), d_fake = D(G(z)), and passed, 1 where
what was made passes for real (D above 1/2): half of them do where the players are in balance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus import settings
from gradus.errors import UserError
from gradus.models.generative.outcome import Outcome, as_pair, standard_normal

Pictures = Tensor | tuple[Tensor, Tensor]
NEW = (0.0, 0.02)  # mean and deviation of new weights (Radford 2015, §4)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How the game is played: `model.options.rules`. The tricks are heuristics: what helps one network may harm another."""

    loss: Literal["non-saturating", "minimax"] = "non-saturating"  # of the generator
    label_smoothing: float = 0.0  # real pictures are called 1 - this, made ones 0 (one-sided, Salimans 2016 §3.4)
    label_noise: float = (
        0.0  # each label is moved towards the other by up to this, uniformly drawn: 0.05 in *Deep Learning
    )
    # with Python* §8.5, whose labels leave 0..1 by it
    instance_noise: float = (
        0.0  # deviation of noise on all that the discriminator sees in training, falling to 0 at the last
    )
    # epoch (Sonderby 2016, Arjovsky 2017)
    latents: Literal["normal", "uniform"] = "normal"  # N(0, 1), or -1 to 1 (Mirza 2014, Radford 2015)

    def __post_init__(self) -> None:
        for name in ("label_smoothing", "label_noise"):
            if not 0 <= getattr(self, name) < 0.5:
                raise UserError(f"rules.{name}: expected 0 to below 0.5, received {getattr(self, name)}")
        if self.instance_noise < 0:
            raise UserError(f"rules.instance_noise: expected 0 or more, received {self.instance_noise}")


class Game(nn.Module):
    """What all games share. A network makes `generator` and `discriminator`, and says what they make and judge:

    generate(latents, classes, generator)  pictures (B, C, H, W)
    judge(pictures, classes)               (B,) logits of being real

    `play(player, inputs)` is the loss of one player on a batch, in which the weights of the other are only passed through.
    """

    pixels = "symmetric"
    players = ("discriminator", "generator")  # in the order of their turns
    generator: nn.Module
    discriminator: nn.Module
    noise_now: Tensor

    def __init__(self, latent_size: int, num_classes: int | None, rules: Mapping[str, Any] | None) -> None:
        super().__init__()
        if latent_size < 1:
            raise UserError(f"latent_size: expected 1 or more, received {latent_size}")
        self.latent_size, self.num_classes = latent_size, num_classes
        self.rules = settings.from_dict(Rules, rules or {}, "rules")
        self.register_buffer("noise_now", torch.tensor(self.rules.instance_noise), persistent=False)

    def begin_epoch(self, epoch: int, epochs: int) -> str:
        self.noise_now.fill_(self.rules.instance_noise * (1 - epoch / epochs))
        return ""

    def generate(
        self, latents: Tensor, classes: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        raise NotImplementedError

    def judge(self, pictures: Tensor, classes: Tensor | None = None) -> Tensor:
        raise NotImplementedError

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        shape = (count, self.latent_size)
        if self.rules.latents == "uniform":
            return torch.rand(shape, generator=generator) * 2 - 1
        return standard_normal(shape, generator)

    def latents_like(self, pictures: Tensor) -> Tensor:
        """New latents, one for each picture, drawn where the pictures are."""
        shape = (len(pictures), self.latent_size)
        if self.rules.latents == "uniform":
            return torch.rand(shape, device=pictures.device) * 2 - 1
        return torch.randn(shape, device=pictures.device)

    def play(self, player: str, inputs: Pictures) -> Outcome:
        pictures, classes = as_pair(inputs)
        latents = self.latents_like(pictures)
        with by_the_batch(self.discriminator):
            if player == "generator":
                return self.generator_outcome(self.judge(self.seen(self.generate(latents, classes)), classes))
            with torch.no_grad():
                made = self.generate(latents, classes)
            real, fake = self.judge(self.seen(pictures), classes), self.judge(self.seen(made), classes)
        return self.discriminator_outcome(real, fake)

    def forward(self, inputs: Pictures) -> Outcome:
        """What both players say of a batch."""
        first, second = (self.play(player, inputs) for player in self.players)
        return Outcome(first.loss + second.loss, {**second.parts, **first.parts})

    def seen(self, pictures: Tensor) -> Tensor:
        """What the discriminator is shown of pictures: in training with noise, where the rules say so."""
        if not (self.training and self.rules.instance_noise):
            return pictures
        return pictures + self.noise_now * torch.randn_like(pictures)

    def generator_outcome(self, fake: Tensor) -> Outcome:
        """fake: (B,) logits of what the generator made."""
        loss = -functional.softplus(fake) if self.rules.loss == "minimax" else functional.softplus(-fake)
        return Outcome(loss, {"generator_loss": loss})

    def discriminator_outcome(self, real: Tensor, fake: Tensor) -> Outcome:
        """real, fake: (B,) logits."""
        called_real, called_fake = torch.ones_like(real), torch.zeros_like(fake)
        if self.training:
            called_real -= self.rules.label_smoothing
        if self.training and self.rules.label_noise:
            called_real -= self.rules.label_noise * torch.rand_like(real)
            called_fake += self.rules.label_noise * torch.rand_like(fake)
        cost = functional.binary_cross_entropy_with_logits
        loss = cost(real, called_real, reduction="none") + cost(fake, called_fake, reduction="none")
        parts = {"d_real": real.sigmoid(), "d_fake": fake.sigmoid(), "passed": (fake > 0).to(fake.dtype)}
        return Outcome(loss, {"discriminator_loss": loss, **parts})

    def told(self, latents: Tensor, classes: Tensor | None) -> Tensor:
        """Latents with the classes behind them, one-hot, where the game has classes."""
        if not self.num_classes:
            return latents
        return torch.cat([latents, one_hot(classes, self.num_classes, latents)], dim=1)


@contextmanager
def by_the_batch(discriminator: nn.Module) -> Iterator[None]:
    """Its norms go by the batch in evaluation too, as they do while it learns: real and made pictures come in batches of their
    own, and the mean that both have left behind is that of neither."""
    norms = [part for part in discriminator.modules() if isinstance(part, nn.BatchNorm2d) and not part.training]
    for norm in norms:
        norm.training, norm.track_running_stats = True, False
    try:
        yield
    finally:
        for norm in norms:
            norm.training, norm.track_running_stats = False, True


def one_hot(classes: Tensor | None, num_classes: int, like: Tensor) -> Tensor:
    """(B, num_classes) of the type of `like`. Raises `UserError` where a network that is told classes is given none."""
    if classes is None:
        raise UserError(
            "this network is told the class of each picture; train it with "
            "task.options.conditional=true, or give classes with the latents"
        )
    return functional.one_hot(classes, num_classes).to(like)


def small_weights(module: nn.Module) -> None:
    """New weights as Radford 2015 draws them: N(0, 0.02), those of norms N(1, 0.02), biases 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding):
            nn.init.normal_(part.weight, *NEW)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.weight, 1.0, NEW[1])
        if isinstance(getattr(part, "bias", None), Tensor):
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]


def halvings(name: str, image_size: int) -> tuple[int, int]:
    """(side of the smallest map, how often it is doubled) of a side that is 4 to 7 times a power of 2."""
    side, doubled = image_size, 0
    while side % 2 == 0 and side >= 8:
        side, doubled = side // 2, doubled + 1
    if not (4 <= side <= 7 and doubled):
        near = min((n * 2**k for n in range(4, 8) for k in range(1, 7)), key=lambda one: abs(one - image_size))
        raise UserError(
            f"{name}: image_size must be 4 to 7 times a power of 2 (28, 32, 64, ...), received {image_size}; "
            f"the nearest is {near}: --set task.options.image_size={near}"
        )
    return side, doubled
