"""Labels that are likely wrong: how many, of which kind, and which rows; classes that have changed their names.

Confident learning (Northcutt, Jiang and Chuang 2021): every row is answered by simple methods that did not learn from it, and a
row whose answer is another class than the given one, with more than the confidence that this class usually has, is likely
labelled wrong. A weak method is often wrong, on a clean data set too, so by itself this proves nothing. What wrong labels
have and hard rows have not: methods of different kinds agree on another answer, and they do so even where they are surest. Of
the surest tenth of rows hardly any is answered wrongly in a clean data set; with a fifth of the labels wrong, a fifth of them
is. So the share of wrong labels is taken from the surest rows, where it must level off, and only said where what is left of the
mistakes is small: where the methods can answer at all. An outcome that is a matter of chance (who falls ill, what is bought)
contradicts in the same way as a wrong label, and no number of one table tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradus.doctor.case import Case, NotHere
from gradus.doctor.checks.signal import told_of
from gradus.doctor.data_commands import show_command
from gradus.doctor.finding import Finding
from gradus.doctor.rows import MOST, answers_of, rows_of
from gradus.doctor.simple import reduction, taught
from gradus.look.measures import wilson_interval

FEWEST = 500  # rows below which the surest are too few to count mistakes among
SURE, NEXT = (
    0.15,
    0.35,
)  # shares of the rows, the surest first: in the first the mistakes are counted, in the next they must level off
OFTEN = 4.0  # times as many as other mistakes, from which on a kind of mistake is named
LEAST = 0.05  # of the surest labels that contradict, at 99.9 %, from which on there are many wrong ones
LEVEL = 1.2  # times as many mistakes among the next surest as among the surest, up to which they have levelled off
BLIND = 0.56  # of chance's mistakes: methods that make as many where they are surest cannot judge
DECENT = 0.72  # of the rows that the methods must answer rightly, wrong labels left out
PAIR = 0.08  # of two classes' sure rows that carry the other's name, from which on they may be exchanged
PAIR_TIMES = 4.0  # times as often as other names
EXCHANGED = 0.5  # of the rows of each of two classes that a split calls by the other's name


@dataclass(frozen=True)
class Doubts:
    """What simple methods say against the labels of some training rows.

    rows:    (R,) their numbers in the split; probabilities (R, C) out of fold; given (R,) their labels
    wrong:   estimated share of wrong labels, with the ends of its interval
    decent:  share of rows that the methods answer rightly, the least number of wrong labels left out
    joint:   (C, C) how many rows of a given class (row) are confidently of another (column)
    ranked:  numbers of the rows whose label is likely wrong, the surest first
    """

    rows: np.ndarray
    probabilities: np.ndarray
    given: np.ndarray
    wrong: tuple[float, float, float]
    level: float
    decent: float
    joint: np.ndarray
    ranked: np.ndarray


def likely_wrong(case: Case) -> Doubts:
    """The doubts about the training labels, measured once. Raises `NotHere` for other targets, and where there are few rows."""
    return case.once("doubts about labels", lambda: _doubts(case))


def _doubts(case: Case) -> Doubts:
    rows = rows_of(case, "train", MOST)
    given, num_classes = answers_of(case, rows, "train")
    if num_classes is None:
        raise NotHere("the target is a number")
    if len(rows) < FEWEST:
        raise NotHere(f"{len(rows)} training rows are too few to doubt their labels")
    said = told_of(case, rows, given, num_classes)
    probabilities = np.mean(list(said.values()), axis=0)
    answers, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    agreed = np.all([one.argmax(axis=1) == answers for one in said.values()], axis=0)
    order = np.argsort(-(sure + agreed), kind="stable")
    contradicts = answers != given
    first, then = (
        contradicts[order[: round(SURE * len(rows))]],
        contradicts[order[round(SURE * len(rows)) : round(NEXT * len(rows))]],
    )
    share = float(first.mean())
    low, high = wilson_interval(int(first.sum()), len(first))
    spread = 3.3 / 1.96  # from an interval of 95 % to one of 99.9 %
    wrong = share, share - spread * (share - low), share + spread * (high - share)
    level = float((then.mean() + 0.5 / len(then)) / (share + 0.5 / len(first)))
    least = max(wrong[1], 0.0)  # a weak method must not be excused by the mistakes that it makes itself
    by_luck = least / max(num_classes - 1, 1)
    decent = (1 - contradicts.mean() - by_luck) / max(1 - least - by_luck, 1e-2)
    joint, doubtful = _confident_joint(probabilities, given, num_classes)
    margin = probabilities[np.arange(len(given)), given] - sure
    ranked = doubtful[np.argsort(margin[doubtful], kind="stable")]
    return Doubts(rows.numbers, probabilities, given, wrong, level, float(decent), joint, rows.numbers[ranked])


def _confident_joint(probabilities: np.ndarray, given: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """((C, C) counts of (given, confident) classes, the rows in which the two differ): a row is confidently of the most probable
    of the classes that are at least as probable as they are on average for the rows that carry their name."""
    usual = np.array(
        [probabilities[given == one, one].mean() if (given == one).any() else np.inf for one in range(num_classes)]
    )
    over = np.where(probabilities >= usual, probabilities, -1.0)
    found, confident = over.argmax(axis=1), over.max(axis=1) >= 0
    joint = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(joint, (given[confident], found[confident]), 1)
    return joint, np.flatnonzero(confident & (found != given))


def find_wrong_labels(case: Case) -> list[Finding]:
    """Many training labels that contradict what simple methods answer where they are surest."""
    classes = case.classes
    doubts = likely_wrong(case)
    share, low, high = doubts.wrong
    case.measured["labels"] = {"wrong": doubts.wrong, "level": doubts.level, "decent": doubts.decent}
    case.measured["likely wrong labels"] = doubts.ranked[:200].tolist()
    if share > BLIND * (1 - 1 / len(classes)):
        raise NotHere("simple methods are too weak here to doubt labels")
    if low < LEAST or doubts.level > LEVEL or doubts.decent < DECENT or _exchanged_pair(doubts) is not None:
        return []
    total = len(case.targets("train"))
    kinds = _kinds(doubts.joint, classes)
    right = float((doubts.probabilities.argmax(axis=1) == doubts.given).mean())
    by_luck = share / (len(classes) - 1)
    without = (right - by_luck) / max(1 - share - by_luck, 1e-2)
    return [
        Finding(
            kind="wrong-labels",
            told=f"about {100 * share:.0f} % of the training labels are wrong, or a matter of chance ({100 * max(low, 0):.0f} to "
            f"{100 * high:.0f} %, some {share * total:,.0f} rows): so many contradict simple methods where these are surest; "
            f"{kinds}. Simple methods agree with {100 * right:.0f} % of the labels, and would with about "
            f"{100 * min(without, 1):.0f} % without these",
            where="training labels",
            value=share,
            usual="below 2 % of the surest rows",
            strength=min(1.0, 0.5 + share),
            command=show_command(case),
            others=(
                "look through the likely wrong ones, the surest first: training rows "
                + ", ".join(map(str, doubts.ranked[:5].tolist())),
            ),
            rows={"train": doubts.ranked[:50].tolist()},
        )
    ]


def _kinds(joint: np.ndarray, classes: tuple[str, ...]) -> str:
    """The two most frequent kinds, in words; of random mistakes that there is none."""
    off = (joint - np.diag(np.diag(joint))).astype(np.float64)
    usual = off.sum() / max(len(off) * (len(off) - 1), 1)
    if len(off) > 2 and off.max() < OFTEN * max(usual, 1):
        return "they are of all kinds alike"
    places = [np.unravel_index(place, off.shape) for place in np.argsort(-off, axis=None, kind="stable")[:2].tolist()]
    pairs = [f"'{classes[there]}' called '{classes[here]}' ({off[here, there]:.0f})" for here, there in places]
    return "most are " + " and ".join(pairs)


def _exchanged_pair(doubts: Doubts) -> tuple[int, int, float] | None:
    """Two classes of which so many rows carry the other's name, both ways, and far more than carry any third name."""
    joint = doubts.joint.astype(np.float64)
    if len(joint) < 3:
        return None
    answers, given = doubts.probabilities.argmax(axis=1), doubts.given
    sure = doubts.probabilities.max(axis=1)
    best = None
    for one in range(len(joint)):
        for other in range(one + 1, len(joint)):
            both = np.isin(answers, (one, other)) & np.isin(given, (one, other))
            of_pair = np.flatnonzero(both)
            if len(of_pair) < 30:
                continue
            there = (answers == one) & (given == other), (answers == other) & (given == one)
            shares = [float(cross[answers == kind].mean()) for cross, kind in zip(there, (one, other), strict=True)]
            thirds = [float((~np.isin(given[answers == kind], (one, other))).mean()) for kind in (one, other)]
            usual = max(float(np.mean(thirds)) / (len(joint) - 2), 0.5 / len(of_pair))
            surest = of_pair[np.argsort(-sure[of_pair], kind="stable")[: max(len(of_pair) // 3, 10)]]
            kept = float((answers[surest] != given[surest]).mean())
            if (
                min(shares) > PAIR
                and min(shares) > PAIR_TIMES * usual
                and kept > PAIR
                and (best is None or kept > best[2])
            ):
                best = one, other, kept
    return best


def find_swapped_classes(case: Case) -> list[Finding]:
    """Two classes that another split calls by each other's names, or that part of the training rows does."""
    classes = case.classes
    doubts = likely_wrong(case)
    found = [*_exchanged_in_splits(case, classes)]
    pair = _exchanged_pair(doubts)
    if pair is not None and doubts.decent > DECENT:
        one, other, share = pair
        names = f"'{classes[one]}' and '{classes[other]}'"
        here = (doubts.given != doubts.probabilities.argmax(axis=1)) & np.isin(doubts.given, (one, other))
        rows = doubts.rows[here & np.isin(doubts.probabilities.argmax(axis=1), (one, other))]
        found.append(
            _swapped(
                case,
                f"{100 * share:.0f} % of the surest training rows of {names} carry the other's name",
                names,
                share,
                "train",
                rows,
            )
        )
    return found


def _exchanged_in_splits(case: Case, classes: tuple[str, ...]) -> list[Finding]:
    """Pairs that a split and the training rows call by each other's names, by simple methods that learnt from training rows."""
    rows = rows_of(case, "train", MOST)
    given = answers_of(case, rows, "train")[0]
    reduce = reduction(rows)
    judges = taught(reduce(rows.features), given, len(classes), trees=rows.kind == "numbers")
    found = []
    for split in ("test", "validation"):
        if split not in case.tensors:
            continue
        other = rows_of(case, split, MOST)
        wanted = answers_of(case, other, split)[0]
        answers = np.mean([judge(reduce(other.features)) for judge in judges.values()], axis=0).argmax(axis=1)
        table = np.zeros((len(classes), len(classes)))
        np.add.at(table, (wanted, answers), 1)
        shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        for one in range(len(classes)):
            for two in range(one + 1, len(classes)):
                crossed = min(shares[one, two], shares[two, one])
                if crossed < EXCHANGED or min(table[one].sum(), table[two].sum()) < 10 or _mixed_up(case, one, two):
                    continue
                names = f"'{classes[one]}' and '{classes[two]}'"
                told = f"of the {split} rows called {names}, {100 * crossed:.0f} % and more look like training rows of the other"
                these = other.numbers[np.isin(wanted, (one, two)) & np.isin(answers, (one, two)) & (wanted != answers)]
                found.append(_swapped(case, told, names, crossed, split, these))
    return found


def _mixed_up(case: Case, one: int, two: int) -> bool:
    """Whether simple methods do not even tell the two apart among training rows."""
    doubts = likely_wrong(case)
    answers = doubts.probabilities.argmax(axis=1)
    of_pair = np.isin(doubts.given, (one, two))
    return bool((answers[of_pair] != doubts.given[of_pair]).mean() > 0.25)


def _swapped(case: Case, told: str, names: str, share: float, split: str, rows: np.ndarray) -> Finding:
    return Finding(
        kind="swapped-classes",
        told=f"{told}: {names} have changed their names there",
        where=f"{split} labels",
        value=share,
        usual="no pair of classes is taken for each other far more often than others",
        strength=min(1.0, 0.7 + share / 3),
        command=show_command(case),
        others=(f"compare some rows of {names} in all splits, and exchange the names back",),
        rows={split: rows[:50].tolist()},
    )
