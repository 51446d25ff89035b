"""Why a network said that of a text: its words coloured by what they added to the answer, in three ways, and a check of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from gradus.errors import UserError
from gradus.look.inside import word_credit
from gradus.look.inside.painting import chart
from gradus.look.inside.passages import Passage, PassageSubject
from gradus.look.inside.sight import Panel, Sight
from gradus.look.inside.word_credit import Baseline, Scores, Vectors
from gradus.look.inside.words import as_html, as_pixels
from gradus.look.text import brief, number, percent, plural

Way = Literal["all", "gradient", "integrated", "left-out"]
WAYS = {
    "integrated": "integrated gradients",
    "gradient": "gradient times input",
    "left-out": "left out, one at a time",
}
FRACTIONS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
LONGEST = 60  # words of a passage that the table of them shows, those with the most credit


def why(
    subject: PassageSubject,
    pictures: Sequence[Passage],
    *,
    of_class: str = "",
    way: Way = "all",
    baseline: Baseline = "zero",
    steps: int = 64,
    scores: Scores = "score",
    check: int = 24,
    split: str = "test",
    seed: int = 0,
) -> Sight:
    """What each word of a text (or step of a series) added to an answer: red for it, blue against it.

    of_class: the class, or output, that is asked about; the network's own answer where none is given
    baseline: what integrated gradients begin from: vectors of zeros, or the mean vector of the vocabulary; steps: of the integral
    scores:   score (before the softmax) or probability
    check:    rows of `split` from which the words with the most credit are taken out, against as many by chance (0: no check)

    Arrays: `integrated-0`, `gradient-0`, `left-out-0` (T,) of the first passage, ...; `deletion` (ways and chance, fractions):
    the mean probability of the answer when that share of the words is gone.
    """
    if steps < 1 or check < 0:
        raise UserError("why: steps is at least 1, check at least 0")
    ways = tuple(WAYS) if way == "all" else (way,)
    if way == "all" and any(passage.other is not None for passage in pictures):
        ways = ("left-out",)  # the same words may have several vectors then
    sight = Sight("why", f"Why {subject.name} answers so")
    for index, passage in enumerate(pictures):
        _explain(sight, subject, passage, index, ways, of_class, baseline, steps, scores)
    if check and subject.rows is not None and subject.answers in ("classes", "labels"):
        _check(sight, subject, ways, baseline, steps, check, split, seed)
    return sight


def credit_of(
    subject: PassageSubject, way: str, baseline: Baseline = "zero", steps: int = 32, scores: Scores = "score"
) -> Callable[[Passage, int], np.ndarray]:
    """A function (passage, output) -> (T,) what each step adds."""

    def credit(passage: Passage, output: int) -> np.ndarray:
        if way == "left-out":
            return word_credit.left_out(subject, passage, output, scores)
        vectors = Vectors(subject, passage, output, scores)
        if way == "gradient":
            return word_credit.gradient_times_input(vectors)
        return word_credit.integrated_gradients(vectors, baseline, steps)[0]

    return credit


def _explain(
    sight: Sight,
    subject: PassageSubject,
    passage: Passage,
    index: int,
    ways: Sequence[str],
    of_class: str,
    baseline: Baseline,
    steps: int,
    scores: Scores,
) -> None:
    certain = subject.certainties([passage])[0]
    output = subject.output(of_class, int(certain.argmax()))
    sight.said.append(f"{passage.name}: {_answer(subject, passage, certain.tolist(), output)}.")
    found: dict[str, np.ndarray] = {}
    for way in ways:
        if way == "integrated":
            vectors = Vectors(subject, passage, output, scores)
            credit, gap = word_credit.integrated_gradients(vectors, baseline, steps)
            total = float(credit.sum())
            share = abs(gap) / max(abs(total - gap), 1e-9)
            sight.numbers[f"completeness gap, {brief(passage.name)}"] = share
            sight.said.append(
                f"Integrated gradients add up to {number(total, 4)}; the {scores} rose by {number(total - gap, 4)} from the "
                f"baseline to the text: {percent(share)} apart"
                + ("; more steps bring them together." if share > 0.05 else ".")
            )
        else:
            credit = credit_of(subject, way, scores=scores)(passage, output)
        found[way] = credit
        sight.arrays[f"{way}-{index}"] = credit
        title = f"{brief(passage.name)}: {WAYS[way]}, {brief(_name(subject, output))}"
        note = "Red speaks for the answer, blue against it; each picture has its own scale."
        pixels = as_pixels(passage.steps, credit, joined=subject.joined)
        drawing = as_html(passage.steps, credit, joined=subject.joined)
        sight.panels.append(Panel(f"{way}-{index}", title, pixels, note, titled=True, drawing=drawing))
    sight.arrays[f"output-{index}"] = np.array(output)
    first = found[ways[0]]
    order = np.argsort(-np.abs(first), kind="stable")[:LONGEST]
    rows = [[passage.steps[place], str(place), *(number(found[way][place], 3) for way in ways)] for place in order]
    sight.tables.append((brief(passage.name), ["word", "place", *(WAYS[way] for way in ways)], rows))


def _name(subject: PassageSubject, output: int) -> str:
    return repr(subject.names[output]) if subject.answers == "next" else subject.names[output]


def _answer(subject: PassageSubject, passage: Passage, certain: list[float], output: int) -> str:
    if subject.answers == "numbers":
        return f"{subject.names[output]} {number(certain[output], 4)}, in the units that are learnt"
    best = int(np.argmax(certain))
    what = "next comes " if subject.answers == "next" else ""
    said = f"{what}{_name(subject, best)} {percent(certain[best])}"
    if output != best:
        said += f"; asked about {_name(subject, output)} {percent(certain[output])}"
    if passage.label is not None:
        said += f"; it is {subject.names[passage.label]}"
    return said


def _check(
    sight: Sight,
    subject: PassageSubject,
    ways: Sequence[str],
    baseline: Baseline,
    steps: int,
    check: int,
    split: str,
    seed: int,
) -> None:
    """Adds how far the answer falls when the words with the most credit are taken out, against words by chance."""
    assert subject.rows is not None
    passages = [one for one in subject.rows(split).sample(check, seed) if len(one) > 1]
    random = np.random.default_rng(seed)
    curves = {
        WAYS[way]: word_credit.deletion(subject, passages, credit_of(subject, way, baseline, min(steps, 16)), FRACTIONS)
        for way in ways
    }
    by_chance = word_credit.deletion(subject, passages, lambda passage, _: random.random(len(passage)), FRACTIONS)
    curves["by chance"] = by_chance
    means = {name: values.mean(axis=0) for name, values in curves.items()}
    sight.arrays["deletion"] = np.stack(list(means.values()))
    fifth = FRACTIONS.index(0.2)
    for name, values in means.items():
        sight.numbers[f"fall without a fifth of the words, {name}"] = float(values[0] - values[fifth])
    best = max(means, key=lambda name: float(means[name][0] - means[name][fifth]))
    chance = float(by_chance.mean(axis=0)[0] - by_chance.mean(axis=0)[fifth])
    sight.said.append(
        f"Are these the words that count? Without the fifth of the words that {best} names, the probability of the answer falls "
        f"by {number(float(means[best][0] - means[best][fifth]), 3)} on {plural(len(passages), f'{split} row')}; "
        f"without a fifth by chance, by {number(chance, 3)}."
    )

    def paint(axes, colours) -> None:
        roles = ("model", "second", "third")
        for (name, values), role in zip(means.items(), (*roles[: len(ways)], "muted"), strict=True):
            style = "--" if name == "by chance" else "-"
            axes.plot([100 * share for share in FRACTIONS], values, style, color=colours[role], label=name, marker="o")
        axes.set_xlabel("words taken out, those with the most credit first, %")
        axes.set_ylabel("probability of the answer")
        axes.legend(frameon=False)

    sight.panels.append(chart("deletion", "How the answer falls when words are taken out", paint))
