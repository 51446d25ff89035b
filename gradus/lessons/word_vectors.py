"""Word vectors from a little corpus: who stands beside whom, GloVe, analogies, and negative sampling."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import paint_cells
from gradus.look.charts import FOURTH, INK, MODEL, MUTED, SECOND, TEXT_SIZE, THIRD
from gradus.reference.optimizers import adam
from gradus.reference.word_losses import (
    glove,
    glove_backward,
    negative_sampling,
    negative_sampling_backward,
    unigram_noise,
)

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

# eight people by three yes-or-no properties: (grown up, noble, male)
PEOPLE = {
    (1, 0, 1): "man",
    (1, 0, 0): "woman",
    (0, 0, 1): "boy",
    (0, 0, 0): "girl",
    (1, 1, 1): "king",
    (1, 1, 0): "queen",
    (0, 1, 1): "prince",
    (0, 1, 0): "princess",
}
WINDOW, WIDTH = 6, 6
SIZES = (600, 1200, 2400)  # sentences about people
LARGEST = 50.0  # the count from which GloVe trusts a pair fully


def corpus(people: int = SIZES[-1]) -> list[list[str]]:
    """Sentences about people, and a tenth as many about animals. Four times in five a word fits the person's property."""
    generator = np.random.default_rng(0)
    ages, places = (("young", "small"), ("old", "grey")), (("market", "field", "mill"), ("palace", "castle", "court"))
    clothes = (("her dress", "her scarf"), ("his belt", "his hat"))
    properties = list(PEOPLE)
    sentences = []
    for _ in range(people):
        person = properties[generator.integers(8)]
        fits = generator.random(3) < 0.8
        grown, noble, male = (int(has == fit) for has, fit in zip(person, fits, strict=True))
        age, place, dress = (generator.choice(words) for words in (ages[grown], places[noble], clothes[male]))
        sentences.append(f"the {age} {PEOPLE[person]} in the {place} wears {dress}".split())
    animals = list(product(("cat", "dog", "fox"), ("fish", "meat"), ("night", "noon")))
    for number in range(people // 10):
        animal, food, time = animals[number % len(animals)]
        sentences.append(f"the {animal} eats {food} at {time}".split())
    return sentences


def cooccurrence(sentences: list[list[str]], window: int) -> tuple[list[str], np.ndarray]:
    """The words, and (V, V): for each pair the sum of 1/distance over all times they stand within the window."""
    words = sorted({word for sentence in sentences for word in sentence})
    index = {word: place for place, word in enumerate(words)}
    counts = np.zeros((len(words), len(words)))
    for sentence in sentences:
        for here, word in enumerate(sentence):
            for there in range(here + 1, min(here + window + 1, len(sentence))):
                share = 1 / (there - here)
                counts[index[word], index[sentence[there]]] += share
                counts[index[sentence[there]], index[word]] += share
    return words, counts


def train_glove(counts: np.ndarray, steps: int = 600) -> tuple[np.ndarray, list[float]]:
    """Vectors (V, WIDTH), the sum of a word's two, and the loss of every step."""
    generator = np.random.default_rng(0)
    size = len(counts)
    parts = [
        generator.normal(0, 0.3, (size, WIDTH)),
        generator.normal(0, 0.3, (size, WIDTH)),
        np.zeros(size),
        np.zeros(size),
    ]
    states: list[dict] = [{} for _ in parts]
    losses = []
    for _ in range(steps):
        losses.append(glove(parts[0], parts[1], parts[2], parts[3], counts, LARGEST))
        gradients = glove_backward(parts[0], parts[1], parts[2], parts[3], counts, LARGEST)
        parts = [
            adam(part, slope, state, learning_rate=0.02)
            for part, slope, state in zip(parts, gradients, states, strict=True)
        ]
    return parts[0] + parts[1], losses


def train_skip_gram(
    counts: np.ndarray, negatives: int = 5, steps: int = 300
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Centre vectors, context vectors (V, WIDTH each) by negative sampling on pairs drawn from the counts, and the losses."""
    generator = np.random.default_rng(0)
    size = len(counts)
    noise = unigram_noise(counts.sum(axis=1))
    pairs = (counts / counts.sum()).ravel()
    centres, contexts = generator.normal(0, 0.3, (size, WIDTH)), generator.normal(0, 0.3, (size, WIDTH))
    states: tuple[dict, dict] = ({}, {})
    losses = []
    for _ in range(steps):
        drawn = generator.choice(len(pairs), 512, p=pairs)
        words, targets = drawn // size, drawn % size
        others = generator.choice(size, (512, negatives), p=noise)
        losses.append(negative_sampling(centres[words], contexts, targets, others))
        by_hidden, by_contexts = negative_sampling_backward(centres[words], contexts, targets, others)
        by_centres = np.zeros_like(centres)
        np.add.at(by_centres, words, by_hidden)
        centres = adam(centres, by_centres, states[0], learning_rate=0.02)
        contexts = adam(contexts, by_contexts, states[1], learning_rate=0.02)
    return centres, contexts, losses


def likeness(vectors: np.ndarray) -> np.ndarray:
    """Cosines of all pairs of rows."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit @ unit.T


def analogy(words: list[str], vectors: np.ndarray, one: str, two: str, three: str) -> str:
    """one is to two as three is to ...: the word nearest, by cosine, to two - one + three; the three themselves are left out."""
    place = {word: row for row, word in enumerate(words)}
    wanted = vectors[place[two]] - vectors[place[one]] + vectors[place[three]]
    cosines = vectors @ wanted / np.linalg.norm(vectors, axis=1) / np.linalg.norm(wanted)
    cosines[[place[one], place[two], place[three]]] = -np.inf
    return words[int(cosines.argmax())]


def analogy_questions() -> list[tuple[str, str, str, str]]:
    """All 72 (a, b, c, d) with a : b = c : d, where a and b differ in one property and c and d in the same."""
    found = []
    for first, second in product(PEOPLE, repeat=2):
        differs = [axis for axis in range(3) if first[axis] != second[axis]]
        if len(differs) == 1:
            for third in PEOPLE:
                fourth = list(third)
                fourth[differs[0]] = second[differs[0]]
                if third[differs[0]] == first[differs[0]] and third != first:
                    found.append((PEOPLE[first], PEOPLE[second], PEOPLE[third], PEOPLE[tuple(fourth)]))  # type: ignore[index]
    return found


def share_right(words: list[str], vectors: np.ndarray) -> float:
    """Share of the analogies that are answered rightly."""
    questions = analogy_questions()
    return float(np.mean([analogy(words, vectors, one, two, three) == four for one, two, three, four in questions]))


def _from_text(people: int) -> tuple[list[str], np.ndarray]:
    """Words and GloVe vectors from a text of that size."""
    words, counts = cooccurrence(corpus(people), WINDOW)
    return words, train_glove(counts)[0]


def show(page: LessonPage) -> None:
    sentences = corpus()
    words, counts = cooccurrence(sentences, WINDOW)
    vectors, losses = train_glove(counts)
    page.text(
        "To a computer a word is a number in a list, or a **one-hot** vector: one place is 1, all others 0. Then king is as far "
        "from queen as from fish. A **word vector** is short and dense, and words that are used alike lie near each other. It "
        "is learned from nothing but text, by the words that stand around."
    )
    page.text(
        f'The text here is made up by a rule: {len(sentences):,} sentences such as "{" ".join(sentences[0])}" and '
        f'"{" ".join(sentences[-1])}", '
        f"with {len(words)} different words. Age, place and dress fit the person four times in five. It says "
        "nothing about English; it "
        "shows how the method works."
    )
    page.number("one_hot", likeness(np.eye(len(words)))[0, 1], "likeness (cosine) of any two one-hot vectors")
    _counted(page, words, counts)
    _learned(page, words, counts, vectors, losses)
    _analogies(page, words, vectors)
    _sampled(page, words, counts)


def _counted(page: LessonPage, words: list[str], counts: np.ndarray) -> None:
    page.heading("Who stands beside whom")
    people = [words.index(word) for word in PEOPLE.values()]
    beside = ("old", "young", "palace", "market", "his", "her", "fish")
    table = counts[np.ix_(people, [words.index(word) for word in beside])]

    def paint(axes):
        paint_cells(axes, table, shade=True, labels=(list(PEOPLE.values()), beside), square=False)
        axes.tick_params(axis="x", labelrotation=45)

    page.figure(
        paint,
        "Counted: people and some of their neighbours",
        size=(4.4, 4.0),
        note=f"Pairs up to {WINDOW} words apart; each counts 1/distance.",
    )


def _learned(page: LessonPage, words: list[str], counts: np.ndarray, vectors: np.ndarray, losses: list[float]) -> None:
    page.heading("GloVe: vectors whose products are the counts")
    page.text(
        f"Each word gets a vector of {WIDTH} numbers as a word and another as a neighbour, and two biases. They "
        "are moved until the "
        "product of word and neighbour is the logarithm of the count. Pairs that were seen often weigh more, "
        "pairs never seen weigh nothing."
    )
    page.formula(
        r"J=\sum_{ij}f(X_{ij})\left(w_i^{\top}c_j+b_i+b'_j-\log X_{ij}\right)^2",
        f"$X$: counts; $w$, $c$: vectors of word and neighbour; the two $b$: their biases; $f$: 0 for a count of 0, 1 from "
        f"{LARGEST:g} on.",
    )
    page.number("loss_first", losses[0], "loss at the start", digits=3)
    page.number("loss_last", losses[-1], f"after {len(losses):,} steps", digits=3)
    people = [words.index(word) for word in PEOPLE.values()]
    cosines = likeness(vectors)
    same = [
        cosines[words.index(a), words.index(b)]
        for a, b in (("king", "queen"), ("cat", "dog"), ("palace", "castle"), ("fish", "meat"))
    ]
    far = [
        cosines[words.index(a), words.index(b)]
        for a, b in (("king", "fish"), ("queen", "night"), ("palace", "meat"), ("boy", "noon"))
    ]
    page.number(
        "alike",
        float(np.mean(same)),
        "mean likeness of king and queen, cat and dog, palace and castle, fish and meat",
        digits=3,
    )
    page.number(
        "unlike", float(np.mean(far)), "of king and fish, queen and night, palace and meat, boy and noon", digits=3
    )

    def cube(axes):
        centred = vectors[people] - vectors[people].mean(axis=0)
        flat = centred @ np.linalg.svd(centred)[2][:2].T
        keys = list(PEOPLE)
        for axis, colour in enumerate((THIRD, FOURTH, SECOND)):
            for first, second in product(range(8), repeat=2):
                if (
                    first < second
                    and sum(a != b for a, b in zip(keys[first], keys[second], strict=True)) == 1
                    and keys[first][axis] != keys[second][axis]
                ):
                    axes.plot(*flat[[first, second]].T, color=colour, lw=1.4, alpha=0.7)
        axes.plot(*flat.T, "o", color=MODEL, markersize=5)
        for name, (x, y) in zip(PEOPLE.values(), flat, strict=True):
            axes.annotate(name, (x, y), (0, 6), textcoords="offset points", ha="center", color=INK, fontsize=TEXT_SIZE)
        axes.margins(0.16)
        axes.set(xticks=[], yticks=[])

    page.figure(
        cube,
        "Eight people on the plane of their largest spread",
        keys=[("third", "differ in age"), ("fourth", "in rank"), ("second", "in sex")],
        size=(4.4, 3.6),
    )
    page.text(
        "Three properties, eight people: a **distributed** representation. Each property is a direction; n directions tell "
        "2ⁿ things apart, where one-hot vectors need a place for each."
    )


def _analogies(page: LessonPage, words: list[str], vectors: np.ndarray) -> None:
    page.heading("Analogies")
    page.text(
        "If properties are directions, then man − king is about woman − queen. So look which word is nearest to "
        "king − man + woman. The three words of the question are left out; else the answer is often one of them."
    )
    asked = [("man", "king", "woman"), ("man", "boy", "queen"), ("king", "queen", "prince"), ("girl", "woman", "boy")]
    page.table(
        ("question", "answer"), [(f"{a} : {b} = {c} : ?", analogy(words, vectors, a, b, c)) for a, b, c in asked]
    )
    page.number("questions", len(analogy_questions()), "such questions about the eight people")
    page.number("right", share_right(words, vectors), "share answered rightly")
    page.table(
        ("sentences about people", "share answered rightly"),
        [(size, share_right(*_from_text(size))) for size in SIZES[:-1]] + [(SIZES[-1], share_right(words, vectors))],
    )
    page.text(
        "The directions are as good as the counts they are made of: with less text, chance decides which word is nearest."
    )
    page.number(
        "king_queen",
        float(analogy(words, vectors, "man", "king", "woman") == "queen"),
        "king − man + woman is queen (1: yes)",
    )


def _sampled(page: LessonPage, words: list[str], counts: np.ndarray) -> None:
    page.heading("Negative sampling: true pair or made up?")
    page.text(
        "The other way to vectors does not count. It draws a true pair from the text, and some words at random beside it, and "
        "learns to tell them apart: a logistic unit for each. This spares the softmax over all words, which for a real "
        "vocabulary is the dear part. Random words are drawn by their frequency to the power 3/4."
    )
    page.formula(
        r"L=-\log\sigma(u_o^{\top}v_c)-\sum_{k}\log\sigma(-u_k^{\top}v_c)",
        "$v_c$: vector of the word; $u_o$: of its true neighbour; $u_k$: of the random ones; σ: sigmoid.",
    )
    centres, contexts, losses = train_skip_gram(counts)

    def curve(axes):
        axes.plot(np.arange(1, len(losses) + 1), losses, color=MODEL, lw=0.8)
        axes.axhline(6 * np.log(2), color=MUTED, lw=1, linestyle=(0, (3, 3)))
        axes.set(xlabel="step", ylabel="loss")

    page.figure(
        curve,
        "Loss by step",
        keys=[("model", "512 pairs, 5 words beside each"), ("muted", "knowing nothing: 6 log 2")],
        size=(4.4, 2.7),
    )
    seen = counts > 0
    shares = counts / counts.sum()
    own, noise = shares.sum(axis=1), unigram_noise(counts.sum(axis=1))
    wanted = np.log(
        shares[seen] / (own[:, None] * noise)[seen]
    )  # the information of a pair, against the noise that was drawn
    scores = (centres @ contexts.T)[seen]
    page.number("loss_sampled", float(np.mean(losses[-100:])), "mean loss of the last 100 steps", digits=3)
    page.number(
        "information",
        float(np.corrcoef(scores, wanted)[0, 1]),
        "correlation of the products with the pairs' mutual information",
        digits=3,
    )
    page.number(
        "right_sampled", share_right(words, centres), "share of the analogies answered rightly by these vectors"
    )
    page.text(
        "What the products learn is how much more often a pair occurs than by chance (its pointwise mutual information), less "
        "the logarithm of the number of made-up words. So both ways fit about the same table."
    )
