"""A map of words: the vectors brought to two numbers each, by t-SNE and by PCA."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradus.errors import UserError
from gradus.look.inside.embeddings import places
from gradus.look.inside.meaning import known_words, leaning_of
from gradus.look.inside.painting import chart
from gradus.look.inside.sight import Sight
from gradus.look.inside.word_subject import WordSubject

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROLES = ("second", "model", "third", "fourth")  # of the classes, the first ones
VIEWS = {"tsne": "t-SNE", "pca": "PCA"}
MARGIN = 0.3  # a word leans to a class where it is e^0.3 = 1.35 times as frequent there as in the next


def word_map(
    subject: WordSubject, words: Sequence[str], *, count: int = 250, skip: int = 100, neighbours: int = 8, seed: int = 0
) -> Sight:
    """Words as points, placed by their vectors' directions. With words: these and their nearest `neighbours`.

    count, skip: without words, so many of the most frequent ones, after the first `skip`, which are mostly grammar
    Where the texts of the run have classes, a word is coloured by the one that it leans to.

    Arrays: `tsne`, `pca` (N, 2) in 0..1; `record["words"]` names them.
    """
    vectors = subject.vectors
    if words:
        asked = known_words(vectors, words)
        near = vectors.units[[vectors.place(word) for word in asked]] @ vectors.units.T
        near[:, : vectors.special] = -np.inf
        chosen = sorted({int(place) for row in near for place in np.argsort(-row, kind="stable")[: neighbours + 1]})
    else:
        chosen = list(range(vectors.special, len(vectors.words)))
        chosen = [place for place in chosen if vectors.words[place][0].isalpha()][skip : skip + count]
    if len(chosen) < 5:
        raise UserError(f"word-map: it takes 5 words or more, there are {len(chosen)}")
    names = [vectors.words[place] for place in chosen]
    found = places(vectors.units[chosen], seed)
    leanings = subject.leanings()
    leans = np.full(len(chosen), -1)
    if leanings is not None:
        leans = leaning_of(leanings.strengths()[chosen], MARGIN)
    classes = leanings.classes[: len(ROLES)] if leanings is not None else ()
    title = f"{len(names)} words of {subject.name}"
    said = [
        f"Words that stand near each other have vectors of about one direction; {len(names)} of {len(vectors.places):,}."
    ]
    if classes:
        said.append(f"Colours: texts of which class a word stands in clearly more often ({', '.join(classes)}).")
    sight = Sight("word-map", title, said=said, arrays={view: found[view] for view in VIEWS})
    sight.record["words"] = names
    for view, how in VIEWS.items():
        painted = _painter(found[view], names, leans, classes)
        sight.panels.append(chart(view, f"{title}, by {how}", painted, size=(11, 9)))
    return sight


def _painter(
    points: np.ndarray, names: Sequence[str], leans: np.ndarray, classes: Sequence[str]
) -> Callable[[Axes, dict[str, str]], None]:
    def paint(axes: Axes, colours: dict[str, str]) -> None:
        for index, (name, (x, y)) in enumerate(zip(names, points.tolist(), strict=True)):
            lean = int(leans[index])
            role = ROLES[lean] if 0 <= lean < len(classes) else "muted"
            axes.text(x, y, name.replace("$", r"\$"), color=colours[role], ha="center", va="center", fontsize=7.5)
        (left, low), (right, high) = points.min(axis=0), points.max(axis=0)  # words are wide: they get all the room
        wide, tall = 0.05 * (right - left) + 1e-3, 0.03 * (high - low) + 1e-3
        axes.set(xlim=(left - wide, right + wide), ylim=(low - tall, high + tall), xticks=[], yticks=[])
        for role, label in zip(ROLES, classes, strict=False):
            axes.plot([], [], "o", color=colours[role], label=f"leans to {label}")
        if classes:
            axes.plot([], [], "o", color=colours["muted"], label="to none")
            axes.legend(loc="lower left", frameon=False, fontsize=8)

    return paint
