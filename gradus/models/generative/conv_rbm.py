"""Convolutional machines with probabilistic max pooling, and a stack of them (Lee, Grosse, Ranganath and Ng 2009).

Every hidden map has one kernel for all places. In each block of pool x pool hidden units at most one is on, and a pooling unit
says whether one is; so a block is a choice among pool^2 + 1 states, and its sum in the free energy stays in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError
from gradus.models.generative.dbn import Stack
from gradus.models.generative.machine import Machine, Units


class ConvRBM(Machine):
    """Pictures (B, C, S, S) -> hidden maps (B, K, S - kernel_size + 1, ...) -> pooled ones, pool times smaller.

    weight (K, C, kernel_size, kernel_size), one hidden bias a map, one visible bias a channel. No padding, as in the paper.
    The other settings are those of `Machine`. Raises `UserError` where blocks do not fill the hidden maps.
    """

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        maps: int = 24,
        kernel_size: int = 7,
        pool: int = 2,
        visible: Units = "bernoulli",
        steps: int = 1,
        chains: int = 0,
        sparsity: float = 0.01,
        sparsity_weight: float = 5.0,
        gibbs_steps: int = 200,
    ) -> None:
        shape = (in_channels, image_size, image_size)
        super().__init__(shape, visible, steps, chains, sparsity, sparsity_weight, gibbs_steps)
        side = image_size - kernel_size + 1
        if min(maps, kernel_size, pool) < 1 or side < pool:
            raise UserError(
                f"conv_rbm: maps, kernel_size and pool must be 1 or more and fit into {image_size}x{image_size}, "
                f"received {maps}, {kernel_size} and {pool}"
            )
        if side % pool:
            raise UserError(
                f"conv_rbm: kernels of {kernel_size} over {image_size} pixels give maps of {side}, which blocks of {pool} do not "
                f"fill; choose kernel_size={kernel_size + side % pool} or another image_size"
            )
        self.pool, self.hidden_shape = pool, (maps, side // pool, side // pool)
        self.weight = nn.Parameter(0.01 * torch.randn(maps, in_channels, kernel_size, kernel_size))
        self.visible_bias = nn.Parameter(torch.zeros(in_channels))
        self.hidden_bias = nn.Parameter(torch.zeros(maps))

    @torch.no_grad()
    def fit_inputs(self, pictures: Tensor) -> None:
        """Gives each channel the bias with which its pixels are on as often as in these pictures, or its mean and deviation."""
        if self.visible == "gaussian":
            self.mean.copy_(pictures.mean(dim=(0, 2, 3))[:, None, None].expand(self.shape))
            self.deviation.copy_(pictures.std(dim=(0, 2, 3)).clamp_min(0.05)[:, None, None].expand(self.shape))
            return
        self.visible_bias.copy_(pictures.mean(dim=(0, 2, 3)).clamp(0.001, 0.999).logit())

    def heard(self, visible: Tensor) -> Tensor:
        return functional.conv2d(visible, self.weight, self.hidden_bias)

    def _blocks(self, maps: Tensor) -> Tensor:
        """(B, K, S, S) -> (B, K, S / pool, S / pool, pool^2)."""
        rows, count, high, wide = maps.shape
        cut = maps.reshape(rows, count, high // self.pool, self.pool, wide // self.pool, self.pool)
        return cut.permute(0, 1, 2, 4, 3, 5).flatten(4)

    def _maps(self, blocks: Tensor) -> Tensor:
        """What `_blocks` cut, put together again."""
        rows, count, high, wide, _ = blocks.shape
        cut = blocks.reshape(rows, count, high, wide, self.pool, self.pool).permute(0, 1, 2, 4, 3, 5)
        return cut.reshape(rows, count, high * self.pool, wide * self.pool)

    def _choices(self, visible: Tensor) -> Tensor:
        """(B, K, h, w, pool^2): the chance of each unit of a block to be the one that is on."""
        blocks = self._blocks(self.heard(visible))
        none_on = torch.zeros_like(blocks[..., :1])
        return torch.cat([blocks, none_on], dim=-1).softmax(dim=-1)[..., :-1]

    def hidden_chances(self, visible: Tensor) -> Tensor:
        return self._maps(self._choices(visible))

    def sample_hidden(self, visible: Tensor, generator: torch.Generator | None = None) -> Tensor:
        choices = self._choices(visible)
        shape = choices.shape[:-1]
        drawn = torch.rand(shape, generator=generator).to(choices) if generator else torch.rand_like(choices[..., 0])
        upto = choices.cumsum(dim=-1)
        return self._maps(((drawn[..., None] < upto) & (drawn[..., None] >= upto - choices)).to(choices.dtype))

    def said(self, hidden: Tensor) -> Tensor:
        return functional.conv_transpose2d(hidden, self.weight) + self.visible_bias[:, None, None]

    def hidden_free_energy(self, heard: Tensor) -> Tensor:
        return -functional.softplus(self._blocks(heard).logsumexp(dim=-1)).flatten(1).sum(dim=1)

    def bias_of_pixels(self) -> Tensor:
        return self.visible_bias[:, None, None].expand(self.shape)

    def features(self, states: Tensor) -> Tensor:
        """(B, K, h, w): the chance of each pooling unit."""
        return self._choices(states).sum(dim=-1)

    def pictured(self, features: Tensor) -> Tensor:
        """Of pooling units: which unit of a block is on is not known, so all get the same share."""
        shared = features.repeat_interleave(self.pool, dim=2).repeat_interleave(self.pool, dim=3) / self.pool**2
        return self.visible_mean(shared)


class ConvDBN(Stack):
    """`maps` and `kernel_size` of each machine, from the pictures on; all pool alike. The other settings are `ConvRBM`'s.

    28x28 -> 24 maps of 22, pooled 11 -> 40 of 8, pooled 4 -> 40 of 2, pooled 1.
    """

    def __init__(
        self,
        in_channels: int = 1,
        image_size: int = 28,
        maps: Sequence[int] = (24, 40, 40),
        kernel_size: Sequence[int] = (7, 4, 3),
        pool: int = 2,
        visible: Units = "bernoulli",
        steps: int = 1,
        sparsity: float = 0.01,
        sparsity_weight: float = 5.0,
        gibbs_steps: int = 200,
    ) -> None:
        if isinstance(maps, int) or isinstance(kernel_size, int) or len(maps) != len(kernel_size) or not maps:
            raise UserError(f"conv_dbn: maps and kernel_size are lists of equal length, received {maps}, {kernel_size}")
        layers: list[Machine] = []
        for count, kernel in zip(maps, kernel_size, strict=True):
            kind: Units = "bernoulli" if layers else visible
            machine = ConvRBM(
                *(in_channels, image_size, count, kernel, pool, kind, steps, 0, sparsity, sparsity_weight, gibbs_steps)
            )
            layers.append(machine)
            in_channels, image_size = count, machine.hidden_shape[-1]
        super().__init__(layers)
