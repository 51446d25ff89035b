"""Texts as rows of a language model: what goes in, and the token that follows each.

Running text is seen through windows, documents are rows of their own length. Where windows overlap, and where the last one of
a text is not full, `counted` says which of a row's targets are its own: from, to (exclusive). Over a split every token but the
first of the text is counted exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from gradus.data.device_rows import PAD, Ragged, Windows
from gradus.data.text.encoders import BEGIN, END
from gradus.errors import UserError

Rows = dict[str, Any]  # inputs, targets, counted


def stream_rows(ids: np.ndarray, length: int, streams: int) -> Rows:
    """A text cut into `streams` parts of one length. Row k of every part, then row k + 1 of every part: a batch is one row of
    each, and goes on where the batch before it ended."""
    targets = _count_targets(ids, streams)
    part = -(-targets // streams)
    along = -(-part // length)
    begins = torch.arange(streams) * part
    ends = (begins + part).clamp(max=targets)
    starts = torch.arange(along)[:, None] * length + begins
    counted = (ends - starts).clamp(0, length).flatten()
    rows = _windows(ids, starts.flatten(), length, streams)
    return {**rows, "counted": torch.stack([torch.zeros_like(counted), counted], dim=1)}


def window_rows(ids: np.ndarray, length: int, stride: int) -> Rows:
    """A window every `stride` tokens, and a last one that ends with the text. Each counts what the one before it did not hold."""
    targets = _count_targets(ids, 1)
    starts = torch.arange(0, max(targets - length, 0) + 1, stride)
    if int(starts[-1]) + length < targets:
        starts = torch.cat([starts, torch.tensor([targets - length])])
    new = torch.cat([torch.tensor([min(length, targets)]), starts.diff()])
    end = torch.full_like(new, min(length, targets))
    first = (end - new).clamp(min=0)  # a stride above the length leaves tokens out
    return {**_windows(ids, starts, length, None), "counted": torch.stack([first, end], dim=1)}


def _windows(ids: np.ndarray, starts: torch.Tensor, length: int, batch_rows: int | None) -> Rows:
    beyond = max(int(starts.max()) + length + 1 - len(ids), 0)
    values = torch.from_numpy(np.pad(ids, (0, beyond), constant_values=PAD))
    places = torch.arange(length)
    return {
        "inputs": Windows(values, starts, places, batch_rows),
        "targets": Windows(values, starts + 1, places, batch_rows),
    }


def _count_targets(ids: np.ndarray, needed: int) -> int:
    if len(ids) - 1 < needed:
        each = f" for {needed} streams" if needed > 1 else ""
        raise UserError(f"a split of {len(ids):,} tokens is too short{each}: {needed + 1:,} are needed")
    return len(ids) - 1


def document_rows(documents: Sequence[np.ndarray], length: int) -> Rows:
    """Documents between BEGIN and END. One of more than `length` tokens, its END among them, is cut into rows that each begin
    with the last token of the one before."""
    whole = [np.concatenate([[BEGIN], ids, [END]]) for ids in documents]
    pieces = [(ids[:-1], ids[1:], at) for ids in whole for at in range(0, len(ids) - 1, length)]
    return {
        "inputs": Ragged.of([inputs[at : at + length] for inputs, _, at in pieces]),
        "targets": Ragged.of([targets[at : at + length] for _, targets, at in pieces]),
    }


def running(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of encoded rows behind one another, and which of them are targets, for what counts n-grams."""
    inputs = rows["inputs"]
    if isinstance(inputs, Windows):
        ids = inputs.values[inputs.values != PAD].numpy()
        return ids, np.arange(len(ids)) > 0
    targets = rows["targets"]
    ends, lengths = inputs.offsets[1:].numpy(), inputs.lengths.numpy()
    ids = np.insert(inputs.flat.numpy(), ends, targets.flat.numpy()[ends - 1])
    is_target = np.ones(len(ids), dtype=bool)
    is_target[np.concatenate([[0], np.cumsum(lengths + 1)[:-1]])] = False
    return ids, is_target
