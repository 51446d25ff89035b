"""What the doctor found as lines for a terminal: the errors on one bar, the findings, and what to type next."""

from __future__ import annotations

import textwrap
from typing import Any

from gradus.doctor.examine import Diagnosis
from gradus.doctor.finding import Finding
from gradus.look.network.words import memory_text
from gradus.look.text import duration, is_share, number, percent, plural

WIDTH = 100
BAR = 40
ADVICE = 5  # pieces of advice that are told; all are on the page
OTHERS = 4  # further remedies a finding
STAGES = {
    "bound": "bound",
    "train": "training rows",
    "train-validation": "held-out training rows",
    "validation": "validation rows",
    "test": "test rows",
}


def told(diagnosis: Diagnosis) -> list[str]:
    """The diagnosis as lines: all faults and warnings, and the first pieces of advice."""
    lines = []
    if "gaps" in diagnosis.measured:
        lines += [*stage_lines(diagnosis.measured["gaps"]), ""]
    elif "cost" in diagnosis.measured:
        lines += [cost_line(diagnosis.measured["cost"]), ""]
    alarms = diagnosis.alarms
    advice = [one for one in diagnosis.findings if one.level == "advice"]
    for place, one in enumerate([*alarms, *advice[:ADVICE]], 1):
        lines += [*finding_lines(place, one), ""]
    if len(advice) > ADVICE:
        lines += [f"and {len(advice) - ADVICE} more pieces of advice", ""]
    if "learning curve" in diagnosis.measured:
        lines += [*_wrapped("", diagnosis.measured["learning curve"]["said"]), ""]
    return [*lines, summary(diagnosis)]


def summary(diagnosis: Diagnosis) -> str:
    """How many faults, warnings and pieces of advice there are: the verdict in a line."""
    faults = sum(one.level == "fault" for one in diagnosis.findings)
    warnings = len(diagnosis.alarms) - faults
    advice = len(diagnosis.findings) - len(diagnosis.alarms)
    if not diagnosis.findings:
        return "nothing found that is wrong"
    named = [
        plural(faults, "fault") if faults else "",
        plural(warnings, "warning") if warnings else "",
        plural(advice, "piece of advice", "pieces of advice") if advice else "",
    ]
    said = ", ".join(part for part in named if part)
    return said if diagnosis.alarms else f"no faults, no warnings; {said}"


def finding_lines(place: int, one: Finding) -> list[str]:
    """A finding: what, where, what to type. Commands are not wrapped, so that they can be pasted."""
    lines = _wrapped(f"{place}. {one.level}: ", one.told)
    facts = [one.where, f"usual: {one.usual}" if one.usual else ""]
    facts = [fact for fact in facts if fact]
    lines.append(f"   {'; '.join(facts)}{' ' if facts else ''}[{one.kind}]")
    if one.command:
        lines.append(f"   next: {one.command}")
    lines += [f"   or:   {other}" for other in one.others[:OTHERS]]
    return lines


def cost_line(measured: dict[str, float | None]) -> str:
    """What a training is to take, before it begins."""
    minutes, rate = measured["minutes in all"] or 0.0, measured["rows a second"]
    parts = ("bytes of parameters", "bytes of the optimiser", "bytes of activations of a batch")
    memory = memory_text(int(sum(measured[name] or 0.0 for name in parts)))
    took = f"to expect here: {duration(60 * minutes)} of training ({number(rate, 3)} rows a second)"
    return f"{took}; weights, optimiser and a batch take {memory}"


def stage_lines(measured: dict[str, Any]) -> list[str]:
    """The stages from the bound to the test rows, each with its error, its interval and a bar."""
    stages = {name: measured["stages"][name] for name in STAGES if name in measured["stages"]}
    whole = max([*(one["high"] for one in stages.values() if one["high"] == one["high"]), 1e-12])
    rows = []
    for name, one in stages.items():
        span = "" if name == "bound" else f"{_said(measured, one['low'])} to {_said(measured, one['high'])}"
        filled = round(BAR * min(one["error"] / whole, 1))
        rows.append((STAGES[name], _said(measured, one["error"]), span, "█" * filled))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{measured['error']}, with 95 % intervals; bound {measured['bound']}"]
    for label, error, span, bar in rows:
        lines.append(f"  {label:<{widths[0]}}  {error:>{widths[1]}}  {span:<{widths[2]}}  {bar}".rstrip())
    return lines


def _said(measured: dict[str, Any], error: float) -> str:
    return percent(max(error, 0.0), 1) if is_share(measured["metric"]) else number(error, 3)


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=head, subsequent_indent=" " * 3 if head else "", break_long_words=False
    )
