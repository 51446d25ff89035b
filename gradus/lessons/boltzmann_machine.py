"""A machine that learns what is likely: energy, the sum over all states, and three ways to learn without it."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import paint_field, paint_picture
from gradus.look.charts import MODEL, MUTED, SECOND, THIRD
from gradus.reference import energy

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

SIDE, HIDDEN, STEPS, RATE, CHAINS = 3, 8, 2000, 0.1, 50
WAYS = {"CD-1": (1, False), "CD-10": (10, False), "PCD": (1, True)}  # Gibbs steps, whether chains go on


def bars_and_stripes(side: int = SIDE) -> np.ndarray:
    """Every picture of full rows or of full columns, once: (2^(side + 1) - 2, side^2)."""
    patterns = []
    for bits in product([0.0, 1], repeat=side):
        rows = np.repeat(np.array(bits)[:, None], side, axis=1)
        patterns += [rows.ravel(), rows.T.ravel()]
    return np.unique(np.array(patterns), axis=0)


def draw(chances: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return (random.random(chances.shape) < chances).astype(float)


def gibbs(states: np.ndarray, machine: energy.Parameters, steps: int, random: np.random.Generator) -> np.ndarray:
    """States (N, D) after so many steps: hidden units given the visible ones, then these given those."""
    weight, visible_bias, hidden_bias = machine
    for _ in range(steps):
        hidden = draw(energy.hidden_chances(states, weight, hidden_bias), random)
        states = draw(energy.visible_chances(hidden, weight, visible_bias), random)
    return states


def learn(way: str, seed: int = 0, steps: int = STEPS) -> tuple[energy.Parameters, np.ndarray]:
    """(machine, exact mean log-likelihood after every 25th step). "exact" goes up the likelihood itself."""
    random, rows = np.random.default_rng(seed), bars_and_stripes()
    machine = (0.1 * random.normal(size=(rows.shape[1], HIDDEN)), np.zeros(rows.shape[1]), np.zeros(HIDDEN))
    chains, track = draw(np.full((CHAINS, rows.shape[1]), 0.5), random), []
    for step in range(steps + 1):
        if step % 25 == 0:
            track.append(energy.rbm_log_likelihood(rows, *machine))
        if way == "exact":
            slopes = [-slope for slope in energy.rbm_log_likelihood_backward(rows, *machine)]
        else:
            count, goes_on = WAYS[way]
            chains = gibbs(chains if goes_on else rows, machine, count, random)
            slopes = list(energy.contrast_backward(rows, chains, machine[0], machine[2]))
        machine = tuple(value - RATE * slope for value, slope in zip(machine, slopes, strict=True))  # type: ignore
    return machine, np.array(track)


def show(page: LessonPage) -> None:
    rows = bars_and_stripes()
    best = -np.log(len(rows))
    page.heading("Energy")
    page.text(
        "A **restricted Boltzmann machine** has visible units $v$, hidden units $h$, all 0 or 1, and weights between "
        "the two sides "
        "only. Each state of the whole has an energy, and the lower it is, the likelier the state:"
    )
    page.formula(r"E(v,h)=-\sum_{ij}v_iw_{ij}h_j-\sum_ib_iv_i-\sum_jc_jh_j,\qquad p(v,h)=\frac{e^{-E(v,h)}}{Z}")
    page.text(
        "$Z$ is the **partition function**: the sum of $e^{-E}$ over all states of both sides, here "
        f"$2^{{{SIDE**2 + HIDDEN}}}$ of them. Because no two units of a side are joined, given one side the units of "
        f"the other are "
        "independent, and each is a logistic regression: $p(h_j=1|v)=\\sigma(\\sum_iw_{ij}v_i+c_j)$ and "
        "$p(v_i=1|h)=\\sigma(\\sum_jw_{ij}h_j+b_i)$. And the hidden units sum out: $p(v)=e^{-F(v)}/Z$ with the free "
        "energy $F$."
    )
    page.correction(
        "Plain Talk §10.1, §10.5",
        "the conditionals have weights of one index, sums over hidden units run to m, i and j change sides; Z is "
        "like 1/N; one "
        "exponent leaves out w; units are real numbers in 0..1",
        "$w_{ij}$ in both, i over the visible and j over the hidden units throughout; Z is the sum over all states; "
        "w belongs "
        "into the exponent; units are 0 or 1, and what lies between are their chances",
    )
    page.heading("Learning")
    page.formula(
        r"\frac{\partial\ln p}{\partial w_{ij}}=\langle v_ih_j\rangle_{data}-\langle v_ih_j\rangle_{model}",
        "What the data show together, less what the machine shows when nobody shows it anything.",
    )
    page.text(
        "The second mean needs $Z$. **Contrastive divergence** (CD-k) takes the states where k Gibbs steps from the "
        "data lead. "
        "**Persistent** chains (PCD) never go back to the data. Here the machine is small enough to add up $Z$, so "
        "we can see what each "
        f"way does to the likelihood: {len(rows)} pictures of {SIDE} x {SIDE} pixels, bars and stripes, each as "
        f"often as the others. "
        f"No machine can do better than $-\\ln {len(rows)}$."
    )
    found = {way: learn(way) for way in ("exact", *WAYS)}
    page.number("best", best, "nats a picture, the best there is", digits=4)
    for way, (_, track) in found.items():
        name = way.lower().replace("-", "_")
        page.number(name, track[-1], f"after {STEPS} steps of {'the exact slope' if way == 'exact' else way}", digits=4)
    page.correction(
        "Plain Talk §10.5",
        "contrastive divergence is the loss function",
        "the loss is minus the log-likelihood; contrastive divergence is an approximate slope of it, and of no "
        "function exactly",
    )

    def curves(axes):
        steps = np.arange(len(found["exact"][1])) * 25
        for colour, (_, track) in zip((MUTED, MODEL, SECOND, THIRD), found.values(), strict=True):
            axes.plot(steps, track, color=colour)
        axes.axhline(best, color=MUTED, linewidth=0.8, linestyle="--")
        axes.set(xlabel="steps", ylabel="log-likelihood, nats", ylim=(-6.5, -2.3))

    keys = [("muted", "exact"), ("model", "CD-1"), ("second", "CD-10"), ("third", "PCD")]
    page.figure(curves, "The exact likelihood, whatever the slope", keys=keys)
    _dreams(page, found["PCD"][0], found["CD-1"][0], rows)


def _dreams(page: LessonPage, machine: energy.Parameters, short: energy.Parameters, rows: np.ndarray) -> None:
    page.heading("What it makes of noise, and of half a picture")
    states = energy.all_states(SIDE**2)
    known = (states[:, None] == rows).all(axis=2).any(axis=1)
    for name, parameters, says in (("pcd", machine, "persistent chains"), ("cd", short, "CD-1")):
        energies = energy.free_energy(states, *parameters)
        shares = np.exp(-energies - np.logaddexp.reduce(-energies))
        page.number(f"mass_{name}", float(shares[known].sum()), f"chance of a bar or stripe picture, learnt by {says}")
    page.number("mass_before", known.mean(), "of a picture of random pixels")
    page.text(
        "CD-1 only ever looks near the data. States far away may be likely too without its noticing; chains that go "
        "on find them and "
        "raise their energy. Below: what chains of PCD's machine end with, and the weights of its hidden units."
    )
    random = np.random.default_rng(1)
    ends = gibbs(draw(np.full((16, SIDE**2), 0.5), random), machine, 200, random)

    def paint(every):
        for axes, end in zip(every[:8], ends, strict=False):
            paint_picture(axes, end.reshape(SIDE, SIDE))
        for axes, filters in zip(every[8:], machine[0].T, strict=True):
            paint_field(axes, filters.reshape(SIDE, SIDE))

    page.figure(paint, "Fantasies (above), and weights (below)", panels=(2, 8), size=(8.8, 2.6))
    half, row = np.zeros(SIDE**2, dtype=bool), np.array([1.0, 1, 1, 0, 0, 0, 1, 1, 1])
    half[:SIDE] = half[SIDE : SIDE + 1] = True  # the first row, and the first pixel of the second
    fits = (states[:, half] == row[half]).all(axis=1)
    energies = energy.free_energy(states[fits], *machine)
    shares = np.exp(-energies - np.logaddexp.reduce(-energies))
    right = known[fits]
    page.text(
        "Of a picture with a full first row and an empty pixel below its left end, only stripes are left: the two "
        "other pixels of the "
        "second row must be empty, and the third row may be either."
    )
    page.number(
        "completed", float(shares[right].sum()), "chance that the machine completes it to a picture it has seen"
    )
    page.number("completed_by_chance", right.mean(), "that random pixels do")
    page.try_it("gradus train mnist-rbm", "gradus look RUN damaged", "gradus lesson hopfield")
