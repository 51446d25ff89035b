"""A classifier whose layers begin as those of a deep belief network (Hinton, Osindero and Teh 2006; Hinton and Salakhutdinov
2006): the hidden units of each machine become a sigmoid layer, and all learn on by back-propagation.

With one layer that is frozen it is logistic regression on the features of a machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.stages import StagedNetwork


class DBNClassifier(StagedNetwork):
    """(B, ...) flattened to (B, in_features) -> logits (B, num_classes), through sigmoid layers of `hidden` units.

    Without `--weights RUN` of an rbm or dbn the layers begin at random, in Glorot's range.
    """

    def __init__(self, in_features: int = 784, num_classes: int = 10, hidden: Sequence[int] = (500, 500, 1000)) -> None:
        super().__init__()
        hidden = [hidden] if isinstance(hidden, int) else list(hidden)
        if not hidden or not all(isinstance(width, int) and width > 0 for width in hidden):
            raise UserError(f"dbn_classifier: hidden must be whole numbers above 0, received {hidden}")
        self.flatten = nn.Flatten()
        self.stages = {}
        width = in_features
        before: tuple[str, ...] = ("flatten",)
        for number, units in enumerate(hidden, start=1):
            layer = nn.Linear(width, units)
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
            self.add_module(f"layer{number}", layer)
            self.add_module(f"sigmoid{number}", nn.Sigmoid())
            self.stages[f"layer{number}"] = (*before, f"layer{number}", f"sigmoid{number}")
            width, before = units, ()
        self.head = nn.Linear(width, num_classes)
        self.stages["head"] = ("head",)
        self.widths = hidden

    def load_backbone(self, tensors: Mapping[str, Tensor], where: str) -> list[str]:
        """Takes the machines of an rbm or dbn as layers, as many as there are there. Raises `UserError` for other weights."""
        prefixes = [""] if "hidden_bias" in tensors else [f"layers.{number}." for number in range(len(self.widths))]
        taken = 0
        for prefix in prefixes:
            weight, bias = tensors.get(f"{prefix}weight"), tensors.get(f"{prefix}hidden_bias")
            if weight is None or bias is None or weight.ndim != 2:
                break
            layer: nn.Linear = getattr(self, f"layer{taken + 1}")
            if weight.T.shape != layer.weight.shape:
                wanted = " -> ".join(map(str, layer.weight.T.shape))
                raise UserError(
                    f"{where}: its machine {taken + 1} is {' -> '.join(map(str, weight.shape))}, layer {taken + 1} of "
                    f"dbn_classifier {wanted}; give model.options.hidden"
                )
            layer.weight.data.copy_(weight.T)
            layer.bias.data.copy_(bias)
            taken += 1
        if not taken:
            raise UserError(
                f"{where}: these are weights of no restricted Boltzmann machine; a run of rbm or dbn has such"
            )
        new = ", ".join(list(self.stages)[taken:])
        return [f"{taken} of {len(self.widths)} layers begin as machines of {where}; new: {new}"]
