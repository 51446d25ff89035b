"""The variational autoencoder (Kingma and Welling 2013; Rezende, Mohamed and Wierstra 2014), of convolutions or dense.

    z ~ N(0, 1)        x | z ~ Bernoulli(decoder(z)), or N(decoder(z), deviation^2)
    q(z | x) = N(mean(x), exp(log_variance(x)))

All that it tells is in nats a picture, summed over the pixels and the latent numbers:

    reconstruction = -log p(x | z)       kl = KL(q(z | x) || N(0, 1))       elbo = -(reconstruction + kl) <= log p(x)

and what it minimises is reconstruction + beta * kl, which is -elbo with beta 1. With `samples` above 1 it is minus the
importance-weighted bound of so many latents a picture (Burda, Grosse and Salakhutdinov 2015), told as `bound`.

Grey values from 0 to 1 are no data of a Bernoulli distribution. With them `elbo` is what all publish for such pictures, but the
logarithm of a probability only with task option `binarize`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models.generative.coders import Decoder, Encoder, Shape, draw_weights
from gradus.models.generative.outcome import Outcome, as_pair, standard_normal

Likelihood = Literal["bernoulli", "gaussian"]
HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


class VariationalAutoencoder(nn.Module):
    """Pictures float32 (B, C, H, W) from 0 to 1 -> Outcome.

    latent_size: numbers in a latent
    likelihood:  of a pixel: "bernoulli", or "gaussian" with the deviation that is given, one for all pixels
    learn_deviation: the deviation is learnt, from the given one on (Rybkin 2020)
    beta:        weight of the divergence in the loss (Higgins 2017)
    samples:     latents a picture; above 1 the loss is minus the importance-weighted bound
    num_classes: the encoder and the decoder are told the class (Sohn 2015)
    """

    pixels: Literal["unit"] = "unit"
    log_deviation: Tensor | None  # of a gaussian likelihood

    def __init__(
        self,
        shape: Shape,
        *,
        latent_size: int,
        likelihood: Likelihood = "bernoulli",
        deviation: float = 0.1,
        learn_deviation: bool = False,
        beta: float = 1.0,
        samples: int = 1,
        initialization: str = "pytorch",
    ) -> None:
        super().__init__()
        if likelihood not in ("bernoulli", "gaussian"):
            raise UserError(f"likelihood: expected bernoulli or gaussian, received '{likelihood}'")
        if learn_deviation and likelihood == "bernoulli":
            raise UserError("learn_deviation: only a gaussian likelihood has a deviation")
        if not deviation > 0:
            raise UserError(f"deviation: must be above 0, received {deviation}")
        if beta < 0:
            raise UserError(f"beta: must be 0 or more, received {beta}")
        if not isinstance(samples, int) or samples < 1 or latent_size < 1:
            raise UserError(f"samples and latent_size must be 1 or more, received {samples} and {latent_size}")
        if samples > 1 and beta != 1:
            raise UserError("samples above 1 minimise the importance-weighted bound, which has no beta; leave one out")
        self.latent_size, self.likelihood, self.beta, self.samples = latent_size, likelihood, beta, samples
        self.encoder = Encoder(shape)
        self.mean = nn.Linear(self.encoder.size, latent_size)
        self.log_variance = nn.Linear(self.encoder.size, latent_size)
        self.decoder = Decoder(latent_size, shape)
        draw_weights(self, initialization)
        logarithm = torch.tensor(math.log(deviation)) if likelihood == "gaussian" else None
        if learn_deviation and logarithm is not None:
            self.log_deviation = nn.Parameter(logarithm)
        else:
            self.register_buffer("log_deviation", logarithm, persistent=False)

    def posterior(self, pictures: Tensor, classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> mean and log variance (B, latent_size) of q(z | x)."""
        hidden = self.encoder(pictures, classes)
        return self.mean(hidden), self.log_variance(hidden)

    def surprise(self, decoded: Tensor, pictures: Tensor) -> Tensor:
        """-log p(x | z) (B,) of what the decoder gives: logits, or the means of a Gaussian."""
        if self.log_deviation is None:
            each = functional.binary_cross_entropy_with_logits(decoded, pictures, reduction="none")
        else:
            each = 0.5 * ((pictures - decoded) * (-self.log_deviation).exp()) ** 2 + self.log_deviation + HALF_LOG_TAU
        return each.flatten(1).sum(dim=1)

    def log_weights(self, inputs: Tensor | tuple[Tensor, Tensor], samples: int) -> Tensor:
        """log p(x, z) - log q(z | x) of `samples` latents a picture, drawn from q: (samples, B).

        Their mean over samples is an estimate of the elbo; logsumexp - log(samples), of the importance-weighted bound.
        """
        pictures, classes = as_pair(inputs)
        return self._weighed(pictures, classes, *self.posterior(pictures, classes), samples)

    def _weighed(
        self, pictures: Tensor, classes: Tensor | None, mean: Tensor, log_variance: Tensor, samples: int
    ) -> Tensor:
        rows = len(pictures)
        noise = torch.randn(samples, *mean.shape, device=mean.device, dtype=mean.dtype)
        latents = mean + (0.5 * log_variance).exp() * noise
        told = None if classes is None else classes.repeat(samples)
        decoded = self.decoder(latents.flatten(0, 1), told)
        # log N(z; 0, 1) - log q(z | x): the constants of both are the same
        prior_less_posterior = 0.5 * (noise**2 + log_variance - latents**2).sum(dim=2)
        again = pictures.repeat(samples, *[1] * (pictures.ndim - 1))
        return prior_less_posterior - self.surprise(decoded, again).view(samples, rows)

    def forward(self, inputs: Tensor | tuple[Tensor, Tensor]) -> Outcome:
        pictures, classes = as_pair(inputs)
        mean, log_variance = self.posterior(pictures, classes)
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1)
        latents = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        decoded = self.decoder(latents, classes)
        reconstruction = self.surprise(decoded, pictures)
        parts = {"reconstruction": reconstruction, "kl": divergence, "elbo": -(reconstruction + divergence)}
        loss = reconstruction + self.beta * divergence
        if self.samples > 1:
            weights = self._weighed(pictures, classes, mean, log_variance, self.samples)
            parts["bound"] = weights.logsumexp(dim=0) - math.log(self.samples)
            loss = -parts["bound"]
        return Outcome(loss, parts, self._pictures(decoded))

    def encode(self, pictures: Tensor, classes: Tensor | None = None) -> Tensor:
        """(B, C, H, W) -> the mean of q(z | x), (B, latent_size)."""
        return self.posterior(pictures, classes)[0]

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        return standard_normal((count, self.latent_size), generator)

    def generate(
        self, latents: Tensor, classes: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """The mean of p(x | z): no pixel is drawn."""
        return self._pictures(self.decoder(latents, classes))

    def _pictures(self, decoded: Tensor) -> Tensor:
        return decoded.sigmoid() if self.log_deviation is None else decoded


class ConvVAE(VariationalAutoencoder):
    """As in the example of keras.io (Chollet 2020): 134 165 parameters for 28x28 and two latent numbers.

    That of *Deep Learning with Python* §8.4, 550 629 parameters, has widths (32, 64, 64, 64), strides (1, 2, 1, 1), up_widths
    (32,), hidden (32,). Its listing takes exp(log_variance) for the deviation; here that is exp(log_variance / 2).
    """

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        num_classes: int | None = None,
        latent_size: int = 2,
        widths: Sequence[int] = (32, 64),
        strides: Sequence[int] = (2, 2),
        up_widths: Sequence[int] = (),
        hidden: Sequence[int] = (16,),
        likelihood: Likelihood = "bernoulli",
        deviation: float = 0.1,
        learn_deviation: bool = False,
        beta: float = 1.0,
        samples: int = 1,
        activation: str = "relu",
        initialization: str = "glorot",
    ) -> None:
        if not widths:
            raise UserError("conv_vae: widths must name a convolution or more; dense_vae has none")
        shape = Shape(
            channels=in_channels,
            side=image_size,
            num_classes=num_classes or 0,
            widths=widths,
            strides=strides,
            up_widths=up_widths,
            hidden=hidden,
            activation=activation,
        )
        super().__init__(
            shape,
            latent_size=latent_size,
            likelihood=likelihood,
            deviation=deviation,
            learn_deviation=learn_deviation,
            beta=beta,
            samples=samples,
            initialization=initialization,
        )


class DenseVAE(VariationalAutoencoder):
    """784-400-20-400-784, as Kingma and Welling 2013 have it but for the activation: theirs is tanh, and 500 wide."""

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        num_classes: int | None = None,
        latent_size: int = 20,
        hidden: Sequence[int] = (400,),
        likelihood: Likelihood = "bernoulli",
        deviation: float = 0.1,
        learn_deviation: bool = False,
        beta: float = 1.0,
        samples: int = 1,
        activation: str = "relu",
        initialization: str = "glorot",
    ) -> None:
        super().__init__(
            Shape(
                channels=in_channels,
                side=image_size,
                num_classes=num_classes or 0,
                hidden=hidden,
                activation=activation,
            ),
            latent_size=latent_size,
            likelihood=likelihood,
            deviation=deviation,
            learn_deviation=learn_deviation,
            beta=beta,
            samples=samples,
            initialization=initialization,
        )
