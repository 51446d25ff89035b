"""Whether stated probabilities are what happens: the error of calibration beside its noise, and one temperature that mends it.

Guo et al. 2017, "On calibration of modern neural networks": one number T > 0, fitted on validation rows, divides the logits. The
answers stay what they are, only how sure they are changes. Of labels each logit is divided alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np

from gradus.doctor.case import NotHere
from gradus.doctor.thresholds import paired_interval
from gradus.errors import UserError
from gradus.files import write_atomic
from gradus.look.measures import Interval, calibration
from gradus.recipes.run import TEMPERATURE_FILE, Run
from gradus.tasks.assessment import Assessment, ClassAssessment, LabelsAssessment
from gradus.train.folder import RunFolder

LEAST_ROWS = 100
DRAWN = 1_000
WORK = 20_000_000  # answers drawn in all, at most
SURE = 0.999
COLDEST, HOTTEST = 0.05, 20.0
TINY = 1e-12


@dataclass(frozen=True)
class Stated:
    """What is stated beside what happened: (N,) confidences in 0..1 and whether each was right."""

    confidence: np.ndarray
    right: np.ndarray

    @property
    def gap(self) -> float:
        """Mean confidence minus the share that is right: above 0 the answers are too sure."""
        return float(self.confidence.mean() - self.right.mean())

    @property
    def error(self) -> float:
        """The expected calibration error, 10 bins."""
        return calibration(self.confidence, self.right).error

    def noise(self, seed: int = 0) -> float:
        """What this error is below 999 times in 1,000 where every confidence is exactly true: answers are drawn by them
        (consistency resampling, Bröcker & Smith 2007)."""
        generator, rows = np.random.default_rng(seed), len(self.confidence)
        edges = calibration(self.confidence, self.right).edges
        bins = np.clip(np.searchsorted(edges, self.confidence, side="left") - 1, 0, len(edges) - 2)
        expected = np.bincount(bins, self.confidence, minlength=len(edges) - 1)
        draws = int(np.clip(WORK // max(rows, 1), 200, DRAWN))
        drawn = (generator.random(rows) < self.confidence for _ in range(draws))
        errors = [np.abs(np.bincount(bins, right, minlength=len(expected)) - expected).sum() / rows for right in drawn]
        return float(np.quantile(errors, SURE))


def stated(assessment: Assessment) -> Stated:
    """Of classes the most probable one; of labels every one, as sure as its answer. Raises `NotHere` for answers without
    probabilities, and for fewer than a hundred of them."""
    if isinstance(assessment, ClassAssessment):
        found = Stated(assessment.probabilities.max(axis=1), assessment.predictions == assessment.targets)
    elif isinstance(assessment, LabelsAssessment):
        sure = np.maximum(assessment.probabilities, 1 - assessment.probabilities).ravel()
        found = Stated(sure, (assessment.predictions == assessment.targets).ravel())
    else:
        raise NotHere("answers of this task come without probabilities")
    if len(found.right) < LEAST_ROWS:
        raise NotHere(f"{len(found.right)} answers are too few to judge how sure they may be")
    return found


@dataclass(frozen=True)
class Fitted:
    """temperature: above 1 makes answers less sure. before, after: the log loss in nats on the rows that it was fitted on."""

    temperature: float
    before: float
    after: float


def fit_temperature(assessment: ClassAssessment | LabelsAssessment) -> Fitted:
    """The temperature of the smallest log loss on the rows of an assessment. The loss is convex in 1 / T, so a search by golden
    section over log T, in which it has one valley, finds it."""
    low, high = math.log(COLDEST), math.log(HOTTEST)
    ratio = (math.sqrt(5) - 1) / 2
    while high - low > 1e-4:
        inner = high - ratio * (high - low), low + ratio * (high - low)
        left, right = (log_loss(tempered(assessment, math.exp(place)), assessment.targets) for place in inner)
        low, high = (low, inner[1]) if left <= right else (inner[0], high)
    found = math.exp((low + high) / 2)
    before = log_loss(assessment.probabilities, assessment.targets)
    after = log_loss(tempered(assessment, found), assessment.targets)
    return Fitted(found, before, after) if after < before else Fitted(1.0, before, before)


def tempered(assessment: ClassAssessment | LabelsAssessment, temperature: float) -> np.ndarray:
    """(N, C) the probabilities that logits divided by `temperature` give."""
    if temperature <= 0:
        raise UserError(f"temperature: expected a number above 0, received {temperature:g}")
    shares = np.clip(assessment.probabilities, TINY, 1)
    logits = np.log(shares) / temperature
    if isinstance(assessment, LabelsAssessment):
        logits = logits - np.log(np.clip(1 - assessment.probabilities, TINY, 1)) / temperature
        return 1 / (1 + np.exp(-logits))
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def log_loss(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Mean -log p of what was true, in nats: targets (N,) classes or bool (N, C) labels."""
    return float(_log_losses(probabilities, targets).mean())


def _log_losses(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(N,) those of the rows; of labels the mean over them."""
    if targets.ndim == 1:
        given = probabilities[np.arange(len(targets)), targets]
    else:
        given = np.where(targets, probabilities, 1 - probabilities)
    lost = -np.log(np.maximum(given, TINY))
    return lost if lost.ndim == 1 else lost.mean(axis=1)


@dataclass(frozen=True)
class Calibrated:
    """What `calibrate` did.

    split:         the rows that judge, test rows where there are some; they did not fit the temperature
    before, after: the error of calibration on them (nan: too few answers)
    loss:          their log loss in nats, before and after; rise: the 95 % interval of how much greater that became
    """

    fitted: Fitted
    split: str
    before: float
    after: float
    loss: tuple[float, float]
    rise: Interval

    @property
    def is_kept(self) -> bool:
        """False where the rows that judge have become worse by more than chance: then nothing was written."""
        return self.rise.low <= 0

    @property
    def is_worse(self) -> bool:
        """Whether they have become worse at all, by their log loss or their calibration."""
        return self.loss[1] > self.loss[0] or self.after > self.before


def calibrate(run: Run) -> Calibrated:
    """Fits a temperature on the validation rows and writes it into the run's folder: from then on its answers are as sure as they
    may be. Doing it again begins from the network's own probabilities. Where the log loss of the test rows grows by more
    than chance, nothing is written, and the run keeps the temperature that it had.

    Raises `UserError` where there are no validation rows, or no probabilities.
    """
    if "validation" not in run.experiment.tensors:
        raise UserError(f"{run.path}: a temperature is fitted on validation rows, and this run held none out")
    kept, run.temperature = run.temperature, 1.0
    try:
        own = run.assess("validation")
        stated(own)
        judged = "test" if "test" in run.experiment.tensors else "validation"
        on = run.assess(judged)
    except NotHere as reason:
        run.temperature = kept
        raise UserError(f"{run.path}: {reason}") from None
    assert isinstance(own, ClassAssessment | LabelsAssessment) and isinstance(on, ClassAssessment | LabelsAssessment)
    found = judged_temperature(fit_temperature(own), on, judged)
    if found.is_kept:
        RunFolder(run.path).write_json(TEMPERATURE_FILE, {"temperature": found.fitted.temperature})
    run.temperature = found.fitted.temperature if found.is_kept else kept
    return found


def judged_temperature(fitted: Fitted, on: ClassAssessment | LabelsAssessment, split: str) -> Calibrated:
    """What a temperature does on the rows of `split`, assessed without one."""
    cooled = replace(on, probabilities=tempered(on, fitted.temperature))
    before, after = (_log_losses(one.probabilities, one.targets) for one in (on, cooled))
    losses = float(before.mean()), float(after.mean())
    return Calibrated(fitted, split, _error(on), _error(cooled), losses, paired_interval(after - before))


def _error(found: ClassAssessment | LabelsAssessment) -> float:
    try:
        return stated(found).error
    except NotHere:
        return math.nan


def draw_reliability(found: Stated, path: Path, title: str) -> None:
    """The reliability diagram as a PNG: how often answers were right by how sure they were, and how many there are of each."""
    from PIL import Image

    from gradus.look.charts import SIZE
    from gradus.look.inside.painting import chart

    bins = calibration(found.confidence, found.right)
    middle, width = (bins.edges[:-1] + bins.edges[1:]) / 2, bins.edges[1] - bins.edges[0]

    def paint(axes, colours) -> None:
        axes.plot([0, 1], [0, 1], color=colours["muted"], linewidth=1, linestyle=(0, (3, 3)))
        axes.bar(middle, np.nan_to_num(bins.frequency), width * 0.9, color=colours["model"], label="share right")
        axes.plot(bins.confidence, bins.frequency, "o", color=colours["second"], label="at its mean certainty")
        for place, count in zip(middle, bins.counts, strict=True):
            if count:
                axes.annotate(f"{count:,}", (place, 0.01), ha="center", fontsize=7, color=colours["ink"])
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="certainty", ylabel="share right")
        axes.legend(frameon=False, fontsize=8, loc="upper left")

    panel = chart("reliability", title, paint, size=(SIZE[0], SIZE[0]))
    content = BytesIO()
    Image.fromarray(panel.pixels).save(content, "PNG")
    write_atomic(path, content.getvalue())
