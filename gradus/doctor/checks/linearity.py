"""Whether a network of several layers is but one linear map."""

from __future__ import annotations

import torch
from torch import Tensor

from gradus.doctor.case import Case, NotHere
from gradus.doctor.commands import with_option
from gradus.doctor.finding import Finding
from gradus.doctor.probe import part, probe
from gradus.doctor.scales import main_weight

ROWS = 16
EXACT = 1e-6  # share by which sums of outputs may differ: float64 leaves 1e-12, float32 inside of a network 1e-7


def find_linear_network(case: Case) -> list[Finding]:
    """f(a) + f(b) - f(0) = f(a + b) for real rows a and b: layers without a non-linearity between them are one layer."""
    tried = probe(case, 2 * ROWS, training=False)
    layers = [name for name, module in tried.model.named_modules() if main_weight(module) is not None]
    if len(layers) < 2:
        raise NotHere("the network has one layer")
    if not isinstance(tried.inputs, Tensor) or not tried.inputs.is_floating_point():
        raise NotHere("its inputs cannot be added up")
    model, rows = tried.model.double(), tried.inputs.double()
    first, second = part(rows, slice(0, len(rows) // 2)), part(rows, slice(len(rows) // 2, len(rows) // 2 * 2))
    with torch.no_grad():
        outputs = [model(each) for each in (first, second, torch.zeros_like(first), first + second)]
    if not all(isinstance(one, Tensor) for one in outputs) or outputs[0].shape == first.shape:
        raise NotHere("its outputs are no scores")  # a linear autoencoder is meant to be one
    of_first, of_second, of_zero, of_both = outputs
    size = float((of_both - of_zero).abs().max())
    error = float((of_first + of_second - of_zero - of_both).abs().max()) / size if size else 1.0
    case.measured["distance from a linear map"] = error
    if not error <= EXACT:
        return []
    return [
        Finding(
            kind="linear-network",
            told=f"the {len(layers)} layers are one linear map: for two rows a and b, f(a) + f(b) - f(0) is f(a + b) to "
            f"{error:.0e}, so they can learn no more than a single layer",
            where=f"{layers[0]} to {layers[-1]}",
            value=error,
            usual="an activation, such as ReLU, between each two layers",
            strength=0.95,
            command=with_option(case, "activation", "relu", "activation-gallery"),
            others=("nn.ReLU() after every layer but the last",),
        )
    ]
