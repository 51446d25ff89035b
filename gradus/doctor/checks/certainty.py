"""Whether answers are as sure as they may be."""

from __future__ import annotations

import shlex

from gradus.doctor.calibration import Stated, stated
from gradus.doctor.case import Case
from gradus.doctor.error_table import split_of
from gradus.doctor.finding import Finding
from gradus.doctor.remedies import command_of, lesson_of, said_of, smoother_labels, some_validation

LEAST = 0.03  # of calibration error: below, nobody would act otherwise


def find_wrong_certainty(case: Case) -> list[Finding]:
    """Over- and under-confidence beyond what the number of rows would show of itself."""
    run = case.trained
    split = "test" if "test" in case.tensors else split_of(run)
    found = stated(run.assess(split))
    noise = found.noise(case.seed)
    case.measured["calibration"] = {"split": split, "error": found.error, "noise": noise, "gap": found.gap}
    if found.error <= max(LEAST, noise):
        return []
    return [_finding(case, found, noise, split)]


def _finding(case: Case, found: Stated, noise: float, split: str) -> Finding:
    over = found.gap >= 0
    sure, right = float(found.confidence.mean()), float(found.right.mean())
    reason = "too sure" if over else "not sure enough"
    command = shlex.join(["gradus", "doctor", case.named, "--calibrate"])
    if "validation" not in case.tensors:
        command = command_of(case, some_validation(case)) or lesson_of("validation-overused")
    return Finding(
        kind="over-confident" if over else "under-confident",
        told=f"its answers are {reason}: on {split} rows {100 * sure:.1f} % sure on average and {100 * right:.1f} % right "
        f"(calibration error {100 * found.error:.1f} %)",
        where=f"probabilities on {split} rows",
        value=found.error,
        usual=f"a calibration error below {100 * max(noise, LEAST):.1f} % with {len(found.right):,} answers",
        strength=min(1.0, 0.1 + found.error),
        command=command,
        others=said_of(case, [smoother_labels(case)]) if over else (),
    )
