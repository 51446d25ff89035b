"""What a report shows of a network that makes pictures."""

from __future__ import annotations

import numpy as np

from gradus.look.page import Html, section, table
from gradus.look.text import number
from gradus.tasks.assessment import GenerationAssessment


def generation_evidence(assessment: GenerationAssessment) -> list[Html]:
    """What the network says of the pictures of the split: mean, deviation, least and most of each number."""
    rows = []
    for index, name in enumerate(assessment.names):
        values = assessment.values[:, index].astype(np.float64)
        rows.append([name, *(number(value) for value in (values.mean(), values.std(), values.min(), values.max()))])
    told = table(["a picture", "mean", "deviation", "least", "most"], rows)
    return [section("told", "What it says of pictures of the split", told)]
