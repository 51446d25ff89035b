"""Texts as inputs: token ids for networks that read them in order, or bags of words as vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from gradus.data.columns import Text, type_from_dict, type_to_dict
from gradus.data.dataset import Split
from gradus.data.device_rows import Ragged
from gradus.data.text.encoders import TextEncoder, TokenOptions, fit_encoder, load_encoder
from gradus.errors import UserError
from gradus.tasks.encode import refuse_if_too_large
from gradus.tasks.inputs import Inputs


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """How token ids are given to the model."""

    max_length: int = 500  # tokens of a text that are read; 0: all
    keep: Literal["first", "last"] = "first"  # which part of a longer text is read
    pad_side: Literal["right", "left"] = "right"
    # ids in their order; or a vector with a place for each id: whether it occurs, or how often
    encoding: Literal["ids", "multi-hot", "count"] = "ids"

    def __post_init__(self) -> None:
        if self.max_length < 0:
            raise UserError(f"max_length: expected 1 or more tokens (or 0 for all), received {self.max_length}")


class TextInputs(Inputs):
    """One column of text -> int64 (B, T) token ids with 0 as padding, or float32 (B, vocabulary) of a bag of words."""

    column: str
    encoder: TextEncoder
    given: TextEncoder | None = None  # taken in place of one that is fitted to the training texts

    def __init__(self, options: TextOptions, tokens: TokenOptions) -> None:
        self.options, self.tokens, self.notes = options, tokens, []

    def fit(self, train: Split, exclude: tuple[str, ...]) -> None:
        texts = {n: c for n, c in train.columns.items() if isinstance(c.type, Text) and n not in exclude}
        if len(texts) != 1:
            held = f"it has {len(texts)}: {', '.join(texts)}" if texts else "it has none"
            raise UserError(f"a text task needs exactly one column of text; {held}")
        (self.column, column), *_ = texts.items()
        self.types = {self.column: column.type}
        self.encoder = self.given or fit_encoder(column, self.tokens)
        where = ", that of the word vectors" if self.given else ""
        self.notes = [f"vocabulary: {self.encoder.size:,} ids ({self.tokens.tokenizer}){where}"]

    def encode(self, split: Split) -> Any:
        ragged = Ragged.of([self._cut(self.encoder.encode(text)) for text in split[self.column]], self.options.pad_side)
        if self.options.encoding == "ids":
            return ragged
        needed = len(split) * self.encoder.size
        refuse_if_too_large(needed, f"{len(split):,} bags of {self.encoder.size:,} words")
        return bags(ragged, self.encoder.size, self.options.encoding == "count")

    def _cut(self, ids: np.ndarray) -> np.ndarray:
        most = self.options.max_length
        if not most or len(ids) <= most:
            return ids
        return ids[:most] if self.options.keep == "first" else ids[-most:]

    def prepare(self, batch: Tensor) -> Tensor:
        return batch if self.options.encoding == "ids" else batch.to(torch.float32)

    def features(self, encoded: Any) -> np.ndarray:
        """Bags of words, for the linear baseline."""
        if isinstance(encoded, Tensor) and encoded.dtype == torch.uint8:
            return encoded.numpy()
        return bags(Ragged.of([row[row > 0].numpy() for row in encoded]), self.encoder.size, False).numpy()

    def model_options(self) -> dict[str, Any]:
        if self.options.encoding == "ids":
            return {"num_tokens": self.encoder.size}
        return {"in_features": self.encoder.size}

    def state(self) -> dict[str, Any]:
        kind = type_to_dict(self.types[self.column])
        return {"column": self.column, "type": kind, "encoder": self.encoder.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.column, self.encoder = state["column"], load_encoder(state["encoder"])
        self.types = {self.column: type_from_dict(state["type"])}


def bags(rows: Ragged, size: int, counted: bool) -> Tensor:
    """uint8 (N, size): whether each id occurs in each row, or how often (at most 255)."""
    found = np.zeros((len(rows), size), dtype=np.uint8)
    flat, offsets = rows.flat.numpy(), rows.offsets.numpy()
    for row in range(len(rows)):
        ids = flat[offsets[row] : offsets[row + 1]]
        if counted:
            found[row] = np.minimum(np.bincount(ids, minlength=size), 255)
        else:
            found[row, ids] = 1
    return torch.from_numpy(found)
