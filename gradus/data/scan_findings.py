"""What a scan finds: findings by severity and kind, the first few of each named and the others counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning", "note"]
NAMED = 5  # findings of one kind that are named one by one
IMBALANCE = 10.0  # rows (boxes) of the largest class for each of the smallest
FEW = 10  # rows, boxes or pictures of a class


@dataclass(frozen=True)
class Finding:
    """One thing to know: `where` names the file, row, column or class."""

    severity: Severity
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.where}: {self.message}"


@dataclass(frozen=True)
class ScanResult:
    """What is in the data (`summary`, a line each) and what is wrong with them (`findings`, errors first)."""

    summary: list[str]
    findings: list[Finding]

    @property
    def errors(self) -> list[Finding]:
        """The findings that keep a model from being trained."""
        return [finding for finding in self.findings if finding.severity == "error"]


@dataclass
class Findings:
    """Collects findings by kind, in the order of the kinds' first findings, and names only the first few of each."""

    kinds: dict[tuple[Severity, str], list[Finding]] = field(default_factory=dict)

    def add(self, severity: Severity, kind: str, where: str, message: str) -> None:
        """kind: what findings that are counted together have in common, as a plural: "broken pictures"."""
        self.kinds.setdefault((severity, kind), []).append(Finding(severity, where, message))

    def all(self) -> list[Finding]:
        """Errors, warnings, notes; of each kind the first few and a count of the others."""
        order = ("error", "warning", "note")
        result = []
        for (severity, kind), found in sorted(self.kinds.items(), key=lambda item: order.index(item[0][0])):
            result += found[:NAMED]
            if len(found) > NAMED:
                result.append(Finding(severity, kind, f"... and {len(found) - NAMED:,} more"))
        return result
