"""What a recurrent network remembers: gradients through time, cut off or whole, how they fade, and a task of memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import log_ticks
from gradus.look.charts import FOURTH, INK, MODEL, SECOND, TEXT_SIZE, THIRD
from gradus.reference.gru import gru_backward
from gradus.reference.lstm import initial_bias, lstm_backward
from gradus.reference.recurrent import rnn, rnn_backward, rnn_backward_truncated

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # inputs, initial state, U, W, bias
CUT = 4  # steps that truncated back-propagation goes back
SYMBOLS, DELAYS = 4, (5, 15)
CELLS = ("RNN", "LSTM", "GRU")
COLOURS = {
    "RNN": SECOND,
    "LSTM": MODEL,
    "GRU": THIRD,
    "LSTM, open": FOURTH,
}  # open: its forget gate near 1 at the start
KEYS = [("second", "RNN"), ("model", "LSTM"), ("third", "GRU"), ("fourth", "LSTM, gate open")]
OPEN = 3.0  # forget bias; sigmoid(3) = 0.95


def toy(steps: int) -> Parts:
    """One sequence of 3 numbers a step, and the weights of 4 units."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(1, 20, 3))[:, :steps]
    return (
        inputs,
        np.zeros((1, 4)),
        0.6 * generator.normal(size=(3, 4)),
        0.6 * generator.normal(size=(4, 4)),
        np.zeros(4),
    )


def toy_loss(*parts: np.ndarray) -> float:
    """Half the sum of squares of all states: every step has its own loss."""
    return float((rnn(*parts) ** 2).sum() / 2)


def by_differences(parts: Parts, which: int, step: float = 1e-6) -> np.ndarray:
    """The gradient by one of the five arrays, by central differences."""
    found = np.zeros_like(parts[which])
    for place in np.ndindex(found.shape):
        losses = []
        for sign in (1, -1):
            moved = [part.copy() for part in parts]
            moved[which][place] += sign * step
            losses.append(toy_loss(*moved))
        found[place] = (losses[0] - losses[1]) / (2 * step)
    return found


def truncation_error(steps: int) -> tuple[float, float]:
    """How far the truncated gradient is from the whole one, by the input weights and by the recurrent ones (largest entry)."""
    parts = toy(steps)
    whole = rnn_backward(*parts, rnn(*parts))
    cut = rnn_backward_truncated(*parts, rnn(*parts), CUT)
    return float(np.abs(whole[2] - cut[2]).max()), float(np.abs(whole[3] - cut[3]).max())


def reach(cell: str, steps: int = 40, units: int = 32, seeds: int = 5, forget: float = 1.0) -> np.ndarray:
    """Length of the gradient of the last state by the input `distance` steps before, as a share of distance 0. (steps,)"""
    lengths = np.zeros(steps)
    for seed in range(seeds):
        generator = np.random.default_rng(seed)
        gates = {"RNN": 1, "LSTM": 4, "GRU": 3}[cell]
        inputs, zeros = generator.normal(size=(8, steps, 8)), np.zeros((8, units))
        weights = (
            generator.normal(0, 8**-0.5, (8, gates * units)),
            generator.normal(0, units**-0.5, (units, gates * units)),
        )
        gradient = np.zeros((8, steps, units))
        gradient[:, -1] = generator.normal(size=(8, units))
        if cell == "LSTM":
            by_inputs = lstm_backward(inputs, zeros, zeros, *weights, initial_bias(units, forget), gradient)[0]
        else:
            backward = gru_backward if cell == "GRU" else rnn_backward
            by_inputs = backward(inputs, zeros, *weights, np.zeros(gates * units), gradient)[0]
        lengths += np.linalg.norm(by_inputs, axis=2).mean(axis=0)
    return lengths[::-1] / lengths[-1]


def listing_states(scaled: bool) -> np.ndarray:
    """Deep Learning with Python, listing 6-21: 100 steps, 32 inputs, 64 units. As printed all numbers are uniform in 0..1."""
    generator = np.random.default_rng(0)
    inputs = generator.random((1, 100, 32))
    first, second, bias = generator.random((32, 64)), generator.random((64, 64)), generator.random(64)
    if scaled:
        first, second, bias = (
            generator.normal(0, 32**-0.5, first.shape),
            generator.normal(0, 64**-0.5, second.shape),
            np.zeros(64),
        )
    return rnn(inputs, np.zeros((1, 64)), first, second, bias)


def remember(cell: str, delay: int, steps: int = 150, batch: int = 32, units: int = 16) -> list[float]:
    """Trains a cell to name the first symbol after `delay` steps of noise.

    Share right, averaged over ten batches at a time; each batch is answered before it is learned from.
    """
    import torch
    from torch.nn import GRU, LSTM, RNN, Linear, functional

    generator = torch.Generator().manual_seed(delay)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU, "LSTM, open": LSTM}[cell](SYMBOLS + 1, units, batch_first=True)
        head = Linear(units, SYMBOLS)
    if cell == "LSTM, open":
        with torch.no_grad():
            layer.bias_ih_l0[units : 2 * units] = OPEN
    parameters = [*layer.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=0.01)
    found = []
    for _ in range(steps):
        symbols = torch.randint(0, SYMBOLS, (batch,), generator=generator)
        inputs = 0.3 * torch.randn(batch, delay + 1, SYMBOLS + 1, generator=generator)
        inputs[:, 0] = functional.one_hot(symbols, SYMBOLS + 1).float()
        scores = head(layer(inputs)[0][:, -1])
        found.append(float((scores.argmax(dim=1) == symbols).float().mean()))
        optimizer.zero_grad()
        functional.cross_entropy(scores, symbols).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    return np.array(found).reshape(-1, 10).mean(axis=1).tolist()


def show(page: LessonPage) -> None:
    page.text(
        "A **recurrent** network reads a sequence step by step. Its state is made of the new input and of its own last state, "
        "with the **same** weights at every step; so the state can hold something of all that was read."
    )
    page.formula(r"s_t=\tanh(x_tU+s_{t-1}W+b)")
    page.text(
        "To learn, the steps are laid side by side, as layers of one deep network, and the chain rule goes back through them: "
        "**back-propagation through time**. Every step's loss speaks to all steps before it."
    )
    parts = toy(6)
    exact = rnn_backward(*parts, rnn(*parts))
    gaps = [np.abs(exact[which] - by_differences(parts, which)).max() for which in (2, 3, 4)]
    page.number("gradient_gap", max(gaps), "six steps: the gradient against differences, largest deviation")
    page.correction(
        "Principles and Practice eq. 7-23",
        "every step back has the factor 1 − s² of the step whose loss it is",
        "each step has its own: δ of step k is Wᵀ δ of step k+1, times 1 − s² of step k",
    )
    _truncated(page)
    _fading(page)
    _saturated(page)
    _memory(page)


def _truncated(page: LessonPage) -> None:
    page.heading("Cut off after four steps")
    steps = np.arange(2, 15)
    errors = np.array([truncation_error(int(length)) for length in steps])
    page.text(
        f"Going back to the first step is dear for long sequences. **Truncated** back-propagation goes back {CUT} steps only. "
        "Up to five steps that is everything; from six on, something is missing."
    )

    def paint(axes):
        axes.plot(steps, errors[:, 0], "o-", color=MODEL, markersize=4)
        axes.plot(steps, errors[:, 1], "o-", color=SECOND, markersize=4)
        axes.set(xlabel="steps of the sequence", ylabel="error of the gradient", xticks=[2, 5, 6, 10, 14])

    page.figure(
        paint,
        "What truncation leaves out",
        keys=[("model", "input weights"), ("second", "recurrent weights")],
        size=(4.4, 2.7),
    )
    page.number("cut_five", errors[steps == 5].max(), "error at five steps")
    page.number("cut_six_inputs", errors[steps == 6][0, 0], "at six steps, input weights", digits=3)
    page.number("cut_six_recurrent", errors[steps == 6][0, 1], "at six steps, recurrent weights")
    page.text(
        "At six steps the recurrent weights are still exact: all that is cut there would be multiplied with the "
        "zero state at the start."
    )


def _fading(page: LessonPage) -> None:
    page.heading("How far a gradient reaches")
    curves = {cell: reach(cell) for cell in CELLS}
    distance = np.arange(40)

    def paint(axes):
        for cell, curve in curves.items():
            axes.semilogy(distance, curve, color=COLOURS[cell])
        axes.semilogy(distance, reach("LSTM", forget=0.0), color=MODEL, linestyle=(0, (3, 3)))
        axes.semilogy(distance, reach("LSTM", forget=OPEN), color=COLOURS["LSTM, open"])
        axes.set(xlabel="steps back", ylabel="gradient, as a share", ylim=(1e-9, 5))
        log_ticks(axes.yaxis)

    page.text(
        "With fresh random weights, how much does an input some steps ago matter for the last state? Each step of a plain RNN "
        "multiplies by its weights and by a slope below 1, so the influence **vanishes** like the powers of a "
        "number below 1. LSTM and GRU carry a "
        "value on by a gate: where the gate is near 1 it passes almost unchanged."
    )
    page.figure(
        paint,
        "Influence by distance",
        keys=KEYS,
        note=f"LSTM with forget bias 1; dashed: with 0; gate open: with {OPEN:g}. Untrained networks.",
    )
    for cell in CELLS:
        page.number(f"reach_{cell}", curves[cell][20], f"share left after 20 steps, {cell}", digits=2)
    page.number("reach_open", reach("LSTM", forget=OPEN)[20], f"LSTM with forget bias {OPEN:g}", digits=2)
    page.text(
        "So a gate is no gift by itself. It has to be open: that is why its bias is often set to 1 or more at the start."
    )


def _saturated(page: LessonPage) -> None:
    page.heading("A listing that always says one")
    printed, scaled = listing_states(False)[0], listing_states(True)[0]

    def paint(axes):
        bins = np.linspace(-1, 1, 41)
        axes.hist(scaled.ravel(), bins=bins, color=MODEL, alpha=0.7)
        axes.hist(printed.ravel(), bins=bins, color=SECOND, alpha=0.7)
        axes.set(yscale="log", xlabel="state", ylabel="count", xticks=[-1, 0, 1])
        log_ticks(axes.yaxis)

    page.text(
        "The book's first RNN in NumPy has weights and inputs uniform between 0 and 1. All are positive, so each sum is about 8 "
        "from the inputs and 32 from the states, and tanh of that is 1. Every output is 1, whatever is read."
    )
    page.figure(
        paint,
        "All 6,400 states",
        keys=[("second", "as printed"), ("model", "weights around 0, scaled")],
        size=(4.4, 2.7),
    )
    page.number("saturated", float((printed[1:] > 0.999).mean()), "share of states above 0.999, as printed")
    page.number("saturated_scaled", float((np.abs(scaled[1:]) > 0.999).mean()), "with scaled weights")
    page.correction(
        "Deep Learning with Python listing 6-21",
        "weights uniform in 0..1",
        "it runs, but shows nothing: weights around 0, of size 1/√n",
    )


def _memory(page: LessonPage) -> None:
    page.heading("A task of memory")
    page.text(
        f"One of {SYMBOLS} symbols is shown, then noise; at the end the network must say which it was. Guessing gives "
        f"{1 / SYMBOLS:.2f}. Each cell has 16 units and learns from 150 batches of 32; one LSTM starts with a "
        f"forget bias of {OPEN:g}."
    )
    curves = {(cell, delay): remember(cell, delay) for cell in COLOURS for delay in DELAYS}
    seen = 10 * (np.arange(15) + 1)

    def paint(every):
        for axes, delay in zip(every, DELAYS, strict=True):
            for cell, colour in COLOURS.items():
                axes.plot(seen, curves[cell, delay], color=colour)
            axes.set_title(f"{delay} steps", fontsize=TEXT_SIZE, color=INK)
            axes.set(ylim=(0, 1.05), xticks=[0, 75, 150], yticks=[0, 0.5, 1], xlabel="batches")
        every[0].set_ylabel("share right")

    page.figure(paint, "Learning to remember", keys=KEYS, panels=(1, 2), size=(5.4, 2.8))
    last = {pair: float(np.mean(curve[-3:])) for pair, curve in curves.items()}
    page.table(
        ("share right, last 30 batches", *(f"{delay} steps" for delay in DELAYS)),
        [(cell, *(f"{last[cell, delay]:.2f}" for delay in DELAYS)) for cell in COLOURS],
    )
    short = {cell: last[cell, DELAYS[0]] for cell in COLOURS}
    page.number("memory_short", min(short.values()), f"the worst of the four at {DELAYS[0]} steps", digits=3)
    for key, cell in (("memory_half_open", "LSTM"), ("memory_open", "LSTM, open")):
        page.number(key, last[cell, DELAYS[1]], f"{cell}, at {DELAYS[1]} steps", digits=3)
    page.text(
        "One seed each and a short training, so take no ranking from this. But it shows that gates alone do not make a "
        "memory: half open at the start, they let the symbol fade by half each step, and at the longer delay nothing tells "
        "LSTM and GRU what to learn. Started open, the same LSTM learns it. The plain RNN does the task, too: noise is all it "
        "must ignore, and nothing has to be changed in between."
    )
