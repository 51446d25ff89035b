"""Tagging: a class for each word of a text, such as names of people and places (B-PER, I-PER, O).

Words are what spaces part. Padding behind the end of a text, and words without a known tag, count nowhere: not in the loss, not
in a metric, not in a baseline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gradus.data.columns import ColumnType, Tags, Text
from gradus.data.dataset import Dataset, Split
from gradus.data.device_rows import PAD, Ragged
from gradus.data.text.encoders import TokenOptions, VocabularyEncoder, load_encoder
from gradus.errors import UserError, WrongOutputs
from gradus.tasks.answer import Answer, TaggedWords
from gradus.tasks.assessment import TagsAssessment
from gradus.tasks.encode import contents
from gradus.tasks.spans import begin_table, count_spans, has_spans, span_metrics, type_numbers
from gradus.tasks.tagging_baselines import tagging_baselines
from gradus.tasks.targets import target_column
from gradus.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class TaggingOptions:
    """What the network reads of each word."""

    vocabulary: int = 10_000  # ids at most, the special ones among them; the most frequent words are kept
    least_count: int = (
        2  # words that occur less often in the training texts are unknown, which so has a vector that learns
    )
    lowercase: bool = False  # read words in lower case
    characters: int = 0  # letters of each word that the network reads beside it; 0: none

    def __post_init__(self) -> None:
        if self.characters < 0:
            raise UserError(f"characters: expected 0 letters of a word or more, received {self.characters}")
        self.tokens  # noqa: B018 - says what is wrong with the others

    @property
    def tokens(self) -> TokenOptions:
        return TokenOptions(tokenizer="whitespace", vocabulary=self.vocabulary, least_count=self.least_count)


class TaggingTask(Task):
    """One column of text -> ids int64 (B, T), and letters (B, T, L) where they are read; targets int64 (B, T): 1 + class, 0 where
    there is no word or no known tag. Model outputs are logits (B, T, C). The loss is in nats a word."""

    name = "tagging"
    column: str
    source: str  # the column of text
    encoder: VocabularyEncoder
    letters: VocabularyEncoder | None
    classes: tuple[str, ...]
    words_a_row: float

    def __init__(self, options: TaggingOptions) -> None:
        self.options, self.notes = options, []

    @property
    def directions(self) -> dict[str, str]:  # type: ignore[override]
        spans = {"span_f1": "max", "span_precision": "max", "span_recall": "max"} if self.spans else {}
        return {**spans, "accuracy": "max", "macro_f1": "max"}

    @property
    def spans(self) -> bool:
        """Whether the tags tell spans (B-PER, I-PER, O)."""
        return has_spans(self.classes)

    @property
    def input_types(self) -> dict[str, ColumnType]:
        return {self.source: Text()}

    @property
    def target_column(self) -> str:
        return self.column

    def fit(self, dataset: Dataset) -> None:
        self.column = target_column(dataset)
        train = dataset["train"]
        kind = train[self.column].type
        if not isinstance(kind, Tags):
            raise UserError(
                f"target '{self.column}' holds {contents(train[self.column])}: tagging needs a tag for each word"
            )
        texts = [name for name, column in train.columns.items() if isinstance(column.type, Text)]
        if len(texts) != 1:
            raise UserError(f"tagging needs exactly one column of text; there are {len(texts)}")
        self.source, self.classes = texts[0], kind.classes
        if len(self.classes) < 2:
            raise UserError(
                f"target '{self.column}' has one tag only ('{self.classes[0]}'): there is nothing to tell apart"
            )
        words = [word for row in self._words(train) for word in row]
        if not words:
            raise UserError("the training texts hold no word to learn from")
        self.encoder = VocabularyEncoder.fit([" ".join(map(self._read, words))], self.options.tokens)[0]
        self.letters = None
        if self.options.characters:
            characters = TokenOptions(tokenizer="character", vocabulary=1_000)
            self.letters = VocabularyEncoder.fit(sorted(set(words)), characters)[0]
        self.words_a_row = len(words) / len(train)
        self._prepare_counts()
        unknown = sum(self._read(word) not in self.encoder.ids for word in words) / len(words)
        self.notes = [
            f"{len(words):,} training words, {self.encoder.size:,} ids, {unknown:.1%} unknown; {len(self.classes)} tags"
        ]

    def _prepare_counts(self) -> None:
        self.table, self.types = begin_table(self.classes), type_numbers(self.classes)

    def _words(self, split: Split) -> list[list[str]]:
        return [text.split() for text in split[self.source]]

    def _read(self, word: str) -> str:
        return word.lower() if self.options.lowercase else word

    def to_device(self, device: torch.device) -> None:
        self.table, self.types = self.table.to(device), self.types.to(device)

    def encode(self, split: Split, *, with_target: bool = True) -> dict[str, Any]:
        texts = self._words(split)
        rows: dict[str, Any] = {"inputs": Ragged.of([self.encoder.encode(self._read(" ".join(row))) for row in texts])}
        if self.letters is not None:
            rows["letters"] = Ragged.of([self._letters(row) for row in texts])
        if with_target:
            rows["targets"] = Ragged.of(self._targets(split, texts))
        return rows

    def _letters(self, words: list[str]) -> np.ndarray:
        """(words, L) ids of the first letters of each."""
        assert self.letters is not None
        found = np.full((len(words), self.options.characters), PAD, dtype=np.int32)
        for place, word in enumerate(words):
            ids = self.letters.encode(word[: self.options.characters])
            found[place, : len(ids)] = ids
        return found

    def _targets(self, split: Split, texts: list[list[str]]) -> list[np.ndarray]:
        column = split[self.column]
        assert isinstance(column.type, Tags)
        positions = {name: index for index, name in enumerate(self.classes)}
        mapping = np.array([positions.get(name, -1) for name in column.type.classes] + [-1])
        found = []
        for row, (words, tags) in enumerate(zip(texts, column, strict=True)):
            if len(words) != len(tags):
                raise UserError(f"{split.origins[row]}: {len(words)} words, but {len(tags)} tags")
            found.append((mapping[tags] + 1).astype(np.int32))
        return found

    def prepare(self, batch: dict[str, Tensor], *, training: bool) -> tuple[Any, Tensor | None]:
        inputs = (batch["inputs"], batch["letters"]) if "letters" in batch else batch["inputs"]
        return inputs, batch.get("targets")

    def loss(self, outputs: Tensor, targets: Tensor, *, training: bool) -> Tensor:
        """Divided by the rows, each of as many words as rows have in the mean: the gradient of a batch is then the mean of those
        of its parts. `metrics` makes it nats a word."""
        losses = functional.cross_entropy(
            outputs.flatten(0, 1).float(), targets.flatten() - 1, ignore_index=-1, reduction="sum"
        )
        return losses / (len(targets) * self.words_a_row)

    def counts(self, outputs: Tensor, targets: Tensor, *, training: bool) -> dict[str, Tensor]:
        none = len(self.classes)
        known = targets > 0
        wanted = torch.where(known, targets - 1, none)
        predicted = torch.where(known, outputs.argmax(dim=2), none)
        names = torch.arange(none, device=targets.device)
        given, found = wanted[..., None] == names, predicted[..., None] == names
        sums = {
            "words": known.sum(),
            "hits": (given & found).sum(dim=(0, 1)),
            "named": (given.long() + found).sum(dim=(0, 1)),
        }
        if self.spans:
            sums["spans"] = count_spans(predicted, wanted, self.table, self.types).sum(dim=0)
        return sums

    def metrics(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        words = max(float(totals["words"]), 1.0)
        found = span_metrics(totals["spans"]) if self.spans else {}
        present = totals["named"] > 0
        f1 = 2 * totals["hits"][present] / totals["named"][present]
        found |= {"accuracy": float(totals["hits"].sum() / words), "macro_f1": float(f1.mean()) if len(f1) else 0.0}
        if "loss" in totals:
            found["loss"] = float(totals["loss"]) * self.words_a_row / words
        return found

    def check_outputs(self, outputs: Any, rows: int, model: str) -> None:
        got = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        if (
            not isinstance(outputs, Tensor)
            or outputs.ndim != 3
            or (len(outputs), outputs.shape[2]) != (rows, len(self.classes))
        ):
            raise WrongOutputs(
                f"model {model} gives {got}, tagging needs ({rows}, words, {len(self.classes)}): logits of each word"
            )

    def collected(self, outputs: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """(B, T, C), nan where there is no word."""
        return outputs.float().masked_fill((batch["inputs"] == PAD)[:, :, None], torch.nan)

    def joined(self, parts: list[Tensor]) -> Tensor:
        longest = max(part.shape[1] for part in parts)
        return torch.cat([functional.pad(part, (0, 0, 0, longest - part.shape[1]), value=torch.nan) for part in parts])

    def assess(self, outputs: Tensor, targets: Any) -> TagsAssessment:
        wanted = targets[:]
        shares = torch.softmax(outputs.double(), dim=2).numpy()
        lengths = (~outputs[:, :, 0].isnan()).sum(dim=1).tolist()
        rows = outputs.nan_to_num()
        totals = {
            name: value.cpu().double().numpy() for name, value in self.counts(rows, wanted, training=False).items()
        }
        loss = functional.cross_entropy(rows.flatten(0, 1).double(), wanted.flatten() - 1, ignore_index=-1)
        return TagsAssessment(
            classes=self.classes,
            probabilities=[row[:length] for row, length in zip(shares, lengths, strict=True)],
            targets=[row[:length].numpy() - 1 for row, length in zip(wanted, lengths, strict=True)],
            metrics={**self.metrics(totals, len(rows)), "loss": float(loss)},
        )

    def decode(self, outputs: Tensor) -> list[Answer]:
        kind = Tags(classes=self.classes)
        return [Answer(row[~row[:, 0].isnan()].argmax(dim=1).numpy(), kind) for row in outputs]

    def answers(self, split: Split, outputs_of: Any) -> list[Answer]:
        found = self.decode(outputs_of(self.encode(split, with_target=False)))
        texts = self._words(split)
        return [TaggedWords(one.value, one.type, words=tuple(row)) for one, row in zip(found, texts, strict=True)]

    def baselines(self, train: dict[str, Any], test: dict[str, Any]) -> dict[str, dict[str, float]]:
        """Each word's most frequent tag; and a hidden Markov model, whose states are the tags."""
        found = {}
        wanted = test["targets"][:]
        for name, predicted in tagging_baselines(train, test, len(self.classes), self.encoder.size).items():
            outputs = functional.one_hot(predicted.clamp(min=0), len(self.classes)).float()
            totals = {
                key: value.double().numpy() for key, value in self.counts(outputs, wanted, training=False).items()
            }
            found[name] = self.metrics(totals, len(wanted))
        return found

    def model_options(self) -> dict[str, Any]:
        letters = self.letters.size if self.letters is not None else 0
        return {"num_tokens": self.encoder.size, "num_classes": len(self.classes), "num_characters": letters}

    def state(self) -> dict[str, Any]:
        letters = self.letters.state() if self.letters is not None else None
        columns = {"column": self.column, "source": self.source, "classes": list(self.classes)}
        return {**columns, "encoder": self.encoder.state(), "letters": letters, "words_a_row": self.words_a_row}

    def restore(self, state: dict[str, Any]) -> None:
        self.column, self.source, self.classes = state["column"], state["source"], tuple(state["classes"])
        self.encoder = load_encoder(state["encoder"])  # type: ignore[assignment]
        self.letters = load_encoder(state["letters"]) if state["letters"] else None  # type: ignore[assignment]
        self.words_a_row = state["words_a_row"]
        self._prepare_counts()
