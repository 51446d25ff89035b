"""What a report shows of a network that acts."""

from __future__ import annotations

import numpy as np

from gradus.look import charts
from gradus.look.page import Html, element, figure, section, table
from gradus.look.text import number
from gradus.tasks.assessment import ControlAssessment


def control_evidence(assessment: ControlAssessment) -> list[Html]:
    """Mean, deviation, quartiles and extremes of returns and lengths, and how the returns spread."""
    rows = []
    for what, values in (("return", assessment.returns), ("steps", assessment.lengths.astype(np.float64))):
        quartiles = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
        deviation = values.std(ddof=1) if len(values) > 1 else 0.0
        rows.append([what, *(number(value) for value in (values.mean(), deviation, *quartiles))])
    told = table(
        ["an episode", "mean", "deviation", "least", "a quarter below", "median", "a quarter above", "most"], rows
    )
    drawn = []
    if np.ptp(assessment.returns) > 0:
        drawn = [figure(charts.histogram("returns", assessment.returns, across="return of an episode"), "Returns")]
    return [section("episodes", "The episodes", told, element("div", *drawn, class_="figures"))]
