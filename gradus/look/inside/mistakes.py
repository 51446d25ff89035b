"""The rows a network gets wrong with the greatest certainty, as a grid of pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from gradus.errors import UserError
from gradus.look.inside.answers import demand_its_classes, probabilities, row_classes
from gradus.look.inside.hooks import parts
from gradus.look.inside.painting import captioned, enlarged
from gradus.look.inside.scores import class_groups
from gradus.look.inside.sight import Panel, Sight
from gradus.look.inside.subject import Picture, Subject
from gradus.look.text import percent, plural


def mistakes(
    subject: Subject,
    pictures: Sequence[Picture] = (),
    *,
    split: str = "test",
    most: int = 32,
    rows: int = 0,
    of_class: str = "",
) -> Sight:
    """The wrong answers it was surest of, each with truth, answer and certainty; where all is right, the least certain ones.

    rows: how many are answered, 0 for all of the split; of_class: mistakes on the rows of that class alone, or of those

    Arrays: `rows` (numbers in the split, worst first), `truth`, `answer`, `certainty` of those shown.
    """
    if most < 1 or rows < 0:
        raise UserError("mistakes: most is at least 1, rows at least 0")
    held = subject.labelled(split)
    demand_its_classes(subject, held, "mistakes")
    names, labels = row_classes(subject, held), held.labels.numpy()
    asked = np.arange(len(held))[: rows or None]
    if of_class:
        wanted = [index for group in class_groups(subject, of_class, len(names)) for index in group]
        asked = asked[np.isin(labels[asked], wanted)]
    if not len(asked):
        raise UserError(f"mistakes: the {split} split has no such rows")
    some = (torch.from_numpy(asked[part]) for part in parts(len(asked)))  # decoded a few at a time
    chances = np.concatenate([probabilities(subject, held.pixels[these]) for these in some])
    answers, certainty, truth = chances.argmax(axis=1), chances.max(axis=1), labels[asked]
    wrong = np.flatnonzero(answers != truth)
    order = wrong[np.argsort(-certainty[wrong], kind="stable")] if len(wrong) else np.argsort(certainty, kind="stable")
    order = order[:most]
    said = _said(len(asked), len(wrong), len(order), split)
    common = Counter(zip(truth[wrong].tolist(), answers[wrong].tolist(), strict=True)).most_common(8)
    if common:
        (real, taken), times = common[0]
        said.append(f"The commonest mistake: {names[real]} taken for {names[taken]} ({times} times).")
    shown = asked[order]
    captions = [
        f"{names[truth[i]]} → {names[answers[i]]}\n{percent(float(certainty[i]))}, {split}:{asked[i]}"
        if answers[i] != truth[i]
        else f"{names[truth[i]]}\n{percent(float(certainty[i]))}, {split}:{asked[i]}"
        for i in order
    ]
    title = said[0]
    tiles = captioned(enlarged(held.pixels[torch.from_numpy(shown)].numpy(), 128), captions, columns=8)
    rows_of = [[names[real], names[taken], str(times)] for (real, taken), times in common]
    return Sight(
        "mistakes",
        f"What {subject.name} gets wrong",
        said=said,
        panels=[
            Panel(
                "worst",
                title,
                tiles,
                f"Below each: the truth → the answer, its certainty, the row as other looks take it ({split}:ROW).",
                titled=True,
            )
        ],
        arrays={"rows": shown, "truth": truth[order], "answer": answers[order], "certainty": certainty[order]},
        numbers={"accuracy": 1 - len(wrong) / len(asked), "wrong": float(len(wrong))},
        tables=[("Commonest mistakes", ["truth", "answer", "rows"], rows_of)] if common else [],
    )


def _said(asked: int, wrong: int, shown: int, split: str) -> list[str]:
    if not wrong:
        return [
            f"None of {plural(asked, f'{split} row')} is answered wrong; these are the {shown} it was least sure of."
        ]
    which = "all of them" if shown == wrong else f"the {shown} it was surest of"
    return [f"{wrong:,} of {plural(asked, f'{split} row')} are answered wrong; here are {which}."]
