"""Findings: what is wrong, the number that shows it, where, and what to type next.

Every finding has a kind, and every kind stands in `KINDS` with its level. Levels go from causes to consequences: a fault makes
all that is measured after it doubtful, a warning costs accuracy, advice tells where the next gain lies. A healthy run may have
advice, but neither faults nor warnings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Level = Literal["fault", "warning", "advice"]
LEVELS: tuple[Level, ...] = ("fault", "warning", "advice")


class Kind(NamedTuple):
    level: Level
    about: str  # what it means, in a few words


KINDS: dict[str, Kind] = {
    # the run itself
    "changed-data": Kind("fault", "the data have changed since the training"),
    "unfinished": Kind("warning", "the training has not ended"),
    # data
    "no-signal": Kind("fault", "the inputs say nothing about the target"),
    "target-leak": Kind("fault", "an input column is the target, or made from it"),
    "future-leak": Kind("fault", "an input tells what comes later"),
    "shared-rows": Kind("fault", "rows of one split are in another too"),
    "near-duplicates": Kind("fault", "rows of one split are almost those of another"),
    "split-groups": Kind("warning", "rows that belong together lie in several splits"),
    "time-order": Kind("fault", "training rows are later than those that judge"),
    "shift": Kind("warning", "a split is of another distribution than the training rows"),
    "other-preparation": Kind("fault", "a split was prepared in another way: scale, colours, missing normalisation"),
    "wrong-labels": Kind("warning", "many labels of the training rows are likely wrong, or a matter of chance"),
    "swapped-classes": Kind("fault", "two classes have changed their names"),
    "label-conflicts": Kind("warning", "equal rows have different labels"),
    "imbalance": Kind("warning", "one class is so rare that accuracy does not see it"),
    "few-rows": Kind("advice", "too few rows to tell models apart"),
    # before training: the network, the loss, the first steps
    "initial-loss": Kind("fault", "the loss before training is not what chance gives"),
    "loss-scale": Kind("fault", "the loss grows with the batch: a sum where a mean is meant"),
    "probabilities": Kind("fault", "the network gives probabilities where the loss takes logits"),
    "wrong-outputs": Kind("fault", "the network has another number of outputs than there are classes"),
    "same-units": Kind("fault", "units begin alike, so they stay alike"),
    "linear-network": Kind("warning", "layers follow each other without a non-linearity"),
    "vanishing": Kind("fault", "gradients or activations fade from layer to layer"),
    "exploding": Kind("fault", "gradients or activations grow from layer to layer"),
    "cannot-memorise": Kind("fault", "one small batch cannot be learnt by heart"),
    "kept-gradients": Kind("fault", "gradients of earlier steps are added to those of the next"),
    "custom-gradient": Kind("fault", "the gradient of a layer is not the slope of its output"),
    "batch-statistics": Kind("fault", "in evaluation a row's answer depends on the rows beside it"),
    "random-evaluation": Kind("fault", "in evaluation the same row gets other answers each time"),
    "unscaled-inputs": Kind("warning", "inputs of very different scales reach the network"),
    "harmful-augmentation": Kind("fault", "augmentation makes rows of one class into those of another"),
    "one-class-batches": Kind("fault", "batches hold rows of few classes: the data are sorted and not shuffled"),
    # during training
    "rate-too-high": Kind("fault", "the learning rate is too high"),
    "rate-too-low": Kind("fault", "the learning rate is too low"),
    "not-finite": Kind("fault", "a value was not a finite number"),
    "spikes": Kind("warning", "the loss jumps"),
    "plateau": Kind("advice", "nothing has got better for many epochs"),
    "dead-units": Kind("fault", "units give zero for every row"),
    "saturated-units": Kind("warning", "units stand at the ends of their range for almost every row"),
    "idle-layer": Kind("fault", "a layer does not learn though it should"),
    "moving-frozen": Kind("fault", "a frozen layer moves"),
    "starved": Kind("warning", "the training waits for its data"),
    "statistics-differ": Kind("warning", "batch statistics of training and evaluation disagree"),
    # after training
    "avoidable-bias": Kind("advice", "the training rows themselves are not learnt"),
    "variance": Kind("advice", "what was learnt does not carry over to new rows"),
    "mismatch": Kind("advice", "validation rows are harder than held-out rows of the training source"),
    "validation-overused": Kind("advice", "the validation rows are better than the test rows: they were chosen by"),
    "no-better-than-simple": Kind("advice", "a simple method is as good"),
    "weak-slice": Kind("advice", "one part of the rows has far more mistakes"),
    "over-confident": Kind("advice", "the probabilities are too sure"),
    "under-confident": Kind("advice", "the probabilities are not sure enough"),
    "threshold": Kind("advice", "another threshold serves the metric better"),
    "test-labels": Kind("advice", "mistakes on the test rows are partly wrong labels"),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong, or that could be better.

    kind:     a name of `KINDS`
    told:     one sentence in the user's words, with the number that shows it
    where:    the place: a layer, a column, a split, a class, an epoch
    value:    the number itself; usual: what it is in a healthy run, in words
    strength: 0 to 1, how sure and how costly: orders the findings of a level
    command:  what to type next; it works when pasted
    others:   further remedies, as commands or, where there is none, in words
    rows:     numbers of rows that show it (from 0), with the split: {"test": [3, 17]}
    """

    kind: str
    told: str
    where: str = ""
    value: float | None = None
    usual: str = ""
    strength: float = 0.5
    command: str = ""
    others: tuple[str, ...] = ()
    rows: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no such kind of finding: {self.kind}")

    @property
    def level(self) -> Level:
        return KINDS[self.kind].level

    def to_json(self) -> dict[str, Any]:
        fields = ("kind", "told", "where", "value", "usual", "strength", "command", "others", "rows")
        return {"level": self.level, **{name: getattr(self, name) for name in fields}}


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Faults first, then warnings, then advice; within a level the strongest first. Of a kind at one place only the strongest."""
    order = sorted(findings, key=lambda one: (LEVELS.index(one.level), -one.strength))
    seen: set[tuple[str, str]] = set()
    kept = []
    for one in order:
        if (one.kind, one.where) not in seen:
            seen.add((one.kind, one.where))
            kept.append(one)
    return kept
