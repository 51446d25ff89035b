"""Local response normalisation with the convention named, as papers and files differ by a factor of the window's size."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from gradus.errors import UserError, unknown_name

CONVENTIONS = {"paper": 2.0, "caffe": 1.0}  # name -> its k


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
