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
    """The outputs that a user names, for one picture with these outputs (K,): names or numbers with commas between them, a
    range 281-285 for the one among them that scores highest, nothing for the network's own answer."""
    if not of_class.strip():
        return [int(outputs.argmax())]
    if subject.classes and of_class in subject.classes:
        return [subject.classes.index(of_class)]
    asked = [_one_class(subject, part.strip(), outputs) for part in of_class.split(",") if part.strip()]
    return list(dict.fromkeys(asked))  # a range may meet a class that was named


def _one_class(subject: Subject, wanted: str, outputs: Tensor) -> int:
    first, dash, last = wanted.partition("-")
    if dash and first.isdigit() and last.isdigit() and wanted not in (subject.classes or ()):
        if not int(first) <= int(last) < len(outputs):
            raise UserError(f"class: {wanted} is no range of the {len(outputs)} outputs of {subject.name}")
        return int(first) + int(outputs[int(first) : int(last) + 1].argmax())
    index = subject.class_index(wanted)
    if index >= len(outputs):
        raise UserError(f"class: {subject.name} has outputs 0 to {len(outputs) - 1}, received {index}")
    return index


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
