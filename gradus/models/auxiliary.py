"""Networks with auxiliary heads: classifiers on stages in the middle, which have a loss of their own while the network learns
and are left out afterwards (Szegedy et al. 2014, *Going Deeper with Convolutions*, section 5).

In training mode such a network returns `(logits, auxiliary logits, ...)`, in evaluation the logits alone. The loss is

    loss(logits) + auxiliary_weight * (loss(auxiliary logits) + ...)

and whatever is counted (accuracy, ...) is counted on the first. Any module of the user's own that returns a tuple in training
and says its `auxiliary_weight` is trained the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from gradus.errors import UserError
from gradus.models.stages import StagedNetwork, last_layer


class AuxiliaryNetwork(StagedNetwork):
    """A chain of stages with heads on some of them.

    auxiliary_heads:  stage -> name of the module that turns the stage's output into logits; empty: there are none
    auxiliary_weight: what one of their losses weighs, where that of the logits weighs 1
    """

    auxiliary_heads: dict[str, str]
    auxiliary_weight: float

    def forward(self, inputs: Tensor) -> Tensor | tuple[Tensor, ...]:  # type: ignore[override]
        if not (self.training and self.auxiliary_heads):
            return super().forward(inputs)
        try:
            return self.run_with_heads(inputs)
        except RuntimeError:
            self.refuse_if_too_small(inputs)
            raise

    def run_with_heads(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Applies all stages, and the heads on those that have one: (logits, auxiliary logits, ...)."""
        others = []
        for stage in self.stages:
            inputs = self.run(inputs, stage, stage)
            if stage in self.auxiliary_heads:
                others.append(getattr(self, self.auxiliary_heads[stage])(inputs))
        return inputs, *others


def auxiliary_heads_of(model: nn.Module) -> list[str]:
    """The names of the last layers with weights of a network's auxiliary heads: they have `num_classes` outputs too."""
    heads = getattr(model, "auxiliary_heads", {}).values()
    return [last_layer(model, (head,)) for head in heads]


def main_outputs(outputs: Tensor | tuple[Tensor, ...]) -> Tensor:
    """The logits, without those of auxiliary heads."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


def one_row(outputs: Tensor | tuple[Tensor, ...], row: int) -> Tensor | tuple[Tensor, ...]:
    """The outputs for one row of a batch, still with a first dimension."""
    if isinstance(outputs, tuple):
        return tuple(output[row : row + 1] for output in outputs)
    return outputs[row : row + 1]


def total_loss(model: nn.Module, outputs: Tensor | tuple[Tensor, ...], loss_of: Callable[[Tensor], Tensor]) -> Tensor:
    """The loss of the logits plus `auxiliary_weight` of the model times that of every auxiliary head.

    Raises `UserError` where a module returns a tuple without saying what the others weigh.
    """
    if not isinstance(outputs, tuple):
        return loss_of(outputs)
    weight: Any = getattr(model, "auxiliary_weight", None)
    if weight is None:
        raise UserError(
            f"in training {type(model).__name__} returns {len(outputs)} outputs: set its attribute auxiliary_weight "
            "to what the loss of each but the first weighs"
        )
    first, *others = outputs
    return loss_of(first) + weight * sum(loss_of(other) for other in others)
