"""Texts as inputs: token ids for networks that read them in order, or bags of words as vectors.

Not offered: one-hot vectors over time (B, T, vocabulary). An embedding whose weights are the unit matrix gives them from ids, and
a first layer of its own gives what a dense layer would make of them, without the zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from gradus.data.columns import ColumnType, Text, type_from_dict, type_to_dict
from gradus.data.dataset import Split
from gradus.data.device_rows import Ragged
from gradus.data.text.encoders import END, SPECIAL, UNKNOWN, TextEncoder, TokenOptions, fit_and_encode, load_encoder
from gradus.errors import UserError
from gradus.tasks.encode import contents, refuse_if_too_large
from gradus.tasks.inputs import Inputs

PAIRS = 2**18  # columns that pairs of tokens share in the linear baseline
MOST_READ = 500  # tokens of a text, where nothing else is said and they are read in order
Encoding = Literal["ids", "multi-hot", "count", "frequency", "tf-idf"]


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """How token ids are given to the model."""

    max_length: int | None = None  # tokens of a text that are read; 0: all; None: 500 in their order, all of a bag
    keep: Literal["first", "last"] = "first"  # which part of a longer text is read
    pad_side: Literal["right", "left"] = "right"
    # ids in their order; or a vector with a place for each id: whether it occurs, how often, its share of the text, or how
    # often by how rare it is (smoothed, rows of length 1, as scikit-learn has it)
    encoding: Encoding = "ids"

    def __post_init__(self) -> None:
        if self.max_length is not None and self.max_length < 0:
            raise UserError(f"max_length: expected 1 or more tokens (or 0 for all), received {self.max_length}")

    @property
    def most(self) -> int:
        """Tokens of a text that are read; 0: all."""
        return (MOST_READ if self.encoding == "ids" else 0) if self.max_length is None else self.max_length


class TextInputs(Inputs):
    """Columns of text -> int64 (B, T) token ids with 0 as padding, or float32 (B, vocabulary) of a bag of words.

    Several columns are read as one text, the id END between them, in the order of the table. In bags the special ids count
    nothing, unknown tokens among them.
    """

    tensor_names: ClassVar[tuple[str, ...]] = ("rarity",)
    encoder: TextEncoder

    def __init__(self, options: TextOptions, tokens: TokenOptions) -> None:
        self.options, self.tokens, self.notes = options, tokens, []
        self.rarity: Tensor | None = None  # (vocabulary,) the weight of each id in TF-IDF

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read, in their order."""
        return tuple(self.types)

    @property
    def column(self) -> str:
        """The first of them."""
        return self.columns[0]

    def fit(self, train: Split, exclude: tuple[str, ...]) -> None:
        others = {name: column for name, column in train.columns.items() if name not in exclude}
        columns = {name: column for name, column in others.items() if isinstance(column.type, Text)}
        if not columns:
            held = ", ".join(f"'{name}' holds {contents(column)}" for name, column in others.items()) or "there is none"
            raise UserError(f"a text task needs a column of text beside the target; {held}")
        self.types: dict[str, ColumnType] = {name: column.type for name, column in columns.items()}
        left_out = [f"column '{n}' holds {contents(c)}: left out" for n, c in others.items() if n not in columns]
        self.encoder, rows = fit_and_encode(chain.from_iterable(columns.values()), self.tokens)
        count = len(train)
        ragged = self._ragged([rows[start : start + count] for start in range(0, len(rows), count)])
        self._train = (train, ragged)
        together = f"texts: columns {', '.join(columns)}, read as one text each row"
        self.notes = [together] * (len(columns) > 1) + left_out
        self.notes += [f"vocabulary: {self.encoder.size:,} ids ({self.tokens.tokenizer})", *self.encoder.notes]
        self._note_lengths(rows if len(columns) == 1 else None)
        if self.options.encoding == "tf-idf":
            found = np.bincount(sparse_counts(ragged, self.encoder.size).indices, minlength=self.encoder.size)
            self._rarity = (np.log((1 + count) / (1 + found)) + 1).astype(np.float32)

    def _note_lengths(self, rows: list[np.ndarray] | None) -> None:
        most = self.options.most
        longer = sum(len(row) > most for row in rows) if rows and most else 0
        if longer:
            part = "first" if self.options.keep == "first" else "last"
            self.notes.append(f"texts: the {part} {most:,} tokens are read; {longer / len(rows or ()):.0%} are longer")

    def encode(self, split: Split) -> Any:
        ragged = self._of_train(split)
        if ragged is None:
            ragged = self._ragged([self.encoder.encode_all(split[name]) for name in self.columns])
        if self.options.encoding == "ids":
            return ragged
        needed = len(split) * self.encoder.size
        refuse_if_too_large(
            needed,
            f"{len(split):,} bags of {self.encoder.size:,} words",
            "choose a smaller task.options.vocabulary or fewer rows (data.rows)",
        )
        return bags(ragged, self.encoder.size, self.options.encoding != "multi-hot")

    def _of_train(self, split: Split) -> Ragged | None:
        """The rows that `fit` has cut already, where it is asked for them: once, so that they are not kept."""
        train, ragged = getattr(self, "_train", (None, None))
        if train is None or any(train[name].values is not split[name].values for name in self.columns):
            return None
        del self._train
        return ragged

    def _ragged(self, columns: list[list[np.ndarray]]) -> Ragged:
        """Token ids of each row of each column -> the rows."""
        rows = columns[0]
        if len(columns) > 1:
            end = np.array([END], dtype=np.int32)
            rows = [
                np.concatenate([p for part in parts for p in (end, part)][1:]) for parts in zip(*columns, strict=True)
            ]
        return Ragged.of([self._cut(row) for row in rows], self.options.pad_side)

    def _cut(self, ids: np.ndarray) -> np.ndarray:
        most = self.options.most
        if not most or len(ids) <= most:
            return ids
        return ids[:most] if self.options.keep == "first" else ids[-most:]

    def to_device(self, device: torch.device) -> None:
        if self.options.encoding == "tf-idf":
            self.rarity = torch.as_tensor(self._rarity, device=device)

    def prepare(self, batch: Tensor) -> Tensor:
        encoding = self.options.encoding
        if encoding == "ids":
            return batch
        counts = batch.to(torch.float32)
        if encoding == "frequency":
            return counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
        if encoding == "tf-idf":
            assert self.rarity is not None
            weighted = counts * self.rarity
            return weighted / weighted.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return counts

    def features(self, encoded: Any) -> Any:
        """(N, F) sparse counts for the linear baseline: of tokens, and where their order is known of pairs that follow each
        other too, which share 2^18 columns by a hash."""
        if isinstance(encoded, Tensor):
            return sparse.csr_matrix(encoded.numpy(), dtype=np.float32)
        words = sparse_counts(encoded, self.encoder.size)
        return sparse.hstack([words, sparse_counts(_pairs(encoded), PAIRS)], format="csr")

    def remarks(self, split: Split) -> list[str]:
        """What is to be known of the answer for each row: an empty text, or no word that training had."""
        ragged = self._ragged([self.encoder.encode_all(split[name]) for name in self.columns])
        flat, offsets = ragged.flat.numpy(), ragged.offsets.numpy()
        rows = [flat[begin:end] for begin, end in pairwise(offsets)]
        empty = len(self.columns) - 1  # ids of a row without any token: those between the columns
        unknown = ["no word of it was seen in training" if len(row) > empty else "the text is empty" for row in rows]
        return ["" if (row > END).any() else remark for row, remark in zip(rows, unknown, strict=True)]

    def model_options(self) -> dict[str, Any]:
        if self.options.encoding == "ids":
            length = {"length": self.options.most} if self.options.most else {}
            return {"num_tokens": self.encoder.size, **length}
        return {"in_features": self.encoder.size}

    def state(self) -> dict[str, Any]:
        types = {name: type_to_dict(kind) for name, kind in self.types.items()}
        rarity = self._rarity.tolist() if self.options.encoding == "tf-idf" else None
        return {"types": types, "encoder": self.encoder.state(), "rarity": rarity}

    def restore(self, state: dict[str, Any]) -> None:
        self.encoder = load_encoder(state["encoder"])
        self.types = {name: type_from_dict(kind) for name, kind in state["types"].items()}
        if state["rarity"] is not None:
            self._rarity = np.array(state["rarity"], dtype=np.float32)


def sparse_counts(rows: Ragged, size: int) -> sparse.csr_matrix:
    """float32 (N, size): how often each id occurs in each row; special ids count nothing."""
    flat, offsets = rows.flat.numpy(), rows.offsets.numpy()
    kept = flat >= len(SPECIAL)
    begins = np.concatenate([[0], np.cumsum(kept)])[offsets]
    ids = flat[kept]
    counts = sparse.csr_matrix((np.ones(len(ids), dtype=np.float32), ids, begins), shape=(len(rows), size))
    counts.sum_duplicates()
    return counts


def bags(rows: Ragged, size: int, counted: bool) -> Tensor:
    """uint8 (N, size): whether each id occurs in each row, or how often (at most 255); special ids count nothing."""
    found = sparse_counts(rows, size)
    found.data = np.minimum(found.data, 255 if counted else 1)
    return torch.from_numpy(found.astype(np.uint8).toarray())


def _pairs(rows: Ragged) -> Ragged:
    """The pairs of ids that follow each other, as numbers from len(SPECIAL) to PAIRS - 1; pairs with special ids are left out."""
    flat, offsets = rows.flat.numpy().astype(np.uint64), rows.offsets.numpy()
    mixed = (flat[:-1] * np.uint64(0x9E3779B97F4A7C15) + flat[1:]) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (mixed >> np.uint64(40)) % np.uint64(PAIRS - len(SPECIAL)) + np.uint64(len(SPECIAL))
    special = (flat[:-1] < len(SPECIAL)) | (flat[1:] < len(SPECIAL))
    numbers[special] = UNKNOWN
    last = offsets[1:-1] - 1  # a text's last token and the next text's first are no pair
    numbers[last[(last >= 0) & (last < len(numbers))]] = UNKNOWN
    numbers = np.append(numbers, np.uint64(UNKNOWN))[: len(flat)]
    return Ragged(torch.from_numpy(numbers.astype(np.int32)), rows.offsets)
