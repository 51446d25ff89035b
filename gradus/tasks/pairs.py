"""Pairs of texts as inputs: a story and a question, a prompt and a reply, two sentences that may say the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from torch import Tensor

from gradus.data.columns import Text
from gradus.data.dataset import Split
from gradus.data.text.encoders import TokenOptions, fit_encoder
from gradus.errors import UserError
from gradus.tasks.text import TextInputs, TextOptions, sparse_counts


@dataclass(frozen=True, kw_only=True)
class PairOptions:
    """What is told to a model of pairs besides the ids."""

    separator: str = "."  # the token that ends a sentence, for models that look at sentences


class PairInputs(TextInputs):
    """Two columns of text, in the order of the data -> int64 (B, T) and (B, U), ids of one vocabulary; models get a tuple."""

    def __init__(self, options: TextOptions, tokens: TokenOptions, pairs: PairOptions) -> None:
        super().__init__(options, tokens)
        self.pairs = pairs
        if options.encoding != "ids":
            raise UserError(f"encoding: models of pairs read ids, received '{options.encoding}'")

    def fit(self, train: Split, exclude: tuple[str, ...]) -> None:
        texts = {n: c for n, c in train.columns.items() if isinstance(c.type, Text) and n not in exclude}
        if len(texts) != 2:
            held = f"it has {len(texts)}: {', '.join(texts)}" if texts else "it has none"
            raise UserError(f"a task on pairs needs exactly two columns of text; {held}")
        self.types = {name: column.type for name, column in texts.items()}
        self.encoder = fit_encoder([text for column in texts.values() for text in column], self.tokens)
        self.notes = [
            f"pairs of '{self.columns[0]}' and '{self.columns[1]}'",
            f"vocabulary of both: {self.encoder.size:,} ids ({self.tokens.tokenizer})",
            *self.encoder.notes,
        ]

    def rows(self, split: Split) -> dict[str, Any]:
        first, second = (self._ragged([self.encoder.encode_all(split[name])]) for name in self.columns)
        return {"inputs": first, "others": second}

    def taken(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        return batch["inputs"], batch["others"]

    def features_at(self, tensors: dict[str, Any], rows: np.ndarray | None = None) -> Any:
        """Of both texts those that one has, and which words are in both: for the linear baseline."""
        first, second = (sparse_counts(tensors[name], self.encoder.size) for name in ("inputs", "others"))
        shared = first.sign().multiply(second.sign())
        both = [self.features(tensors[name]) for name in ("inputs", "others")]
        found = sparse.hstack([*both, shared], format="csr")
        return found if rows is None else found[rows]

    def model_options(self) -> dict[str, Any]:
        found = self.encoder.encode(self.pairs.separator)
        return {**super().model_options(), "separator": int(found[0]) if len(found) == 1 else 0}
