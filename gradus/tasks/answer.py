"""What a task answers for one row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gradus.data.columns import ColumnType


@dataclass(frozen=True)
class Answer:
    """One prediction: a value of `type`, how sure the model is of it (None where it cannot say), and what else it weighed."""

    value: Any
    type: ColumnType
    certainty: float | None = None
    alternatives: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        result: dict[str, Any] = {"prediction": self.type.to_json(self.value)}
        if self.certainty is not None:
            result["certainty"] = round(self.certainty, 6)
        if self.alternatives:
            result["alternatives"] = {name: round(share, 6) for name, share in self.alternatives.items()}
        return result

    def to_text(self) -> str:
        text = self.type.to_text(self.value)
        return text if self.certainty is None else f"{text}  ({self.certainty:.1%})"


@dataclass(frozen=True)
class SeveralAnswers(Answer):
    """The answers to several questions about one row, by the name of the column that each is of."""

    answers: dict[str, Answer] = field(default_factory=dict)

    @classmethod
    def of(cls, answers: dict[str, Answer]) -> SeveralAnswers:
        first = next(iter(answers.values()))
        return cls(first.value, first.type, answers=answers)

    def to_json(self) -> dict[str, Any]:
        """{"prediction": {name: value}, "certainty": {name: share}, "alternatives": {name: {...}}}."""
        each = {name: answer.to_json() for name, answer in self.answers.items()}
        found = {
            key: {name: one[key] for name, one in each.items() if key in one}
            for key in ("prediction", "certainty", "alternatives")
        }
        return {key: values for key, values in found.items() if values}

    def to_text(self) -> str:
        return "; ".join(f"{name}: {answer.to_text()}" for name, answer in self.answers.items())
