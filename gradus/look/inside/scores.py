"""What a network says of pictures: scores, the classes that are asked about, how certain it is."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.look.inside.hooks import parts
from gradus.look.inside.subject import Subject
from gradus.look.network.trace import in_mode
from gradus.look.text import brief, percent
from gradus.tasks.targets import LabelsTarget, NumberTarget

ScoreKind = Literal["score", "probability"]  # before the softmax, or after it


def evaluating(model: nn.Module) -> AbstractContextManager[None]:
    """The model in evaluation mode, every module back in its own mode afterwards."""
    return in_mode(model, training=False)


def of_targets(outputs: Tensor, targets: Tensor, kind: ScoreKind = "score") -> Tensor:
    """outputs (B, K), targets (B,) -> (B,): the output of each row's target, as it is or as its share of the softmax."""
    if kind == "probability":
        outputs = outputs.softmax(1)
    return outputs.gather(1, targets[:, None])[:, 0]


@torch.no_grad()
def outputs_in_parts(model: nn.Module, inputs: Tensor) -> Tensor:
    """(B, ...) -> (B, K), a few rows at a time."""
    with evaluating(model):
        return torch.cat([model(inputs[part]) for part in parts(len(inputs))])


def certainties(subject: Subject, outputs: Tensor) -> Tensor:
    """Outputs (B, K) -> probabilities: of the softmax, or each label's own. Raises `UserError` where outputs are numbers."""
    target = getattr(getattr(subject.run, "task", None), "target", None)
    if isinstance(target, NumberTarget):
        raise UserError(f"{subject.name} predicts numbers; looks that say why are for classes")
    return outputs.sigmoid() if isinstance(target, LabelsTarget) else outputs.softmax(1)


def classes_asked(subject: Subject, of_class: str, outputs: Tensor) -> list[int]:
    """The outputs that a user names, for one picture with these outputs (K,): as `class_groups`, of each range the one that
    scores highest; nothing for the network's own answer."""
    if not of_class.strip():
        return [int(outputs.argmax())]
    groups = class_groups(subject, of_class, len(outputs))
    asked = [max(group, key=lambda index: float(outputs[index])) for group in groups]
    return list(dict.fromkeys(asked))  # a range may meet a class that was named


def class_groups(subject: Subject, of_class: str, count: int) -> list[list[int]]:
    """The outputs, of `count`, that a user names: names or numbers with commas between, one each; ranges as 281-285, all of it.

    Raises `UserError` for what names none.
    """
    if subject.classes and of_class in subject.classes:
        return [[subject.classes.index(of_class)]]
    groups = [_group(subject, part.strip(), count) for part in of_class.split(",") if part.strip()]
    if not groups:
        raise UserError(f"class: expected a name or a number, received '{of_class}'")
    return groups


def _group(subject: Subject, wanted: str, count: int) -> list[int]:
    first, dash, last = wanted.partition("-")
    if dash and first.isdigit() and last.isdigit() and wanted not in (subject.classes or ()):
        if not int(first) <= int(last) < count:
            raise UserError(f"class: {wanted} is no range of the {count} outputs of {subject.name}")
        return list(range(int(first), int(last) + 1))
    index = subject.class_index(wanted)
    if index >= count:
        raise UserError(f"class: {subject.name} has outputs 0 to {count - 1}, received {index}")
    return [index]


@torch.no_grad()
def output_count(subject: Subject) -> int:
    """How many outputs the network has for a picture."""
    return subject.model(subject.blank()).shape[1]


def top_answers(subject: Subject, certain: Tensor, count: int = 5) -> str:
    """Certainties (K,) -> the likeliest classes in words: "tabby 61.0%, lynx 20.2%"."""
    shares, indices = certain.topk(min(count, len(certain)))
    pairs = zip(indices.tolist(), shares.tolist(), strict=True)
    return ", ".join(f"{brief(subject.class_name(index))} {percent(share)}" for index, share in pairs)


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's, of two arrays of equal size, ties by their mean rank; not a number where one is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(values.ravel()) for values in (one, other)]
    if any(np.ptp(values) == 0 for values in ranks):
        return float("nan")
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
