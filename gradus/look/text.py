"""Numbers, durations and metric names in words for people, and text that is safe to show.

Every number that a report prints is formatted here, so that the same value looks the same in every place.
"""

from __future__ import annotations

import math
import re
from numbers import Real
from typing import TypeGuard

MISSING = "–"

# Names of metrics as a sentence uses them. A name that is not listed is shown with spaces for underscores.
METRIC_WORDS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "top5_accuracy": "top-5 accuracy",
    "subset_accuracy": "exact match",
    "exact_match": "exact match",
    "label_accuracy": "accuracy per label",
    "hamming_loss": "wrong labels",
    "error_rate": "error rate",
    "f1": "F1",
    "macro_f1": "macro F1",
    "span_f1": "F1 of spans",
    "span_precision": "precision of spans",
    "span_recall": "recall of spans",
    "micro_f1": "micro F1",
    "roc_auc": "area under the ROC curve",
    "auc": "area under the ROC curve",
    "mean_absolute_error": "mean absolute error",
    "mae": "mean absolute error",
    "mean_squared_error": "mean squared error",
    "mse": "mean squared error",
    "root_mean_squared_error": "root mean squared error",
    "rmse": "root mean squared error",
    "smape": "symmetric error in per cent",
    "mase": "error against the seasonal naive one (MASE)",
    "pinball": "pinball loss",
    "coverage": "coverage of the bands",
    "skill": "error saved against the best naive forecast",
    "r2": "R²",
    "r_squared": "R²",
    "map50": "mAP@50",
    "voc07_map50": "mAP@50 (VOC 2007, 11 points)",
    "map": "mAP (COCO, IoU 50 to 95%)",
    "map75": "mAP@75 (COCO)",
    "map_small": "mAP of small objects (below 32² pixels)",
    "map_medium": "mAP of medium objects (32² to 96²)",
    "map_large": "mAP of large objects (above 96²)",
    "recall_at_1": "recall of the surest detection a class and picture",
    "recall_at_10": "recall of the surest 10",
    "recall_at_100": "recall of the surest 100",
    "miou": "mean IoU",
    "mean_iou": "mean IoU",
    "iou50": "share of boxes with an IoU of half or more",
    "normalized_error": "mean error over the picture's diagonal (or its points')",
    "error_pixels": "mean error in pixels",
    "pck_0.05": "share of points within 5% of that diagonal",
    "pck_0.1": "share of points within 10%",
    "pixel_accuracy": "pixel accuracy",
    "mean_class_accuracy": "mean class accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
    "boundary_f": "boundary F",
    "loss": "loss",
    "perplexity_per_character": "perplexity a character",
    "perplexity_per_word": "perplexity a word",
    "perplexity_per_token": "perplexity a token",
    "nats_per_character": "nats a character",
    "bits_per_character": "bits a character",
    "cross_entropy": "cross-entropy",
    "log_loss": "cross-entropy",
}

# Metrics without a unit that reach 1 at best: three decimals, so that columns of them line up.
UNITLESS = frozenset({"r2", "r_squared", "r2_score", "roc_auc", "auc"})

_SHARE = re.compile(
    r"accuracy|f1|precision|recall|exact_match|error_rate|hamming|coverage|skill|\bmap|_map|iou\b|iou50|pck_|boundary_f"
)
_UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(value: object) -> str:
    """The text of `value` with what HTML and UTF-8 cannot hold (control characters, lone surrogates) replaced by �."""
    return _UNSAFE.sub("\ufffd", str(value))


def brief(text: str, letters: int = 40) -> str:
    """A name as a sentence can bear it: cut with an ellipsis where it is longer than `letters`."""
    return text if len(text) <= letters else text[: letters - 1].rstrip() + "…"


def capital(words: str) -> str:
    """The words with a capital first letter, the others as they are: "macro F1" -> "Macro F1", but "mAP" stays."""
    if words[1:2].isupper():
        return words
    return words[:1].upper() + words[1:]


def metric_words(name: str) -> str:
    """A metric's name as a sentence uses it: `root_mean_squared_error` -> "root mean squared error"."""
    return METRIC_WORDS.get(name, name.replace("_", " "))


def is_share(metric: str) -> bool:
    """Whether a metric is a share of rows (0..1) that is best read as a percentage."""
    return _SHARE.search(metric) is not None


def is_number(value: object) -> TypeGuard[float]:
    """Whether `value` is a finite number of Python or NumPy (not None, not nan, not a bool)."""
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)


def count(value: float) -> str:
    """A whole number with separators: 61706 -> "61,706"."""
    return f"{round(value):,}" if is_number(value) else MISSING


def number(value: float | None, digits: int = 4) -> str:
    """A real number with `digits` significant digits: 0.012345 -> "0.01235", 15234.5 -> "15,235"; "–" for nan."""
    if value is None or not is_number(float(value)):
        return {math.inf: "∞", -math.inf: "−∞"}.get(float(value), MISSING) if value is not None else MISSING
    value = float(value)
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if -5 <= magnitude < 12:
        text = f"{value:,.{max(digits - 1 - magnitude, 0)}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        text = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return text.replace("-", "−")


def percent(share: float | None, decimals: int = 1) -> str:
    """A share as a percentage: 0.9778 -> "97.8%". What is not quite all or nothing is never rounded to 100% or 0%."""
    if share is None or not is_number(float(share)):
        return MISSING
    text = f"{100 * share:.{decimals}f}"
    if share < 1 and float(text) >= 100:
        return f">{100 - 10.0**-decimals:.{decimals}f}%"
    if share > 0 and float(text) == 0:
        return f"<{10.0**-decimals:.{decimals}f}%"
    return f"{text}%".replace("-", "−")


def metric_value(metric: str, value: float | None, decimals: int = 1) -> str:
    """A metric's value as people read it: shares as percentages with `decimals`, the others with four digits."""
    if metric in UNITLESS and is_number(value):
        return f"{value:.3f}".replace("-", "−")
    return percent(value, decimals) if is_share(metric) else number(value)


def duration(seconds: float | None) -> str:
    """A length of time: 0.034 -> "34 ms", 12.34 -> "12.3 s", 245 -> "4 min 5 s", 8000 -> "2 h 13 min"."""
    if seconds is None or not is_number(float(seconds)):
        return MISSING
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def plural(quantity: int, one: str, many: str | None = None) -> str:
    """ "1 epoch", "12 epochs"."""
    return f"{count(quantity)} {one if quantity == 1 else many or one + 's'}"
