"""Data sets that are made from others of the catalogue by a rule, the same rows every time.

Nobody labelled them for their task: each says what its answers are."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from gradus.data.columns import Column, Label, Number, Tags, Text
from gradus.data.dataset import SPLITS, NumberedRows, Split

Splits = dict[str, Split]
MOST_WORDS = 60  # of a review that are read
_LETTERS = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_BREAK = re.compile(r"<br\s*/?>")


def capitals(splits: Splits) -> Splits:
    """The first words of each review in lower case and without punctuation; the tag says which of them began with a capital.
    Names, the begins of sentences and "I" did: what has to be put back into the text of a recogniser of speech."""
    kind = Tags(classes=("lower", "capital"))
    made = {}
    for name, split in splits.items():
        words = [_LETTERS.findall(_BREAK.sub(" ", text))[:MOST_WORDS] for text in split["text"]]
        columns = {
            "text": Column(Text(), [" ".join(row).lower() for row in words]),
            "tags": Column(kind, [np.array([int(word[0].isupper()) for word in row], dtype=np.int64) for row in words]),
        }
        made[name] = Split(columns, split.origins)
    return made


def replies(splits: Splits, seed: int = 0) -> Splits:
    """Prompts, each with a reply that was given to it, and with one that was given to another prompt. No prompt is in two
    splits; the replies of both kinds are drawn from the same ones, so that a reply by itself says nothing."""
    random = np.random.default_rng(seed)
    rows = [row for row in zip(splits["train"]["prompt"], splits["train"]["reply"], strict=True) if all(row)]
    given: dict[str, set[str]] = {}
    for prompt, reply in rows:
        given.setdefault(prompt, set()).add(reply)
    prompts = list(given)
    order, tenth = random.permutation(len(prompts)), len(prompts) // 10
    parts = {"test": order[: 2 * tenth], "validation": order[2 * tenth : 3 * tenth], "train": order[3 * tenth :]}
    split_of = {prompts[index]: split for split, part in parts.items() for index in part}
    made: dict[str, tuple[list[str], list[str], list[int]]] = {split: ([], [], []) for split in SPLITS}
    pools = {split: [row for row in rows if split_of[row[0]] == split] for split in SPLITS}
    for split, (first, second, label) in made.items():
        for prompt, reply in pools[split]:
            other = reply
            while other in given[prompt]:
                other = pools[split][random.integers(len(pools[split]))][1]
            first += [prompt, prompt]
            second += [reply, other]
            label += [1, 0]
    kind = Label(classes=("another's", "its own"))
    return {
        split: Split(
            {"prompt": Column(Text(), a), "reply": Column(Text(), b), "belongs": Column(kind, np.array(label))},
            NumberedRows.count("dialogue pairs", len(a)),
        )
        for split, (a, b, label) in made.items()
    }


def review_outputs(splits: Splits) -> Splits:
    """Reviews with their label, the number of their words and whether the reviewer says I: three outputs of different kinds."""
    who = Label(classes=("nobody", "I"))
    made = {}
    for name, split in splits.items():
        words = [_LETTERS.findall(_BREAK.sub(" ", text)) for text in split["text"]]
        says = np.array([int("I" in row) for row in words], dtype=np.int64)
        columns = dict(split.columns) | {
            "words": Column(Number(), np.array([float(len(row)) for row in words])),
            "speaker": Column(who, says),
        }
        made[name] = Split(columns, split.origins)
    return made


DERIVED: dict[str, Callable[[Splits], Splits]] = {
    "capitals": capitals,
    "replies": replies,
    "review_outputs": review_outputs,
}
