"""What the scan says of masks: every one is decoded."""

from __future__ import annotations

import numpy as np

from gradus.data.columns import Mask
from gradus.data.dataset import Dataset
from gradus.data.masks import EncodedMasks
from gradus.data.outlines import DrawnMasks
from gradus.data.scan_findings import FEW, Findings
from gradus.data.scan_pictures import PictureFacts
from gradus.errors import UserError

RARE = 100.0  # pixels of the commonest class for each of the rarest, above which masks are called unbalanced


def find_masks(dataset: Dataset, name: str, facts: list[PictureFacts], findings: Findings) -> list[str]:
    """Names what is wrong with the masks of a column, and gives the lines of the summary."""
    kind = dataset.types[name]
    assert isinstance(kind, Mask)
    told = {mistake.where for mistake in dataset.mistakes}
    pixels = {split: np.zeros(257, dtype=np.int64) for split in dataset.splits}  # the last: without a class
    pictures = np.zeros(256, dtype=np.int64)  # of training, in which a class is
    number = 0
    for split, part in dataset.splits.items():
        values = part[name].values
        for index in range(len(part)):
            fact = facts[number] if number < len(facts) else None
            number += 1
            where = values.names[index] if isinstance(values, EncodedMasks) else part.origins[index]
            try:
                mask = np.asarray(values[index])
            except UserError as error:
                if where not in told and not (fact and fact.broken and isinstance(values, DrawnMasks)):
                    findings.add("error", "broken masks", where, str(error).removeprefix(f"{where}: "))
                continue
            if fact and not fact.broken and mask.shape != (fact.height, fact.width) and where not in told:
                message = f"the mask is {mask.shape[1]}x{mask.shape[0]}, its picture {fact.width}x{fact.height}"
                findings.add("error", "masks of another size than their picture", where, message)
            counts = np.bincount(mask.ravel(), minlength=256)[:256]
            known = counts[: len(kind.classes)]
            pixels[split][: len(known)] += known
            pixels[split][256] += counts.sum() - known.sum()
            if not known.any():
                findings.add("warning", "masks without a class", where, "no pixel of it has a class")
            if split == "train":
                pictures[: len(known)] += known > 0
    _find_counts(kind, pixels, pictures, findings)
    return _summary(kind, sum(pixels.values(), start=np.zeros(257, dtype=np.int64)))


def _find_counts(kind: Mask, pixels: dict[str, np.ndarray], pictures: np.ndarray, findings: Findings) -> None:
    train = pixels.get("train", np.zeros(257, dtype=np.int64))[: len(kind.classes)]
    everywhere = sum(part[: len(kind.classes)] for part in pixels.values())
    present = np.flatnonzero(train)
    if len(present) < 2:
        only = f"class '{kind.classes[present[0]]}'" if len(present) else "train"
        findings.add("error", "classes", only, "training masks hold one class at most: there is nothing to learn")
        return
    for number, name in enumerate(kind.classes):
        if not train[number]:
            there = bool(np.asarray(everywhere)[number])
            message = "no training mask has it" if there else "no mask has it"
            findings.add("error" if there else "note", "classes that training lacks", f"class '{name}'", message)
        elif pictures[number] < FEW:
            message = f"only {pictures[number]} training masks have it"
            findings.add("warning", "classes in few masks", f"class '{name}'", message)
    most, least = present[train[present].argmax()], present[train[present].argmin()]
    if train[most] > RARE * train[least]:
        shares = train / train.sum()
        message = (
            f"unbalanced: {shares[most]:.1%} of the training pixels are '{kind.classes[most]}', only {shares[least]:.2%} "
            f"'{kind.classes[least]}'"
        )
        findings.add("warning", "imbalance", "classes", message)


def _summary(kind: Mask, pixels: np.ndarray) -> list[str]:
    total = max(int(pixels.sum()), 1)
    order = sorted(range(len(kind.classes)), key=lambda number: -pixels[number])
    shown = [f"{kind.classes[number]} {pixels[number] / total:.1%}" for number in order[:20]]
    more = ", ..." if len(order) > 20 else ""
    return [f"pixels: {', '.join(shown)}{more}; without a class {pixels[256] / total:.1%}"]
