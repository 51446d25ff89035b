"""The restricted Boltzmann machine (Smolensky 1986; Hinton 2002), after *A Practical Guide to Training Restricted Boltzmann
Machines* (Hinton 2010): weights from N(0, 0.01), hidden biases 0, visible biases by how often each pixel is on."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models.generative.machine import Machine, Units, sample


class RBM(Machine):
    """D = in_channels * image_size^2 visible units, `hidden` hidden ones: D * hidden + D + hidden parameters.

    E(v, h) = -v W h - b v - c h, with W (D, hidden), b `visible_bias` (D,), c `hidden_bias` (hidden,); of Gaussian visible
    units (v - b)^2 / 2 stands in place of -b v. The other settings are those of `Machine`.
    """

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        hidden: int = 500,
        visible: Units = "bernoulli",
        steps: int = 1,
        chains: int = 0,
        sparsity: float = 0.0,
        sparsity_weight: float = 0.1,
        gibbs_steps: int = 200,
    ) -> None:
        units = in_channels * image_size**2
        super().__init__((units,), visible, steps, chains, sparsity, sparsity_weight, gibbs_steps)
        if hidden < 1:
            raise UserError(f"rbm: hidden must be 1 or more, received {hidden}")
        self.picture, self.hidden_shape = (in_channels, image_size, image_size), (hidden,)
        self.weight = nn.Parameter(0.01 * torch.randn(units, hidden))
        self.visible_bias = nn.Parameter(torch.zeros(units))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))

    @torch.no_grad()
    def fit_inputs(self, pictures: Tensor) -> None:
        """Gives each pixel the bias with which it is on as often as in these pictures, or its mean and deviation."""
        rows = pictures.flatten(1).float()
        if self.visible == "gaussian":
            self.mean.copy_(rows.mean(dim=0))
            self.deviation.copy_(rows.std(dim=0).clamp_min(0.05))  # of pixels that hardly change, noise is no sign
            return
        often = (rows.sum(dim=0) + 1) / (len(rows) + 2)
        self.visible_bias.copy_(often.logit())
        self.chains.copy_(torch.bernoulli(often.expand_as(self.chains)))

    def heard(self, visible: Tensor) -> Tensor:
        return visible @ self.weight + self.hidden_bias

    def hidden_chances(self, visible: Tensor) -> Tensor:
        return self.heard(visible).sigmoid()

    def sample_hidden(self, visible: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return sample(self.hidden_chances(visible), generator)

    def said(self, hidden: Tensor) -> Tensor:
        return hidden @ self.weight.T + self.visible_bias

    def hidden_free_energy(self, heard: Tensor) -> Tensor:
        return -functional.softplus(heard).sum(dim=1)

    def bias_of_pixels(self) -> Tensor:
        return self.visible_bias

    def gap(self, states: Tensor, heard: Tensor, places: Tensor) -> Tensor:
        row = self.weight[places]  # what one pixel adds to what the hidden units hear
        off = heard - states.gather(1, places[:, None]) * row
        return self.visible_bias[places] + self.hidden_free_energy(off) - self.hidden_free_energy(off + row)

    def leave(self, states: Tensor) -> Tensor:
        return super().leave(states).reshape(-1, *self.picture)
