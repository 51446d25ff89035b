"""Which parts of a network learn in an epoch, and at what share of the learning rate.

A frozen part is a fixed function: its parameters have no gradient and no optimiser state, its batch normalisation uses the
statistics it has, and its dropout is off (so that what it gives can be computed once; Keras would leave dropout on). The backward
pass ends where nothing before it learns. Parts are named by stages (`models/stages.py`) or by the start of modules' names.

What learns is a function of the epoch alone, so a resumed run needs no state of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from gradus.errors import UserError, unknown_name
from gradus.models.stages import stages_of
from gradus.train.settings import FineTuneSettings

FEATURES = "features"  # all stages but the head


def within(name: str, modules: Iterable[str]) -> bool:
    """Whether a parameter or module is one of `modules`, or stands in one."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


class FineTune:
    """The settings, brought to a network. Raises `UserError` for a part that it does not have, or where nothing would learn.

    units: the frozen parts in the order in which the network applies them: (name, modules)
    """

    def __init__(self, model: nn.Module, settings: FineTuneSettings) -> None:
        self.settings = settings
        self.stages = stages_of(model) if settings.freezes or settings.rate_decay != 1 else {}
        self.numbers = {name: parameter.numel() for name, parameter in model.named_parameters()}
        self.learnable = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        self.places = {name: index for index, name in enumerate(_in_order(model, self.stages))}
        self.units = self._units(model)
        if settings.freezes and all(within(name, self.frozen_at(0)) for name in self.learnable):
            raise UserError("train.fine_tune.freeze: nothing would learn; leave the head out")

    def _units(self, model: nn.Module) -> list[tuple[str, tuple[str, ...]]]:
        asked = list(self.settings.freeze) or ([FEATURES] if self.settings.unfreeze_every else [])
        found: dict[str, tuple[str, ...]] = {}
        modules = [name for name, _ in model.named_modules() if name]
        for name in asked:
            if name == FEATURES:
                found |= {stage: self.stages[stage] for stage in list(self.stages)[:-1]}
            elif name in self.stages:
                found[name] = self.stages[name]
            elif name in modules:
                found[name] = (name,)
            elif inside := [module for module in modules if module.rpartition(".")[2] == name]:
                found[name] = tuple(inside)  # `embedding` for front.embedding
            else:
                raise unknown_name("stage or module of the network", name, [FEATURES, *self.stages, *modules])
        # what has no weights (a pooling layer) is no part of its own: it would cost an unfreezing and change nothing
        held = [(name, part) for name, part in found.items() if any(within(p, part) for p in self.numbers)]
        # nor is what stands in another part: it learns when that does
        held = [unit for unit in held if not any(_inside(unit[1], part) for name, part in held if name != unit[0])]
        return sorted(held, key=lambda unit: min(self.places.get(module, len(self.places)) for module in unit[1]))

    def frozen_at(self, epoch: int) -> tuple[str, ...]:
        """The modules that do not learn in an epoch (counted from 0)."""
        every, most = self.settings.unfreeze_every, self.settings.unfreeze_stages
        thawed = min(epoch // every if every else 0, len(self.units) if most is None else most)
        return tuple(module for _, modules in self.units[: max(len(self.units) - thawed, 0)] for module in modules)

    def share_of(self, parameter: str) -> float:
        """Its share of the learning rate: 1 in the head, `rate_decay` to the power of how many stages before it."""
        if self.settings.rate_decay == 1:
            return 1.0
        stages = list(self.stages.values())
        place = next((index for index, part in enumerate(stages) if within(parameter, part)), len(stages) - 1)
        return self.settings.rate_decay ** (len(stages) - 1 - place)

    def labels(self, modules: Iterable[str]) -> list[str]:
        """The names of the frozen parts that have these modules."""
        wanted = set(modules)
        return [name for name, part in self.units if wanted.intersection(part)]

    def describe(self, epoch: int = 0) -> str:
        """How many parameters learn, and what is frozen."""
        frozen = self.frozen_at(epoch)
        learning = sum(self.numbers[name] for name in self.learnable if not within(name, frozen))
        words = f"{learning:,} of {sum(self.numbers.values()):,} parameters learn"
        return f"{words}, frozen: {', '.join(self.labels(frozen))}" if frozen else words


def _inside(part: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether all modules of a part stand in another one, which has more."""
    return part != other and all(within(module, other) for module in part)


def _in_order(model: nn.Module, stages: dict[str, tuple[str, ...]]) -> list[str]:
    """All modules in the order of the stages, each followed by what is inside; then those of no stage."""
    every = [name for name, _ in model.named_modules() if name]
    chain = [module for modules in stages.values() for module in modules]
    found = [name for module in chain for name in every if within(name, (module,))]
    return [*found, *(name for name in every if name not in set(found))]
