"""Whether more or less of a metric is better: of every metric that a split is judged by, and of what a model costs.

`Task.directions` names the few by which weights are chosen; a test holds them to what stands here.
"""

from __future__ import annotations

import re
from typing import Literal

_MORE = re.compile(
    r"(.*_)?(accuracy|f1|precision|recall|iou|auc)|recall_at_\d+|exact_match|r2|r_squared|skill|miou|iou50"
    r"|map\d*|map_(small|medium|large)|voc07_map50|pck_.+|boundary_f|(expected_)?return|length"
)
_LESS = re.compile(
    r"(.*_)?(loss|error|entropy|mae|mse|rmse)|error_(rate|pixels)|smape|mase|mape|pinball"
    r"|(perplexity|nats|bits)(_per_.+)?|reconstruction|return_deviation|false_alarms|latency_ms|size_mb|parameters"
)


def direction_of(metric: str) -> Literal["max", "min"] | None:
    """ "max" where more is better, "min" where less is, None where neither is (the coverage of bands) or the name is
    not known. Of several outputs a metric is named with its column: "age.mae"."""
    names = [metric, *(metric[place + 1 :] for place, letter in enumerate(metric) if letter == ".")]
    for name in names:
        if _MORE.fullmatch(name):
            return "max"
        if _LESS.fullmatch(name):
            return "min"
    return None
