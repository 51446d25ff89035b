"""Networks as chains of stages: what freezing, cached features, heat maps and backbones are said in.

A `StagedNetwork` applies its modules one after the other, and names them in groups, from the input to the head:

    stages = {"stem": ("conv1", "bn1", "relu"), "layer1": ("layer1",), "head": ("avgpool", "flatten", "fc")}

Modules keep the names that published weights use; a stage is only a word for some of them. `head` is always the last stage.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from torch import Tensor, nn

from gradus.errors import UserError


class StagedNetwork(nn.Module):
    """A chain of stages. Subclasses set `stages`: stage -> names of its modules (dots allowed), in the order of use.

    entry: how many modules of the chain are passed over, where what they would give is given in place of pictures
    """

    stages: dict[str, tuple[str, ...]]
    entry = 0

    def forward(self, inputs: Tensor) -> Tensor:
        try:
            return self.apply_modules(inputs, self.chain()[self.entry :]) if self.entry else self.run(inputs)
        except RuntimeError:
            if not self.entry:
                self.refuse_if_too_small(inputs)
            raise

    def chain(self) -> list[str]:
        """The names of all modules, in the order of use."""
        return [module for modules in self.stages.values() for module in modules]

    def apply_modules(self, inputs: Tensor, names: Iterable[str]) -> Tensor:
        for name in names:
            inputs = attrgetter(name)(self)(inputs)
        return inputs

    def run(self, inputs: Tensor, first: str | None = None, last: str | None = None) -> Tensor:
        """Applies the stages from `first` to `last` (both included; None: from the start, to the end)."""
        names = list(self.stages)
        begin = names.index(first) if first is not None else 0
        end = names.index(last) + 1 if last is not None else len(names)
        return self.apply_modules(inputs, [module for stage in names[begin:end] for module in self.stages[stage]])

    def refuse_if_too_small(self, pictures: Tensor) -> None:
        """Raises `UserError` where the pictures are smaller than `smallest_image_size`: for when they did not go through."""
        smallest = getattr(self, "smallest_image_size", 1)
        height, width = pictures.shape[-2:]
        if min(height, width) < smallest:
            name = getattr(getattr(self, "created_as", None), "name", type(self).__name__)
            raise UserError(
                f"{name} takes pictures of at least {smallest}x{smallest} pixels, received {height}x{width}"
            ) from None


def stages_of(model: nn.Module) -> dict[str, tuple[str, ...]]:
    """The stages of a `StagedNetwork`; of any other module, each child with parameters is one, as they were registered."""
    if isinstance(model, StagedNetwork):
        return model.stages
    children = [name for name, child in model.named_children() if any(True for _ in child.parameters())]
    return {name: (name,) for name in children}


def head_of(model: nn.Module) -> str:
    """The name of the module whose outputs are the network's: the last layer with weights of the last stage."""
    return last_layer(model, list(stages_of(model).values())[-1])


def last_layer(model: nn.Module, names: tuple[str, ...]) -> str:
    """The name of the last linear or convolutional layer in the modules of these names."""
    named = dict(model.named_modules())
    layers = [
        f"{name}.{inner}".removesuffix(".")
        for name in names
        for inner, module in named[name].named_modules()
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd)
    ]
    return layers[-1]
