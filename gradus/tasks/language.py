"""Language modelling: which token comes next, at every place of a text. Losses are in nats a token.

A token is what the encoder makes of a text: a character, a word, a piece. Only losses a character can be compared between
encoders, so both are measured, and perplexity is named by what it is of.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from gradus.data.columns import Column, ColumnType, Text
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.device_rows import PAD
from gradus.data.text.encoders import BYTE_PAIR, SPECIAL, TextEncoder, TokenOptions, fit_and_encode, load_encoder
from gradus.errors import UserError, WrongOutputs
from gradus.tasks.assessment import LanguageAssessment
from gradus.tasks.encode import contents
from gradus.tasks.language_rows import document_rows, running, stream_rows, window_rows
from gradus.tasks.ngrams import ngram_hits, ngram_nats
from gradus.tasks.targets import target_column
from gradus.tasks.task import Answer, Task

MOST_COUNTED = 4_000_000  # training tokens up to which n-grams of 5 are counted for the baselines; above, of 2


@dataclass(frozen=True, kw_only=True)
class LanguageOptions:
    """How a text is cut into what a step learns from, and how the loss is taken."""

    length: int = 64  # tokens that follow each other in a row: how far gradients reach back. Longer documents are cut
    # texts that are read beside each other, each row beginning where the one before it ended with the network's state carried
    # over (truncated back-propagation through time); it is the batch size then. 0: rows from anywhere, each from the beginning
    streams: int = 0
    stride: int = 0  # tokens from the begin of a row to that of the next; 0: length. Below it rows overlap in training
    last_only: bool = False  # learn from the last token of each row alone, as *Deep Learning with Python* §8.1 does
    # each row of the data is a text of its own between <begin> and <end>; None: where rows do not follow each other
    documents: bool | None = None
    # the training loss: mean over all tokens of a batch, or over its rows of the sum over a row's tokens, as TensorFlow's PTB
    # program has it: gradients are then `length` times larger, for its learning rate of 1 and its clipping
    loss_over: Literal["token", "row"] = "token"

    def __post_init__(self) -> None:
        for name, least in (("length", 1), ("streams", 0), ("stride", 0)):
            if getattr(self, name) < least:
                raise UserError(f"task.options.{name}: expected {least} or more, received {getattr(self, name)}")
        if self.streams and (self.stride or self.last_only):
            raise UserError(
                "task.options.streams: rows that go on from each other have no stride, and learn everywhere"
            )
        if self.streams and self.documents:
            raise UserError(
                "task.options.streams: documents do not go on from each other; leave streams or documents out"
            )
        if self.last_only and not self.stride:
            raise UserError("task.options.last_only: needs a stride, such as 3, or most tokens would never be learnt")
        if self.stride > self.length:
            raise UserError(f"task.options.stride: {self.stride} leaves out tokens between rows of {self.length}")


class LanguageTask(Task):
    """One column of text -> inputs int64 (B, T), targets int64 (B, T): the token after each, `PAD` where none is counted.

    Model outputs are logits (B, T, num_tokens). The rows of running text are joined as they stand.
    """

    name = "language-modeling"
    directions: ClassVar[dict[str, str]] = {"loss": "min", "accuracy": "max"}  # type: ignore[misc]
    column: str
    encoder: TextEncoder
    documents: bool

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

    @property
    def unit(self) -> str:
        """What a token is, in one word."""
        name = self.tokens.tokenizer
        return name if name == "character" else "token" if name in BYTE_PAIR else "word"

    def fit(self, dataset: Dataset) -> None:
        self.column = target_column(dataset)
        column = dataset["train"][self.column]
        if not isinstance(column.type, Text):
            raise UserError(f"target '{self.column}' holds {contents(column)}: a language model needs text")
        self.documents = not dataset.ordered if self.options.documents is None else self.options.documents
        if self.documents and self.options.streams:
            raise UserError(
                f"{dataset.name}: its rows do not follow each other, so none can go on from another: leave out "
                "task.options.streams, or set task.options.documents=false to read them as one text"
            )
        texts = self._texts(dataset["train"])
        self.encoder, encoded = fit_and_encode(texts, self.tokens)
        count = sum(map(len, encoded))
        what = f"{len(texts):,} documents of {count:,} tokens" if self.documents else f"{count:,} training tokens"
        self.notes = [
            f"{what}, each a {self.unit} ({self.tokens.tokenizer}), of {self.encoder.size:,} kinds; "
            f"{sum(map(len, texts)) / max(count, 1):.3g} characters a token",
            *self.encoder.notes,
        ]

    def _texts(self, split: Split) -> list[str]:
        """The documents of a split that are not empty, or the one text that its rows are."""
        if not self.documents:
            return ["".join(split[self.column])]
        texts = [text.rstrip("\r\n") for text in split[self.column]]
        return [text for text in texts if text]

    def encode(self, split: Split, *, with_target: bool = True) -> dict[str, Any]:
        texts, options = self._texts(split), self.options
        ids = self.encoder.encode_all(texts)
        if self.documents and not ids:
            raise UserError("a split holds no text that is not empty")
        if self.documents:
            rows = document_rows(ids, options.length)
        elif options.streams:
            rows = stream_rows(ids[0], options.length, options.streams)
        else:
            rows = window_rows(ids[0], options.length, options.stride or options.length)
        rows["targets"].characters = sum(map(len, texts))
        return rows if with_target else {"inputs": rows["inputs"]}

    def shown(self, split: Split) -> Split:
        """What each row foretells, as text."""
        rows = self._in_order(torch.as_tensor(self.encode(split)["targets"][:]))
        texts = [self.encoder.decode(row.tolist()) for row in rows]
        return Split({self.column: Column(Text(), texts)}, NumberedRows.count("the text", len(texts)))

    def prepare(self, batch: dict[str, Tensor], *, training: bool) -> tuple[Tensor, Tensor | None]:
        inputs, targets = batch["inputs"], batch.get("targets")
        if targets is None or "counted" not in batch:
            return inputs, targets
        places = torch.arange(targets.shape[1], device=targets.device)
        if not training or self.options.streams:
            counted = batch["counted"]
            mine = (places >= counted[:, :1]) & (places < counted[:, 1:])
        elif self.options.last_only:
            mine = (places == self.options.length - 1).expand_as(targets)
        else:
            return inputs, targets
        return inputs, torch.where(mine, targets, PAD)

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
        """In training the mean over tokens, or `loss_over`; else nats a row, from which `metrics` makes nats a token."""
        flat, wanted = outputs.flatten(0, 1).float(), targets.flatten()
        if training and self.options.loss_over == "token":
            return functional.cross_entropy(flat, wanted, ignore_index=PAD)
        return functional.cross_entropy(flat, wanted, ignore_index=PAD, reduction="sum") / len(outputs)

    def counts(self, outputs: Tensor, targets: Tensor, *, training: bool) -> dict[str, Tensor]:
        counted = targets != PAD
        means = training and self.options.loss_over == "token"
        return {
            "correct": ((outputs.argmax(dim=2) == targets) & counted).count_nonzero(),
            "steps" if means else "tokens": counted.count_nonzero(),
        }

    def metrics(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        if "tokens" not in totals:  # of training: the loss is a mean over tokens
            return {"accuracy": float(totals["correct"] / max(totals["steps"], 1))}
        tokens = max(totals["tokens"], 1)
        found = {"accuracy": float(totals["correct"] / tokens)}
        return {"loss": float(totals["loss"] / tokens), **found} if "loss" in totals else found

    def check_outputs(self, outputs: Any, rows: int, model: str) -> None:
        wanted = f"({rows}, length, {self.encoder.size}): (rows, length, tokens)"
        shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        if not isinstance(outputs, Tensor) or outputs.ndim != 3 or (shape[0], shape[2]) != (rows, self.encoder.size):
            raise WrongOutputs(f"model {model} gives {shape}, task {self.name} needs {wanted}")

    def collected(self, outputs: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """(B, length, 2): the loss of each counted token in nats, nan elsewhere, and whether it was the most probable one."""
        targets = self.prepare(batch, training=False)[1]
        assert targets is not None
        nats = functional.cross_entropy(outputs.float().transpose(1, 2), targets, reduction="none")
        nats = torch.where(targets == PAD, torch.nan, nats)
        found = torch.stack([nats, (outputs.argmax(dim=2) == targets).float()], dim=2)
        return functional.pad(found, (0, 0, 0, self.options.length - targets.shape[1]), value=torch.nan)

    def assess(self, outputs: Tensor, targets: Any) -> LanguageAssessment:
        ids, outputs = self._in_order(torch.as_tensor(targets[:])).numpy(), self._in_order(outputs)
        nats = outputs[:, : ids.shape[1], 0].double().numpy()
        counted = np.isfinite(nats)
        accuracy = float(outputs[:, : ids.shape[1], 1].double().numpy()[counted].mean())
        metrics = self._measures(float(nats[counted].sum()), int(counted.sum()), targets, accuracy)
        texts = tuple(SPECIAL) + tuple(self.encoder.decode([index]) for index in range(len(SPECIAL), self.encoder.size))
        pair = range(len(SPECIAL), min(len(SPECIAL) + 2, self.encoder.size))
        between = "" if self.encoder.decode(pair) == "".join(texts[index] for index in pair) else " "
        return LanguageAssessment(
            tokens=texts, targets=ids, nats=nats, metrics=metrics, unit=self.unit, between=between
        )

    def _in_order(self, rows: Tensor) -> Tensor:
        """The rows of a split in the order of the text: those of streams lie row by row beside each other."""
        streams = self.options.streams
        return rows.unflatten(0, (-1, streams)).transpose(0, 1).flatten(0, 1) if streams else rows

    def _measures(self, nats: float, tokens: int, targets: Any, accuracy: float | None) -> dict[str, float]:
        """All that follows from a split's nats together. A document's end is a token and no character."""
        loss = nats / max(tokens, 1)
        found = {"loss": loss, f"perplexity_per_{self.unit}": math.exp(min(loss, 700.0))}
        characters = getattr(targets, "characters", 0)
        if characters:
            each = nats / (characters if self.documents else characters - 1)
            found |= {"nats_per_character": each, "bits_per_character": each / math.log(2)}
        return found if accuracy is None else {**found, "accuracy": accuracy}

    def decode(self, outputs: Tensor) -> list[Answer]:
        raise UserError("a language model continues texts: gradus generate RUN --prompt ...")

    def baselines(self, train: dict[str, Any], test: dict[str, Any]) -> dict[str, dict[str, float]]:
        """Every token alike; by how frequent each is in the training text; by the one before it; by the four before it."""
        (known, _), (ids, is_target) = running(train), running(test)
        order = 5 if len(known) <= MOST_COUNTED else 2
        kinds = self.encoder.size - (
            2 if self.documents else 3
        )  # <pad> and <begin> never follow, nor <end> in one text
        hits = {1: ngram_hits(known, ids, 1), 2: ngram_hits(known, ids, 2)}
        found = {}
        for size, nats in enumerate(ngram_nats(known, ids, kinds, order)):
            names = ("all alike", "frequency (unigram)", "the token before (bigram)")
            name = names[size] if size < 3 else f"{size}-gram"
            accuracy = float(hits[size][is_target].mean()) if size in hits else None
            measured = self._measures(float(nats[is_target].sum()), int(is_target.sum()), test["targets"], accuracy)
            if size < 3 or size == order:
                found[name] = measured
        return found

    def model_options(self) -> dict[str, Any]:
        return {"num_tokens": self.encoder.size, "length": self.options.length}

    def state(self) -> dict[str, Any]:
        return {"column": self.column, "documents": self.documents, "encoder": self.encoder.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.column, self.documents = state["column"], state["documents"]
        self.encoder = load_encoder(state["encoder"])
