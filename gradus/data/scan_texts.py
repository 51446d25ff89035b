"""What the scan says of texts: how long they are, and where their encoding went wrong. Empty, equal and contradicting ones are
found as in any table."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np

from gradus.data.columns import Text
from gradus.data.dataset import Dataset
from gradus.data.scan_findings import Findings
from gradus.data.text.tokenizers import words

MOST_COUNTED = 5_000  # texts that are cut into words, evenly over the rows
# UTF-8 that was read as Windows' Latin: an accented letter, a quotation mark, a letter of Chinese
_MOJIBAKE = re.compile(r"[ÃÂ][\x80-\xbf]|â€[\x80-\xbf™œ\x9d˜¦“”]|[äåæçèé][\x80-\xbf¡-¿][\x80-\xbf¡-¿]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x7f]")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")


def find_texts(dataset: Dataset, name: str, facts: Any, findings: Findings) -> list[str]:
    """Names texts with wrong characters, counts those with HTML, and gives the lines of the summary."""
    total = tagged = 0
    first = ""
    for split in dataset.splits.values():
        for row, text in enumerate(split[name].values):
            total += 1
            if trouble := _trouble(text):
                findings.add(
                    "warning", "texts with wrong characters", split.origins[row], f"column '{name}': {trouble}"
                )
            if "<" in text and _TAG.search(text):
                tagged += 1
                first = first or str(split.origins[row])
    if tagged:
        message = f"{tagged:,} of {total:,} texts hold HTML, the first is {first}"
        findings.add("note", "texts with HTML", f"column '{name}'", message)
    lengths = np.concatenate([[len(text) for text in split[name].values] for split in dataset.splits.values()])
    return [f"lengths in {name}: {lengths.min():,} to {lengths.max():,} characters, median {np.median(lengths):,.0f}"]


def _trouble(text: str) -> str:
    if "�" in text:
        return "it holds �: characters were lost when it was read in another encoding"
    if found := _MOJIBAKE.search(text):
        return f"'{found.group()}' looks like UTF-8 that was read as Latin"
    return "it holds control characters" if _CONTROL.search(text) else ""


def describe_texts(dataset: Dataset, most: int = 20) -> list[str]:
    """Lines on each column of text of the first split: how long texts are in words, and which words are most frequent."""
    split = next(iter(dataset.splits.values()))
    lines = []
    for name, column in split.columns.items():
        if not isinstance(column.type, Text) or not len(column):
            continue
        rows = np.unique(np.linspace(0, len(column) - 1, MOST_COUNTED).astype(np.int64))
        cut = [words(column[int(row)]) for row in rows]
        lengths = np.array([len(tokens) for tokens in cut])
        part = f" (of {len(rows):,} texts)" if len(rows) < len(column) else ""
        low, middle, high = np.percentile(lengths, [0, 50, 95])
        lines.append(
            f"{name}: {low:,.0f} to {lengths.max():,} words and marks a text, median {middle:,.0f}; "
            f"95 % have at most {high:,.0f}{part}"
        )
        counts = Counter(token for tokens in cut for token in tokens)
        shown = [f"{token} {count:,}" for token, count in counts.most_common(most)]
        lines.append(f"{name}: {len(counts):,} different ones; the most frequent: {'  '.join(shown)}")
    return lines
