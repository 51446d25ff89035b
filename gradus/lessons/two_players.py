"""Two players: what each does when the other answers, on a cake, on one number, and in a game that makes numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND, THIRD
from gradus.reference.sigmoids import sigmoid

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

CUTS = np.linspace(0, 1, 101)  # the left piece of the cake
MEAN, DEVIATION = 2.0, 0.5  # of what is real
BEGUN = (-1.0, 1.0)  # mean and deviation of what is made, at first
TURNS, ROUNDS, ROWS = 10, 600, 256


def cake(cuts: np.ndarray) -> np.ndarray:
    """What player A is left with by each cut, when B takes the larger piece."""
    return np.minimum(cuts, 1 - cuts)


def is_equilibrium(cut: float, takes_left: bool) -> bool:
    """Whether neither player of the cake gains by changing alone: A his cut, when B then chooses anew; B her piece."""
    left_to_a = 1 - cut if takes_left else cut
    return bool(left_to_a >= cake(CUTS).max() - 1e-12 and 1 - left_to_a >= left_to_a - 1e-12)


def value_of(share: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """share * log(judged) + (1 - share) * log(1 - judged): a judge's value at a place where `share` of what comes is real."""
    return share * np.log(judged) + (1 - share) * np.log(1 - judged)


def features(x: np.ndarray) -> np.ndarray:
    """(N,) -> (N, 3): the best judge of two normal distributions is the sigmoid of a parabola."""
    return np.stack([np.ones_like(x), x, x**2], axis=1)


def play(way: str = "descent", rounds: int = ROUNDS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A game of G(z) = mean + deviation * z against D(x) = sigmoid(parabola). way: "descent" of -log D(G(z)), or "ascent" of
    log(1 - D(G(z))), as the text has it. Returns (rounds, 4): mean, deviation, mean D of real and of made ones; the judge."""
    random = np.random.default_rng(seed)
    judge, maker, told = np.zeros(3), np.array(BEGUN), []
    for number in range(rounds):
        rate = 0.05 * (1 - number / rounds)  # a rate that falls: else the players circle each other
        for _ in range(TURNS):
            real, noise = random.normal(MEAN, DEVIATION, ROWS), random.normal(size=ROWS)
            made = maker[0] + maker[1] * noise
            d_real, d_made = sigmoid(features(real) @ judge), sigmoid(features(made) @ judge)
            judge += 0.1 * (features(real).T @ (1 - d_real) - features(made).T @ d_made) / ROWS
        noise = random.normal(size=ROWS)
        made = maker[0] + maker[1] * noise
        d_made = sigmoid(features(made) @ judge)
        slope = judge[1] + 2 * judge[2] * made  # of the judge's logit
        upward = (1 - d_made) * slope if way == "descent" else -d_made * slope
        maker = maker + rate * np.array([upward.mean(), (upward * noise).mean()])
        maker = np.clip(maker, (-6, 0.05), (6, 4))  # the wrong way leads to infinity
        told.append([*maker, d_real.mean(), d_made.mean()])
    return np.array(told), judge


def show(page: LessonPage) -> None:
    _cake(page)
    _judge(page)
    _game(page)


def _cake(page: LessonPage) -> None:
    page.text(
        "A cuts a cake, B takes the larger piece. A gets the smaller one, whatever it is, so A makes the smaller one as "
        "large as can be: half and half. That is **minimax**: choose what is best when the other answers with what "
        "is worst for you. Neither can gain by changing alone, which is a **Nash equilibrium**."
    )
    left = cake(CUTS)
    page.table(
        ["A's cut", "B takes", "A keeps"], [[f"{c:.2f}", 1 - min(c, 1 - c), min(c, 1 - c)] for c in (0.5, 0.4, 0.2)]
    )
    page.number("cut", float(CUTS[left.argmax()]), "A's best cut")
    page.number("kept", float(left.max()), "what A is left with")
    page.number("even", float(is_equilibrium(0.5, True)), "1: cutting evenly is an equilibrium")
    page.number("uneven", float(is_equilibrium(0.4, False)), "0: cutting 0.4 to 0.6 is none")


def _judge(page: LessonPage) -> None:
    page.heading("The best judge")
    page.formula(
        r"V(D,G)=\mathrm{E}[\ln D(x)]+\mathrm{E}[\ln(1-D(G(z)))]", "the judge climbs it, the maker descends it"
    )
    page.text(
        "At a place where a share $s$ of what comes is real, the judge gains $s \\ln D+(1-s)\\ln(1-D)$, most where $D=s$. "
        "Where what is made is distributed as what is real, the share is a half everywhere: then $D=1/2$, as "
        "$x(1-x)$ is largest at a half, and $V=-\\ln 4$."
    )
    grid = np.linspace(0.001, 0.999, 999)
    page.number("best_at_half", float(grid[value_of(np.array(0.5), grid).argmax()]), "the best D where half is real")
    page.number("best_at_fifth", float(grid[value_of(np.array(0.2), grid).argmax()]), "where a fifth is real")
    page.number("product", float(grid[(grid * (1 - grid)).argmax()]), "where x(1 − x) is largest")
    page.number("value", 2 * float(value_of(np.array(0.5), np.array(0.5))), "V there", digits=4)

    def paint(axes):
        axes.plot(grid, grid * (1 - grid), color=MODEL)
        for share, colour in ((0.5, SECOND), (0.2, THIRD)):
            axes.plot(grid, value_of(np.array(share), grid) / 8 + 0.25, color=colour)
        axes.set(xlabel="D", yticks=[], xlim=(0, 1), ylim=(-0.2, 0.3))

    keys = [("model", "x(1 − x)"), ("second", "a judge's value, half real"), ("third", "a fifth real")]
    page.figure(paint, "What a judge should say", keys=keys)
    page.correction(
        "Plain Talk §12.1",
        "the optimum is where the distributions of the data and of $z$ agree",
        "where those of the data and of what is made of $z$ do; $z$ keeps its own",
    )


def _game(page: LessonPage) -> None:
    page.heading("A game that makes numbers")
    told, _ = play()
    wrong, _ = play("ascent", 120)
    page.text(
        f"Real numbers have mean {MEAN:g} and deviation {DEVIATION:g}. The maker has two weights, $G(z)=m+dz$; the judge "
        f"three, the sigmoid of a parabola. The judge learns {TURNS} times, then the maker once."
    )
    page.number("mean", float(told[-100:, 0].mean()), "mean of what is made in the end", digits=3)
    page.number("deviation", float(told[-100:, 1].mean()), "its deviation", digits=3)
    page.number("d_real", float(told[-100:, 2].mean()), "D of real ones", digits=3)
    page.number("d_made", float(told[-100:, 3].mean()), "D of made ones: the balance", digits=3)
    page.number("wrong_mean", float(wrong[-1, 0]), "mean of what is made by the printed rule", digits=3)

    def paint(every):
        for column, colour, name in ((0, MODEL, "m"), (1, SECOND, "d")):
            every[0].plot(told[:, column], color=colour, label=name)
        every[0].plot(wrong[:, 0], color=THIRD)
        every[0].axhline(MEAN, color=INK, linewidth=0.5)
        every[0].axhline(DEVIATION, color=INK, linewidth=0.5)
        every[1].plot(told[:, 2], color=MODEL)
        every[1].plot(told[:, 3], color=SECOND)
        every[1].axhline(0.5, color=INK, linewidth=0.5)
        every[0].set(xlabel="round", ylim=(-6.5, 4), title="what is made")
        every[1].set(xlabel="round", ylim=(0, 1), title="what the judge says")

    keys = [("model", "mean; D of real"), ("second", "deviation; D of made"), ("third", "mean, by the printed rule")]
    page.figure(paint, "The players find their balance", panels=(1, 2), keys=keys)
    page.correction(
        "Plain Talk §12.1",
        "both players climb by gradient ascent, the maker so that $\\ln(1-D(G(z)))$ grows",
        "the maker descends it, or climbs $\\ln D(G(z))$; climbing, it runs from what is real",
    )
    page.try_it("gradus train mnist-cgan --out runs/cgan", "gradus generate runs/cgan --label 7")
