"""Batch renormalisation; local response normalisation with the convention named, as papers and files differ by a factor of the
window's size."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError, unknown_name

CONVENTIONS = {"paper": 2.0, "caffe": 1.0}  # name -> its k


class BatchRenorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation that trains on what it answers with later (Ioffe 2017): for batches that are small, or whose rows are
    alike. (B, F) or (B, C, ...) -> the same shape.

    In training values are normalised by their batch and then brought near to the running statistics by r and d, which are
    constants to the gradient. For `begin` batches it is plain batch normalisation; then their limits rise evenly, r's from 1 to
    `r_max` until batch `r_full`, d's from 0 to `d_max` until batch `d_full`: the paper's numbers, for 100 000s of batches.

    In evaluation, and in its state, it is `nn.BatchNorm2d`: one's weights are the other's.
    """

    def __init__(
        self,
        num_features: int,
        r_max: float = 3.0,
        d_max: float = 5.0,
        begin: int = 5_000,
        r_full: int = 40_000,
        d_full: int = 25_000,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__(num_features, eps, momentum)
        if r_max < 1 or d_max < 0:
            raise UserError(
                f"batch renormalisation: r_max is 1 or more and d_max 0 or more, received {r_max:g}, {d_max:g}"
            )
        if not 0 <= begin < min(r_full, d_full):
            raise UserError(f"batch renormalisation: begin has to lie before r_full and d_full, received {begin}")
        self.r_max, self.d_max, self.begin, self.r_full, self.d_full = r_max, d_max, begin, r_full, d_full

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2 or input.shape[1] != self.num_features:
            raise UserError(
                f"batch renormalisation of {self.num_features} features does not take inputs of shape {tuple(input.shape)}"
            )

    def forward(self, inputs: Tensor) -> Tensor:
        self._check_input_dim(inputs)
        mean, variance = self.running_mean, self.running_var
        assert mean is not None and variance is not None and self.num_batches_tracked is not None
        scale: Tensor = self.weight
        shift: Tensor = self.bias
        if self.training:
            with torch.no_grad():
                batch_variance, batch_mean = torch.var_mean(inputs, [0, *range(2, inputs.ndim)], correction=0)
                r_most, d_most = self._limits(self.num_batches_tracked.to(mean.dtype))
                deviation = (variance + self.eps).sqrt()
                r = torch.clamp((batch_variance.to(mean.dtype) + self.eps).sqrt() / deviation, 1 / r_most, r_most)
                d = torch.clamp((batch_mean.to(mean.dtype) - mean) / deviation, -d_most, d_most)
                self.num_batches_tracked += 1
            scale, shift = scale * r, scale * d + shift
        return functional.batch_norm(
            inputs, mean, variance, scale, shift, self.training, self.momentum or 0.0, self.eps
        )

    def _limits(self, batches: Tensor) -> tuple[Tensor, Tensor]:
        """The largest r and d after so many batches, as tensors, so that a captured step follows them."""
        r_share = ((batches - self.begin) / (self.r_full - self.begin)).clamp(0, 1)
        d_share = ((batches - self.begin) / (self.d_full - self.begin)).clamp(0, 1)
        return 1 + (self.r_max - 1) * r_share, self.d_max * d_share

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, r_max={self.r_max}, d_max={self.d_max}, begin={self.begin}"


class LocalResponseNorm(nn.Module):
    """x_i / (k + alpha * sum of x_j^2 over `size` neighbouring channels)^beta. (B, C, ...) -> the same shape.

    convention "paper": the sum as it stands, k = 2 (Krizhevsky et al. 2012, AlexNet). "caffe": alpha is divided by the size,
    k = 1 (CaffeNet, GoogLeNet, and `nn.LocalResponseNorm`). With the same alpha the two differ: alpha = 1e-4 of the paper over 5
    channels is Caffe's 5e-4. size is odd, so that the window has a middle.
    """

    def __init__(
        self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float | None = None, convention: str = "paper"
    ) -> None:
        super().__init__()
        if convention not in CONVENTIONS:
            raise unknown_name("convention", convention, CONVENTIONS)
        if size % 2 == 0:
            raise UserError(f"the window of channels has a middle: an odd size is expected, received {size}")
        self.size, self.alpha, self.beta, self.convention = size, alpha, beta, convention
        self.k = CONVENTIONS[convention] if k is None else k

    def forward(self, inputs: Tensor) -> Tensor:
        alpha = self.alpha * self.size if self.convention == "paper" else self.alpha  # PyTorch divides by the size
        return functional.local_response_norm(inputs, self.size, alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}, convention={self.convention!r}"
