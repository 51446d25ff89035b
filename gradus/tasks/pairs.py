"""Pairs of texts as inputs: a story and a question, a prompt and a reply, two sentences that may say the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from gradus.data.columns import Text, type_from_dict, type_to_dict
from gradus.data.dataset import Split
from gradus.data.device_rows import Ragged
from gradus.data.text.encoders import TokenOptions, fit_encoder, load_encoder
from gradus.errors import UserError
from gradus.tasks.text import TextInputs, TextOptions, bags


@dataclass(frozen=True, kw_only=True)
class PairOptions:
    """What is told to a model of pairs besides the ids."""

    separator: str = "."  # the token that ends a sentence, for models that look at sentences


class PairInputs(TextInputs):
    """Two columns of text, in the order of the data -> int64 (B, T) and (B, U), ids of one vocabulary; models get a tuple."""

    columns: tuple[str, str]

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
        first, second = texts
        self.columns, self.column = (first, second), first
        self.types = {name: column.type for name, column in texts.items()}
        self.encoder = fit_encoder([text for column in texts.values() for text in column], self.tokens)
        self.notes = [
            f"pairs of '{first}' and '{second}'",
            f"vocabulary of both: {self.encoder.size:,} ids ({self.tokens.tokenizer})",
        ]

    def rows(self, split: Split) -> dict[str, Any]:
        encoded = [[self._cut(self.encoder.encode(text)) for text in split[name]] for name in self.columns]
        first, second = (Ragged.of(rows, self.options.pad_side) for rows in encoded)
        return {"inputs": first, "others": second}

    def taken(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        return batch["inputs"], batch["others"]

    def features_at(self, tensors: dict[str, Any], rows: np.ndarray) -> np.ndarray:
        """Both bags of words, and which words are in both: for the linear baseline."""
        both = []
        for name in ("inputs", "others"):
            chosen = tensors[name][rows]
            both.append(bags(Ragged.of([row[row > 0].numpy() for row in chosen]), self.encoder.size, False).numpy())
        return np.concatenate([*both, both[0] & both[1]], axis=1)

    def model_options(self) -> dict[str, Any]:
        found = self.encoder.encode(self.pairs.separator)
        return {**super().model_options(), "separator": int(found[0]) if len(found) == 1 else 0}

    def state(self) -> dict[str, Any]:
        types = {name: type_to_dict(kind) for name, kind in self.types.items()}
        return {"columns": list(self.columns), "types": types, "encoder": self.encoder.state()}

    def restore(self, state: dict[str, Any]) -> None:
        first, second = state["columns"]
        self.columns, self.column = (first, second), first
        self.encoder = load_encoder(state["encoder"])
        self.types = {name: type_from_dict(state["types"][name]) for name in self.columns}
