"""Word vectors: what words mean, learnt from which other words stand around them. Losses are in nats a pair."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gradus.data.columns import ColumnType, Text
from gradus.data.dataset import Dataset, Split
from gradus.data.device_rows import Windows
from gradus.data.text.encoders import SPECIAL, TextEncoder, TokenOptions, fit_and_encode, load_encoder
from gradus.data.text.stretches import cooccurrences, keep_chances, kept_words, lay_out
from gradus.errors import UserError
from gradus.models.sequence.word_vectors import Stretch
from gradus.nn import UnigramSampler, log_count_loss
from gradus.nn.huffman import huffman_paths
from gradus.tasks.assessment import WordVectorAssessment
from gradus.tasks.task import Answer, Task

JUDGED = 300_000  # words of a split that is not learnt from: enough to tell its loss to 0.01


@dataclass(frozen=True, kw_only=True)
class WordVectorOptions:
    """Which words foretell which."""

    form: Literal["skip-gram", "cbow", "window", "glove"] = "skip-gram"  # follows from the model
    window: int = 5  # words to each side that are read
    side: Literal["both", "before"] = "both"  # of the word that is foretold
    # windows of 1 to `window` words, drawn anew each time, so that near words count more (skip-gram and cbow)
    dynamic: bool = True
    # words more frequent than this share of the text are left out at random (skip-gram and cbow; 0: none); 0.00001 to 0.001
    subsample: float = 1e-3
    output: Literal["negative-sampling", "hierarchical-softmax"] = "negative-sampling"  # of skip-gram and cbow
    negatives: int = 5  # words of noise that a pair counts for
    noise_words: int = 20  # drawn for a stretch, which its pairs share; each weighs negatives / noise_words
    length: int = 16  # words of a stretch, which is a row
    largest_count: float = 100.0  # glove: pairs that meet so often count fully, others less
    count_power: float = 0.75  # glove: (count / largest_count) to this power

    def __post_init__(self) -> None:
        for name in ("window", "negatives", "noise_words", "length"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}: expected 1 or more, received {getattr(self, name)}")
        if not 0 <= self.subsample < 1:
            raise UserError(f"subsample: expected a share of the text from 0 to below 1, received {self.subsample}")
        if self.largest_count <= 0 or self.count_power < 0:
            raise UserError("largest_count, count_power: expected a number above 0, and one from 0")


class WordVectorTask(Task):
    """One column of text. Words that the vocabulary lacks are passed over, as if they did not stand there.

    Frequent words are left out once, by a seed of its own, so that all epochs read the same words (the published program draws
    them anew). In training, windows and noise are drawn from the generator of the step; in evaluation both are fixed.
    """

    name = "word-vectors"
    directions: ClassVar[dict[str, str]] = {"loss": "min"}  # type: ignore[misc]
    column: str
    encoder: TextEncoder
    counts_of: Tensor  # (V,) of each id in the training texts

    def __init__(self, options: WordVectorOptions, tokens: TokenOptions) -> None:
        self.options, self.tokens, self.notes = options, tokens, []
        self._train: tuple[Split, list[np.ndarray]] | None = None

    @property
    def input_types(self) -> dict[str, ColumnType]:
        return {self.column: Text()}

    @property
    def target_column(self) -> str:
        return self.column

    def fit(self, dataset: Dataset) -> None:
        texts = [name for name, kind in dataset.types.items() if isinstance(kind, Text)]
        if dataset.target in texts:
            texts = [str(dataset.target)]
        if len(texts) != 1:
            held = f"there are {len(texts)} ({', '.join(texts)}): name one with --target" if texts else "there is none"
            raise UserError(f"word vectors are learnt from one column of text; {held}")
        (self.column,) = texts
        train = dataset["train"]
        self.encoder, ids = fit_and_encode(train[self.column], self.tokens)
        counts = np.bincount(np.concatenate(ids), minlength=self.encoder.size)
        counts[: len(SPECIAL)] = 0
        if (counts > 0).sum() < 2:
            raise UserError("word vectors need at least two words in the vocabulary")
        self._take(counts)
        self._train = train, ids
        kept = float((keep_chances(counts, self._subsample) * counts).sum())
        self.notes = [f"{int(counts.sum()):,} training words of {self.encoder.size - len(SPECIAL):,} kinds"]
        if kept < 0.999 * counts.sum():
            self.notes.append(f"of them about {kept:,.0f} are read: frequent ones are left out at random (subsample)")

    @property
    def _subsample(self) -> float:
        return self.options.subsample if self.options.form in ("skip-gram", "cbow") else 0.0

    def _take(self, counts: np.ndarray) -> None:
        self.counts_of = torch.from_numpy(counts.astype(np.int64))
        options = self.options
        self.sampler = UnigramSampler(self.counts_of)
        fixed = torch.Generator().manual_seed(0)
        self.fixed_noise = torch.multinomial(self.sampler.chances, options.noise_words, True, generator=fixed)
        if options.output == "hierarchical-softmax" and options.form in ("skip-gram", "cbow"):
            self.nodes, self.turns = huffman_paths(self.counts_of)
        before, span = options.window, options.length + self._around
        offsets = torch.arange(span) - before - torch.arange(options.length)[:, None]  # (L, T)
        self.distances = torch.where(
            (offsets < 0) if options.side == "before" else (offsets != 0), offsets.abs(), 10**6
        )

    @property
    def _around(self) -> int:
        return self.options.window * (2 if self.options.side == "both" else 1)

    def to_device(self, device: torch.device) -> None:
        for name in ("fixed_noise", "nodes", "turns", "distances"):
            if hasattr(self, name):
                setattr(self, name, getattr(self, name).to(device))
        self.sampler.chances = self.sampler.chances.to(device)

    def encode(self, split: Split, *, with_target: bool = True) -> dict[str, Any]:
        options, counts = self.options, self.counts_of.numpy()
        if self._train is not None and split is self._train[0]:
            ids, self._train = self._train[1], None
        else:
            ids = self._first_words(split)
        known = (counts > 0) * keep_chances(counts, self._subsample)
        flat, begins = lay_out(kept_words(ids, known), options.length, options.window)
        if not len(begins):
            raise UserError("a split has no two words of the vocabulary in any text; subsample=0 leaves no word out")
        if options.form == "glove":
            pairs, met = cooccurrences(flat, options.window, self.encoder.size, options.side == "both")
            return {"inputs": torch.from_numpy(pairs), "targets": torch.from_numpy(met)}
        values, starts = torch.from_numpy(flat), torch.from_numpy(begins)
        around = torch.arange(options.length + self._around) - options.window
        rows = {"inputs": Windows(values, starts, around)}
        return rows | {"targets": Windows(values, starts, torch.arange(options.length))}

    def _first_words(self, split: Split) -> list[np.ndarray]:
        """The first texts of a split that is judged by, until they have `JUDGED` words."""
        found: list[np.ndarray] = []
        words = 0
        for text in split[self.column]:
            if words >= JUDGED:
                break
            found.append(self.encoder.encode(text))
            words += len(found[-1])
        return found

    def shown(self, split: Split) -> None:
        """Rows are stretches of 16 words or pairs, which tell nothing by themselves."""

    def prepare(self, batch: dict[str, Tensor], *, training: bool) -> tuple[Any, Tensor]:
        """Skip-gram and cbow: a `Stretch`, and for each score its weight, above 0 where yes is right and below 0 where no is;
        their last column is how many pairs a row has. window: (B, L, C), (B, L). glove: pairs (B, 2), counts (B,)."""
        options, ids, middle = self.options, batch["inputs"], batch["targets"]
        if options.form == "glove":
            return ids, middle
        if options.form == "window":
            windows = ids.unfold(1, self._around + 1, 1)
            read = [place for place in range(self._around + 1) if place != options.window]
            return windows[..., read], middle
        chosen = self._chosen(ids, middle, training)
        if options.output == "hierarchical-softmax":
            asked, turns = self.nodes[middle], self.turns[middle]
            return self._of_tree(ids, chosen, asked, turns)
        rows, count = len(ids), options.noise_words
        noise = self.sampler.draw(rows, count) if training else self.fixed_noise.expand(rows, count)
        share = options.negatives / count
        if options.form == "skip-gram":
            pairs, wanted = chosen.sum(dim=(1, 2)), chosen.flatten(1)
            against = chosen.sum(dim=1)
        else:
            wanted = against = (chosen.sum(dim=2) > 0).to(chosen.dtype)
            pairs = wanted.sum(dim=1)
        against = (-share * against)[:, :, None].expand(-1, -1, count).flatten(1)
        return Stretch(ids, chosen, middle[:, :, None], noise), torch.cat([wanted, against, pairs[:, None]], dim=1)

    def _chosen(self, ids: Tensor, middle: Tensor, training: bool) -> Tensor:
        """(B, L, T) float32: which words are read for which middle."""
        window, (rows, length) = self.options.window, middle.shape
        if not self.options.dynamic:
            reach = torch.full((rows, length), window, device=ids.device)
        elif training:
            reach = torch.randint(1, window + 1, (rows, length), device=ids.device)
        else:
            reach = (torch.arange(length, device=ids.device) % window + 1).expand(rows, length)
        near = self.distances <= reach[:, :, None]
        return (near & (ids > 0)[:, None, :] & (middle > 0)[:, :, None]).float()

    def _of_tree(self, ids: Tensor, chosen: Tensor, asked: Tensor, turns: Tensor) -> tuple[Stretch, Tensor]:
        if self.options.form == "skip-gram":
            weights = (turns[..., None] * chosen[:, :, None, :]).flatten(1)
            pairs = chosen.sum(dim=(1, 2))
        else:
            has = (chosen.sum(dim=2) > 0).to(turns.dtype)
            weights, pairs = (turns * has[..., None]).flatten(1), has.sum(dim=1)
        none = ids[:, :0]
        return Stretch(ids, chosen, asked, none), torch.cat([weights, pairs[:, None]], dim=1)

    def loss(self, outputs: Tensor, targets: Tensor, *, training: bool) -> Tensor:
        return _mean(*self._sums(outputs, targets))

    def _sums(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) each: the losses of the pairs of a row added up, and how many there are."""
        if self.options.form == "glove":
            losses = log_count_loss(outputs, targets, self.options.largest_count, self.options.count_power)
            return losses, torch.ones_like(losses)
        if self.options.form == "window":
            losses = functional.cross_entropy(outputs.transpose(1, 2), targets, ignore_index=0, reduction="none")
            return losses.sum(dim=1), (targets > 0).sum(dim=1).to(losses.dtype)
        weights, pairs = targets[:, :-1], targets[:, -1]
        return (weights.abs() * functional.softplus(-weights.sign() * outputs)).sum(dim=1), pairs

    def counts(self, outputs: Tensor, targets: Tensor, *, training: bool) -> dict[str, Tensor]:
        return {}

    def metrics(self, totals: dict[str, np.ndarray], samples: int) -> dict[str, float]:
        return {}

    def check_outputs(self, outputs: Any, rows: int, model: str) -> None:
        if not isinstance(outputs, Tensor) or len(outputs) != rows:
            raise UserError(f"model {model} does not give the scores that task {self.name} reads: skip_gram does")

    def collected(self, outputs: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """(B, 2): the losses of a row's pairs added up, and how many they are."""
        return torch.stack(self._sums(outputs.float(), self.prepare(batch, training=False)[1]), dim=1)

    def assess(self, outputs: Tensor, targets: Any) -> WordVectorAssessment:
        sums = outputs.double()
        loss = float(_mean(sums[:, 0], sums[:, 1]))
        return WordVectorAssessment(tokens=self.encoder.tokens, targets=np.arange(len(sums)), metrics={"loss": loss})

    def decode(self, outputs: Tensor) -> list[Answer]:
        raise UserError("word vectors answer no rows; look at them: gradus look RUN neighbours WORD")

    def baselines(self, train: dict[str, Any], test: dict[str, Any]) -> dict[str, dict[str, float]]:
        """What one who knows nothing loses: every score 0."""
        if self.options.form == "window":
            return {"all words alike": {"loss": math.log(self.encoder.size)}}
        if self.options.form == "glove":
            return {}
        if self.options.output == "negative-sampling":
            return {"all words alike": {"loss": (1 + self.options.negatives) * math.log(2)}}
        deep = (self.turns.cpu().abs().sum(dim=1) * self.counts_of).sum() / self.counts_of.sum()
        return {"all words alike": {"loss": float(deep) * math.log(2)}}

    def model_options(self) -> dict[str, Any]:
        return {"num_tokens": self.encoder.size, "context": self._around}

    def state(self) -> dict[str, Any]:
        return {"column": self.column, "encoder": self.encoder.state(), "counts": self.counts_of.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        self.column, self.encoder = state["column"], load_encoder(state["encoder"])
        self._take(np.array(state["counts"], dtype=np.int64))


def _mean(sums: Tensor, counts: Tensor) -> Tensor:
    return sums.sum() / counts.sum().clamp(min=1)
