"""The loss before training: a network that knows nothing should be as wrong as chance, ln C."""

from __future__ import annotations

import math

import numpy as np
import torch

from gradus.doctor.case import Case
from gradus.doctor.finding import Finding

ROWS = 256


def find_initial_loss(case: Case) -> list[Finding]:
    """A first loss far above ln C: outputs are too large at the beginning, or the loss is not a mean."""
    expected = math.log(len(case.classes))
    rows = np.arange(min(ROWS, len(case.targets("train"))))
    inputs, targets = case.batch("train", rows)
    with torch.no_grad():
        loss = float(case.task.loss(case.fresh_model.eval()(inputs), targets, training=False))
    case.measured["initial loss"] = {"measured": loss, "of chance": expected}
    if case.recipe.model.weights or loss < 2 * expected + 1:
        return []
    return [
        Finding(
            kind="initial-loss",
            told=f"the loss before the first step is {loss:.3g}, where knowing nothing gives "
            f"ln {len(case.classes)} = {expected:.3g}",
            where="the untrained network",
            value=loss,
            usual=f"about {expected:.3g}",
            strength=min(1.0, loss / (20 * expected)),
            command=f"gradus look {case.named} activations",
        )
    ]
