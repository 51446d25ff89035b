"""Gates one at a time: a cell that keeps, one that drops an old subject, the LSTM as told and as it is, the GRU's senses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import MODEL, SECOND, THIRD
from gradus.reference.gru import gru
from gradus.reference.lstm import Trace, lstm_trace
from gradus.reference.lstm_peephole import peephole_lstm
from gradus.reference.recurrent import rnn
from gradus.reference.sigmoids import sigmoid

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

OPEN = 60.0  # before the sigmoid: a gate of exactly 1 in float64; -OPEN one of 1e-26
WORDS = ("the", "cats", "that", "the", "dog", "saw", "were", "·", "the", "man", "was")
NUMBER = {"cats": 1.0, "man": -1.0}  # what the cell is to keep: many or one
OUT = {"were", "was"}  # words at which it is asked


def one_unit(entry: np.ndarray, forget: np.ndarray, candidate: np.ndarray, output: np.ndarray) -> Trace:
    """An LSTM of one unit whose sums before the activations are given for each step: (T,) each.

    The sums are its inputs; its weights hand each to its own gate, and nothing comes from the state.
    """
    inputs = np.stack([entry, forget, candidate, output], axis=1)[None]
    return lstm_trace(inputs, np.zeros((1, 1)), np.zeros((1, 1)), np.eye(4), np.zeros((1, 4)), np.zeros(4))


def first_kept(steps: int = 10) -> Trace:
    """Input gate open at the first step alone, forget gate always, output gate at the last."""
    entry, output = np.full(steps, -OPEN), np.full(steps, -OPEN)
    entry[0], output[-1] = OPEN, OPEN
    return one_unit(entry, np.full(steps, OPEN), np.ones(steps), output)


def subjects() -> Trace:
    """The sentence `WORDS`: a subject opens the input gate and closes the forget gate, a verb opens the output
    gate."""
    entry = np.array([OPEN if word in NUMBER else -OPEN for word in WORDS])
    output = np.array([OPEN if word in OUT else -OPEN for word in WORDS])
    candidate = np.array([2 * NUMBER.get(word, 0.0) for word in WORDS])
    return one_unit(entry, -entry, candidate, output)


def carried_gradient(forget: float, steps: int = 20) -> np.ndarray:
    """(steps,): d c_T / d c_t of a cell with this forget gate, the input shut: its powers."""
    return forget ** np.arange(steps)


def gru_of(gate: float, update: str, steps: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """States of a GRU whose reset gate is 1 and whose update gate is `gate`, and those of the simple network
    of its candidate."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(1, steps, 3))
    first, second = generator.normal(size=(3, 4)), generator.normal(size=(4, 4)) / 2
    begun = generator.normal(size=(1, 4))
    bias = np.concatenate([np.full(4, OPEN), np.full(4, OPEN if gate else -OPEN), np.zeros(4)])
    nothing = np.zeros_like
    input_weight = np.concatenate([nothing(first), nothing(first), first], axis=1)
    hidden_weight = np.concatenate([nothing(second), nothing(second), second], axis=1)
    found = gru(inputs, begun, input_weight, hidden_weight, bias, update)
    return found, rnn(inputs, begun, first, second, np.zeros(4))


def as_told_and_as_it_is(steps: int = 200) -> tuple[float, float]:
    """The least "gate" of the listing's cell with tanh for every activation, and with the sigmoid."""
    sums = np.random.default_rng(0).normal(size=steps)
    return float(np.tanh(sums).min()), float(sigmoid(sums).min())


def peephole_gap() -> float:
    """How far the states move when the output gate sees the old cell, as eq. 8-9 prints, and not the new one."""
    generator = np.random.default_rng(0)
    inputs, weights = generator.normal(size=(1, 8, 3)), generator.normal(size=(3, 16))
    hidden, peep = generator.normal(size=(4, 16)) / 2, generator.normal(size=(3, 4))
    zero = np.zeros((1, 4))
    new, old = (
        peephole_lstm(inputs, zero, zero, weights, hidden, np.zeros(16), peep, output_sees=which)[0]
        for which in ("new", "old")
    )
    return float(np.abs(new - old).max())


def show(page: LessonPage) -> None:
    page.text(
        "An LSTM has a **cell** c beside its state. Three gates, numbers between 0 and 1, say what happens to it: "
        "the **input** gate "
        "what is let in, the **forget** gate what stays, the **output** gate what is shown. 1 is open, 0 is closed."
    )
    page.formula(r"c_t=f_t\,c_{t-1}+i_t\,\tilde c_t\qquad h_t=o_t\tanh(c_t)")
    _keeping(page)
    _subjects(page)
    _told(page)
    _gru(page)


def _marks(values: np.ndarray) -> list[str]:
    return ["o" if value > 0.5 else "–" for value in values]


def _keeping(page: LessonPage) -> None:
    page.heading("A value that is kept")
    trace = first_kept()
    gates = {"input": trace.input_gate, "forget": trace.forget_gate, "output": trace.output_gate}
    page.table(
        ("gate", *(str(step) for step in range(10))),
        [
            *((name, *_marks(values[0, :, 0])) for name, values in gates.items()),
            ("cell", *(f"{c:.2f}" for c in trace.cells[0, :, 0])),
        ],
    )
    page.text(
        "o is open, – closed. The first input comes in; then the input gate is shut and the forget gate open, so the "
        "cell stays as it "
        "is, and so does its gradient: each step back multiplies by the forget gate, by nothing else."
    )
    page.number("kept", float(np.ptp(trace.cells[0, :, 0])), "how far the cell moves in ten steps")
    page.number(
        "shown", float(np.abs(trace.states[0, :-1]).max()), "the most that is shown before the output gate opens"
    )

    def paint(axes):
        for forget, colour in ((1.0, MODEL), (0.9, THIRD), (0.5, SECOND)):
            axes.semilogy(carried_gradient(forget), color=colour)
        axes.set(xlabel="steps back", ylabel="gradient by the cell", ylim=(1e-6, 2), yticks=[1e-6, 1e-3, 1])
        axes.set_yticklabels(["1e−6", "0.001", "1"])

    keys = [("model", "forget gate 1"), ("third", "0.9"), ("second", "0.5")]
    page.figure(paint, "What the forget gate leaves", keys=keys, size=(4.4, 2.6))
    page.correction(
        "Principles and Practice §8.2, figs 8-8, 8-11; Plain Talk §8.3",
        "one calls the forget gate output gate, the other the output gate forget gate",
        "f multiplies the old cell, o what is shown",
    )


def _subjects(page: LessonPage) -> None:
    page.heading("A subject that is dropped")
    trace = subjects()
    page.table(
        ("", *WORDS),
        [
            ("forget", *_marks(trace.forget_gate[0, :, 0])),
            ("cell", *(f"{c:.2f}" for c in trace.cells[0, :, 0])),
            ("shown", *(f"{h:.2f}" for h in trace.states[0, :, 0])),
        ],
    )
    page.text(
        "Is it *was* or *were*? The cell keeps whether the subject is many (above 0) or one, past the dog between, "
        "which is no subject. "
        "A new subject closes the forget gate for one step: the old one is gone. Gates set by hand; `gradus look RUN "
        "gates` "
        "shows those of a trained network, which seldom are so clean."
    )
    cells = trace.cells[0, :, 0]
    page.number("at_were", float(cells[WORDS.index("were")]), "the cell at “were”", digits=3)
    page.number("at_was", float(cells[WORDS.index("was")]), "at “was”: nothing of the cats is left", digits=3)


def _told(page: LessonPage) -> None:
    page.heading("As told and as it is")
    told, real = as_told_and_as_it_is()
    page.text(
        "*Deep Learning with Python* tells the cell in pseudo-code whose output is act(x W + s U + c V + b): the old "
        "carry goes in through a "
        "matrix, and no gate lies on it. It does not say which activation; with tanh a “gate” may be −1, which "
        "neither opens nor closes."
    )
    page.number("told_least", told, "the least “gate” with tanh, 200 random sums", digits=3)
    page.number("real_least", real, "with the sigmoid", digits=3)
    page.correction(
        "Deep Learning with Python listings 6-25, 6-26",
        "output = act(U s + W x + V c + b)",
        "gates are sigmoids, and the output is o · tanh of the new cell",
    )
    page.number(
        "peephole", peephole_gap(), "peepholes: how far states move when the output gate sees the old cell", digits=2
    )
    page.text(
        "Peepholes let the gates see the cell. The output gate sees the **new** one; eq. 8-9 of the book prints the "
        "old."
    )


def _gru(page: LessonPage) -> None:
    page.heading("The GRU's two senses")
    page.text(
        "A GRU has no cell: its update gate z mixes the old state and the candidate. In one half of the literature z "
        "**keeps** the old, "
        "in the other it **takes** the new. Force z and look which it is: pure candidates with an open reset gate "
        "are a simple network."
    )
    rows = []
    for update, formula in (("keep", "h = z h' + (1 − z) n"), ("take", "h = (1 − z) h' + z n")):
        gaps = [float(np.abs(np.subtract(*gru_of(gate, update))).max()) for gate in (0.0, 1.0)]
        rows.append((formula, *("the simple network" if gap < 1e-9 else "the first state, for ever" for gap in gaps)))
        page.number(f"{update}_at_0", gaps[0], f"“{update}”, z = 0: distance from the simple network", digits=3)
        page.number(f"{update}_at_1", gaps[1], f"“{update}”, z = 1", digits=3)
    page.table(("", "z = 0", "z = 1"), rows)
    page.correction(
        "Principles and Practice eq. 8-13",
        "h = (1 − z) h' + z n, while its prose and its listing have the other",
        "both are GRUs, with z turned round; PyTorch and Keras keep the old with z",
    )
