"""The network's answers on labelled rows, for looks that judge it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gradus.errors import UserError
from gradus.look.inside.hooks import parts
from gradus.look.inside.subject import Rows, Subject


@torch.no_grad()
def probabilities(subject: Subject, pixels: Tensor) -> np.ndarray:
    """(N, classes) float64 of pictures uint8 (N, H, W, C), or of rows that are decoded when indexed."""
    answers = [subject.model(subject.prepare(pixels[part].to(subject.device))) for part in parts(len(pixels))]
    return torch.softmax(torch.cat(answers).double(), dim=1).cpu().numpy()


def are_its_classes(subject: Subject, rows: Rows) -> bool:
    """Whether the labels of the rows are the network's own outputs."""
    return not rows.classes or rows.classes == subject.classes


def demand_its_classes(subject: Subject, rows: Rows, what: str) -> None:
    """Raises `UserError` where the labels of the rows are not the network's outputs."""
    if not are_its_classes(subject, rows):
        some = ", ".join(rows.classes[:3])
        raise UserError(
            f"{what}: {subject.name} answers other classes than those of the rows ({some}); look into a run on them"
        )


def row_classes(subject: Subject, rows: Rows) -> tuple[str, ...]:
    """The names of the rows' labels."""
    named = rows.classes or subject.classes
    return named or tuple(str(label) for label in range(int(rows.labels.max()) + 1))
