"""Small subjects for the looks at passages: networks on ids whose answers are known, and trained ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gradus.look.inside.passages import Passage, PassageRows, PassageSubject

WORDS = ("<pad>", "<unknown>", "<begin>", "<end>", "good", "bad", "the", "film", "not", "very")


class WordSum(nn.Module):
    """The score of class 1 is the sum of fixed numbers of the words, that of class 0 its negative."""

    def __init__(self, worth: Sequence[float]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(worth), 1, padding_idx=0)
        with torch.no_grad():
            self.embedding.weight.copy_(torch.tensor(worth)[:, None])

    def forward(self, ids: Tensor) -> Tensor:
        total = self.embedding(ids).sum(dim=(1, 2))
        return torch.stack([-total, total], dim=1)


def passage(text: str, label: int | None = None, name: str = "") -> Passage:
    steps = tuple(text.split())
    ids = torch.tensor([WORDS.index(word) if word in WORDS else 1 for word in steps])
    return Passage(name or text, steps, ids, ids, label)


def subject_of(model: nn.Module, rows: Sequence[Passage] = (), **more) -> PassageSubject:
    def of(split: str) -> PassageRows:
        labels = [one.label for one in rows]
        known = torch.tensor(labels) if all(label is not None for label in labels) else None
        return PassageRows(len(rows), lambda row: rows[row], known)

    given = {"answers": "classes", "names": ("bad film", "good film"), "read": passage} | more
    return PassageSubject(name="small", model=model.eval(), rows=of if rows else None, **given)
