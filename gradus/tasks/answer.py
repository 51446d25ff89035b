"""What a task answers for one row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gradus.data.columns import ColumnType, Tags
from gradus.tasks.spans import has_spans, spans_of


@dataclass(frozen=True)
class Answer:
    """One prediction: a value of `type`, how sure the model is of it (None where it cannot say), what else it weighed, and what
    more there is to say, as JSON."""

    value: Any
    type: ColumnType
    certainty: float | None = None
    alternatives: dict[str, float] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    remark: str = ""  # what its reader should know, such as that nothing of the input was known

    def to_json(self) -> dict[str, Any]:
        result: dict[str, Any] = {"prediction": self.type.to_json(self.value)}
        if self.certainty is not None:
            result["certainty"] = round(self.certainty, 6)
        if self.alternatives:
            result["alternatives"] = {name: round(share, 6) for name, share in self.alternatives.items()}
        if self.remark:
            result["remark"] = self.remark
        return {**result, **self.more}

    def to_text(self) -> str:
        text = self.type.to_text(self.value)
        text = text if self.certainty is None else f"{text}  ({self.certainty:.1%})"
        return f"{text}  {self.remark}" if self.remark else text


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
        return {key: values for key, values in found.items() if values} | (
            {"remark": self.remark} if self.remark else {}
        )

    def to_text(self) -> str:
        text = "; ".join(f"{name}: {answer.to_text()}" for name, answer in self.answers.items())
        return f"{text}  {self.remark}" if self.remark else text


@dataclass(frozen=True)
class TaggedWords(Answer):
    """A tag for each of the words."""

    words: tuple[str, ...] = ()

    @property
    def tags(self) -> list[str]:
        assert isinstance(self.type, Tags)
        return [tag or "O" for tag in self.type.to_json(self.value)]

    def to_json(self) -> dict[str, Any]:
        """{"prediction": [tag, ...], "words": [...], "spans": [{"type", "text", "first", "last"}]}; places: of words, from 0."""
        found = {"prediction": self.type.to_json(self.value), "words": list(self.words)}
        if has_spans(self.type.classes):  # type: ignore[union-attr]
            spans = [
                {"type": span.type, "text": " ".join(self.words[span.first : span.last + 1]), **_ends(span)}
                for span in spans_of(self.tags)
            ]
            found["spans"] = spans
        return found

    def to_text(self) -> str:
        """The words in one line; what is found stands in brackets with its type, or each word with its tag."""
        if not has_spans(self.type.classes):  # type: ignore[union-attr]
            return " ".join(f"{word}/{tag}" for word, tag in zip(self.words, self.tags, strict=True))
        words = list(self.words)
        for span in spans_of(self.tags):
            words[span.first] = f"[{span.type} {words[span.first]}"
            words[span.last] += "]"
        return " ".join(words)

    def to_lines(self, width: int = 100) -> list[str]:
        """The words with their tags over them, in lines of at most about `width` characters; O is not written."""
        lines: list[tuple[str, str]] = [("", "")]
        for word, tag in zip(self.words, self.tags, strict=True):
            above, below = lines[-1]
            if below and len(below) + max(len(word), len(tag)) > width:
                lines.append(("", ""))
                above, below = "", ""
            shown = "" if tag == "O" else tag
            wide = max(len(word), len(shown))
            lines[-1] = (f"{above}{shown:{wide}} ", f"{below}{word:{wide}} ")
        return [line.rstrip() for pair in lines for line in pair]


def _ends(span: Any) -> dict[str, int]:
    return {"first": span.first, "last": span.last}
