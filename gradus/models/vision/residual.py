"""What residual networks share: the form of a block, its convolutions, and initial weights."""

from __future__ import annotations

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """after(branch(x) + shortcut(x)) with x = before(inputs): He et al. 2016, *Identity mappings*, eq. 1.

    A block says what its branch is; its shortcut, and what stands before the fork and after the sum, are the identity unless
    it says otherwise. So whoever wants to know what a branch does can take it away, or put another block's in its place.
    """

    def before(self, inputs: Tensor) -> Tensor:
        return inputs

    def branch(self, inputs: Tensor) -> Tensor:
        raise NotImplementedError

    def shortcut(self, inputs: Tensor) -> Tensor:
        return inputs

    def after(self, total: Tensor) -> Tensor:
        return total

    def forward(self, inputs: Tensor) -> Tensor:
        inputs = self.before(inputs)
        return self.after(self.branch(inputs) + self.shortcut(inputs))


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """Keeps the size (stride 1), or halves it, rounded up. No bias: a norm follows."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)


def conv1x1(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)


def draw_he(model: nn.Module) -> None:
    """Weights of all convolutions from N(0, 2 / fan-out), so that gradients keep their size (He et al. 2015); biases 0."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
