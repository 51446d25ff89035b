"""What the network gives: as many outputs as there are classes, and logits where the loss takes logits."""

from __future__ import annotations

import math
import shlex

import numpy as np
from torch import Tensor

from gradus.doctor.case import Case, NotHere
from gradus.doctor.finding import Finding
from gradus.doctor.probe import probes
from gradus.errors import WrongOutputs
from gradus.tasks.targets import ClassTarget, LabelsTarget

ROWS = 64
SUM_ERROR = 1e-3  # of float32 probabilities of a row, from 1

ENDS = {"SoftmaxBackward0": "softmax", "SigmoidBackward0": "sigmoid"}


def wrong_outputs(error: WrongOutputs) -> Finding:
    """The finding of a network that cannot be tried at all, as its task says it."""
    return Finding(
        kind="wrong-outputs",
        told=str(error),
        where="the last layer",
        usual="one output for each class, or for each number",
        strength=1.0,
        command="gradus lesson softmax-and-classes",
        others=("give the last layer as many outputs as the task needs",),
    )


def find_empty_classes(case: Case) -> list[Finding]:
    """An output for a class that no training row has: it is learnt never to be given."""
    classes = case.classes
    counts = np.bincount(case.targets("train"), minlength=len(classes))
    empty = [name for name, count in zip(classes, counts, strict=True) if count == 0]
    if not empty:
        return []
    shown = ", ".join(f"'{name}'" for name in empty[:5]) + (", ..." if len(empty) > 5 else "")
    return [
        Finding(
            kind="wrong-outputs",
            told=f"the network has {len(classes)} outputs, but the training rows are of {len(classes) - len(empty)} "
            f"classes: there is no row of {shown}",
            where=f"class {empty[0]}",
            value=float(len(empty)),
            usual="training rows of every class",
            strength=0.6,
            command=shlex.join(["gradus", "data", "scan", case.dataset.source]),
        )
    ]


def find_probabilities(case: Case) -> list[Finding]:
    """Probabilities where the loss takes logits: the loss makes probabilities of them once more, and hardly falls.

    They are known by the operation that made them, or by rows that are not negative and sum to 1.
    """
    target = getattr(case.task, "target", None)
    if not isinstance(target, ClassTarget | LabelsTarget):
        raise NotHere(f"the loss of task {case.task.name} takes no logits of classes")
    for probe in probes(case, ROWS, training=False):
        outputs = probe.outputs()
        if not isinstance(outputs, Tensor):
            raise NotHere("the network gives no tensor")
        made_by = ENDS.get(outputs.grad_fn.name() if outputs.grad_fn is not None else "", "")
        outputs = outputs.detach().double()
        sums = outputs.sum(dim=1)
        if not made_by and _are_shares(outputs, sums, isinstance(target, ClassTarget)):
            made_by = "softmax"
        case.measured["range of the outputs"] = [float(outputs.min()), float(outputs.max())]
        if made_by:
            return [_probabilities(outputs, made_by, isinstance(target, ClassTarget))]
    return []


def _are_shares(outputs: Tensor, sums: Tensor, of_one_class: bool) -> bool:
    return of_one_class and bool((outputs >= 0).all()) and bool(((sums - 1).abs() < SUM_ERROR).all())


def _probabilities(outputs: Tensor, made_by: str, of_one_class: bool) -> Finding:
    classes = outputs.shape[1]
    least = math.log(math.e + classes - 1) - 1  # the cross-entropy of (1, 0, ..., 0), taken for logits
    floor = f", so the loss cannot fall below {least:.3g}" if of_one_class else ""
    return Finding(
        kind="probabilities",
        told=f"the network ends in a {made_by}: its outputs lie between {float(outputs.min()):.3g} and "
        f"{float(outputs.max()):.3g}, and the loss turns them into probabilities a second time{floor}",
        where="the last operation of the network",
        value=float(outputs.max()),
        usual="logits: any numbers, above and below 0",
        strength=0.9,
        command="gradus lesson softmax-and-classes",
        others=(f"take the {made_by} out of the network's forward: the loss has its own",),
    )
