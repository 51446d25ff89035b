"""Language modelling: which token comes next, at every place of a text. Losses are in nats a token."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.data.columns import Column, ColumnType, Text
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.device_rows import Windows
from gradus.data.text.encoders import TextEncoder, TokenOptions, fit_and_encode, load_encoder
from gradus.errors import UserError
from gradus.tasks.assessment import LanguageAssessment
from gradus.tasks.encode import contents
from gradus.tasks.targets import target_column
from gradus.tasks.task import Answer, Task


@dataclass(frozen=True, kw_only=True)
class LanguageOptions:
    """How a text is cut into what a step learns from."""

    length: int = 64  # tokens that follow each other in a row: how far gradients reach back
    # texts that are read beside each other, each row beginning where the one before it ended with the network's state carried
    # over (truncated back-propagation through time); it is the batch size then. 0: rows from anywhere, each from the beginning
    streams: int = 0

    def __post_init__(self) -> None:
        if self.length < 1 or self.streams < 0:
            raise UserError(
                f"length, streams: expected 1 or more and 0 or more, received {self.length}, {self.streams}"
            )


class LanguageTask(Task):
    """One column of text that follows itself -> inputs int64 (B, T), targets int64 (B, T): the token after each.

    Model outputs are logits (B, T, num_tokens). The rows of a split are joined as they stand.
    """

    name = "language-modeling"
    directions: ClassVar[dict[str, str]] = {"loss": "min", "accuracy": "max"}  # type: ignore[misc]
    column: str
    encoder: TextEncoder

    def __init__(self, options: LanguageOptions, tokens: TokenOptions) -> None:
        kept = tokens.line_breaks is not False  # a text goes on over its lines, and is written in lines again
        self.options, self.tokens, self.notes = options, replace(tokens, line_breaks=kept), []

    @property
    def input_types(self) -> dict[str, ColumnType]:
        return {self.column: Text()}

    @property
    def target_column(self) -> str:
        return self.column

    @property
    def batch_rows(self) -> int | None:
        return self.options.streams or None

    def fit(self, dataset: Dataset) -> None:
        self.column = target_column(dataset)
        column = dataset["train"][self.column]
        if not isinstance(column.type, Text):
            raise UserError(f"target '{self.column}' holds {contents(column)}: a language model needs text")
        text = "".join(column)
        self.encoder, (ids,) = fit_and_encode([text], self.tokens)
        self.characters_a_token = len(text) / max(len(ids), 1)
        self.notes = [f"{len(ids):,} training tokens of {self.encoder.size:,} kinds ({self.tokens.tokenizer})"]
        self.notes += self.encoder.notes

    def encode(self, split: Split, *, with_target: bool = True) -> dict[str, Any]:
        ids = self.encoder.encode("".join(split[self.column]))
        length, streams = self.options.length, self.options.streams
        along = (len(ids) // max(streams, 1) - 1) // length  # rows of each stream
        if along < 1:
            needed = max(streams, 1) * (length + 1)
            raise UserError(f"a split of {len(ids):,} tokens is too short: {streams or 1} x {length} need {needed:,}")
        begins = torch.arange(max(streams, 1)) * (len(ids) // max(streams, 1))
        starts = (torch.arange(along)[:, None] * length + begins).flatten()  # row k of every stream, then row k + 1
        values, places = torch.from_numpy(ids), torch.arange(length)
        rows = {"inputs": Windows(values, starts, places, self.batch_rows)}
        if with_target:
            rows["targets"] = Windows(values, starts + 1, places, self.batch_rows)
        return rows

    def shown(self, split: Split) -> Split:
        """What each row foretells, as text."""
        rows = self.encode(split)["targets"]
        texts = [self.encoder.decode(row.tolist()) for row in rows[:]]
        return Split({self.column: Column(Text(), texts)}, NumberedRows.count("the text", len(texts)))

    def prepare(self, batch: dict[str, Tensor], *, training: bool) -> tuple[Tensor, Tensor | None]:
        return batch["inputs"], batch.get("targets")

    def reader(self, model: nn.Module) -> Callable[[Tensor], Tensor]:
        if not self.options.streams:
            return model
        state: list[Tensor] | None = None

        def read(ids: Tensor) -> Tensor:
            nonlocal state
            outputs, state = model.continued(ids, state)  # type: ignore[operator]
            return outputs

        return read

    def loss(self, outputs: Tensor, targets: Tensor, *, training: bool) -> Tensor:
        return functional.cross_entropy(outputs.flatten(0, 1).float(), targets.flatten())

    def counts(self, outputs: Tensor, targets: Tensor, *, training: bool) -> dict[str, Tensor]:
        return {"correct": (outputs.argmax(dim=2) == targets).count_nonzero()}

    def metrics(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        return {"accuracy": float(totals["correct"] / (samples * self.options.length))}

    def check_outputs(self, outputs: Any, rows: int, model: str) -> None:
        wanted = (rows, self.options.length, self.encoder.size)
        if not isinstance(outputs, Tensor) or tuple(outputs.shape) != wanted:
            got = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
            raise UserError(f"model {model} gives {got}, task {self.name} needs {wanted}: (rows, length, tokens)")

    def collected(self, outputs: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """(B, T, 2): the loss of each token in nats, and whether it was the most probable one."""
        targets = batch["targets"]
        losses = functional.cross_entropy(outputs.float().transpose(1, 2), targets, reduction="none")
        return torch.stack([losses, (outputs.argmax(dim=2) == targets).float()], dim=2)

    def assess(self, outputs: Tensor, targets: Tensor) -> LanguageAssessment:
        nats = outputs[..., 0].double().numpy()
        loss = float(nats.mean())
        metrics = {
            "loss": loss,
            "perplexity": math.exp(min(loss, 700.0)),
            "bits_per_character": loss / math.log(2) / self.characters_a_token,
            "accuracy": float(outputs[..., 1].double().mean()),
        }
        ids = torch.as_tensor(targets[:]).numpy()
        return LanguageAssessment(tokens=self.encoder.tokens, targets=ids, nats=nats, metrics=metrics)

    def decode(self, outputs: Tensor) -> list[Answer]:
        raise UserError("a language model continues texts: gradus generate RUN --prompt ...")

    def baselines(self, train: dict[str, Any], test: dict[str, Any]) -> dict[str, dict[str, float]]:
        """Each token by how frequent it is in the training text; and by the one before it."""
        return {}

    def model_options(self) -> dict[str, Any]:
        return {"num_tokens": self.encoder.size, "length": self.options.length}

    def state(self) -> dict[str, Any]:
        return {
            "column": self.column,
            "encoder": self.encoder.state(),
            "characters_a_token": self.characters_a_token,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.column, self.encoder = state["column"], load_encoder(state["encoder"])
        self.characters_a_token = state["characters_a_token"]
