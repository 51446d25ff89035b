"""Rain from the weather, and rain from the price of rice: what inputs must tell of the answer before anything can be learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND, THIRD
from gradus.reference.activations import sigmoid

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

DAYS, HELD_OUT = 1000, 4000
STEPS, RATE = 400, 0.5
SETS = {  # what the network sees -> columns of `weather`
    "weather": (0, 1, 2, 3),
    "two": (0, 1),
    "rice": (4,),
}
SAYS = {"weather": "temperature, pressure, humidity, wind", "two": "temperature and pressure", "rice": "price of rice"}
ROLES = {"weather": "model", "two": "third", "rice": "second"}
COLOURS = {"weather": MODEL, "two": THIRD, "rice": SECOND}


def weather(days: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Made-up days: temperature, pressure, humidity, wind, price of rice, all of mean 0 and size 1; and rain, 0 or 1."""
    features = generator.normal(size=(days, 5))
    tendency = 0.5 * features[:, 0] - 1.2 * features[:, 1] + 2.2 * features[:, 2] + 1.2 * features[:, 3]
    return features, (generator.random(days) < sigmoid(1.5 * tendency - 0.5)).astype(np.float64)


def cross_entropy(inputs: np.ndarray, rain: np.ndarray, weights: np.ndarray, bias: float) -> float:
    """Mean −ln of the probability that was given to what happened."""
    answer = sigmoid(inputs @ weights + bias)
    return float(-np.log(np.where(rain > 0, answer, 1 - answer)).mean())


def train(known: tuple[np.ndarray, np.ndarray], asked: tuple[np.ndarray, np.ndarray], steps: int) -> np.ndarray:
    """One neuron by plain descent. (steps, 2): loss on the rows learnt from, and on others."""
    inputs, rain = known
    weights, bias, losses = np.zeros(inputs.shape[1]), 0.0, []
    for _ in range(steps):
        losses.append((cross_entropy(inputs, rain, weights, bias), cross_entropy(*asked, weights, bias)))
        error = sigmoid(inputs @ weights + bias) - rain
        weights, bias = weights - RATE * inputs.T @ error / len(rain), bias - RATE * error.mean()
    return np.array(losses)


def entropy(share: float) -> float:
    """Of an event with this probability, in nats."""
    return float(-share * np.log(share) - (1 - share) * np.log(1 - share))


def entropy_given(feature: np.ndarray, rain: np.ndarray, bins: int = 10) -> float:
    """Mean entropy of rain within tenths of a feature's values: how uncertain rain is when the feature is known."""
    order = np.argsort(feature)
    parts = np.array_split(rain[order], bins)
    return float(sum(len(part) * entropy(float(np.clip(part.mean(), 1e-9, 1 - 1e-9))) for part in parts) / len(rain))


def show(page: LessonPage) -> None:
    generator = np.random.default_rng(0)
    known, asked = weather(DAYS, generator), weather(HELD_OUT, generator)
    base = entropy(float(known[1].mean()))
    page.text(
        "Will it rain? A neuron learns from a thousand made-up days. It is given the weather; or only two of its "
        "four numbers; or the price of rice. The same neuron, the same days, the same training. What the inputs do "
        "not hold, no training brings out. (The loss is cross-entropy, the mean of $-\\ln$ of the probability that was "
        "given to what came.)"
    )
    curves = {
        name: train((known[0][:, columns], known[1]), (asked[0][:, columns], asked[1]), STEPS)
        for name, columns in SETS.items()
    }

    def losses(axes):
        for name, values in curves.items():
            axes.plot(values[:, 1], color=COLOURS[name])
        axes.axhline(base, color=INK, linewidth=1, linestyle=(0, (3, 3)))
        axes.set(xlabel="step", ylabel="loss on other days", xticks=[0, 200, 400], ylim=(0.2, 0.75))

    keys = [(ROLES[name], SAYS[name]) for name in SETS] + [("ink", "share of rainy days alone")]
    page.figure(losses, "Three neurons learn", keys=keys)
    page.number("baseline", base, "loss of always saying the share of rainy days")
    for name, values in curves.items():
        page.number(f"loss_{name}", values[-1, 1], f"loss on other days: {SAYS[name]}")

    page.heading("Can it be known beforehand?")
    page.text(
        "**Entropy** measures how uncertain rain is: it is the loss of one who knows only the share of rainy days. If "
        "knowing a feature does not make it smaller, the feature is of no use, at least alone. Sort the days by the "
        "feature, cut them into tenths, and average the entropy within."
    )
    page.formula(r"H=-p\ln p-(1-p)\ln(1-p)")
    names = ("temperature", "pressure", "humidity", "wind", "price of rice")
    within = [entropy_given(asked[0][:, column], asked[1]) for column in range(5)]
    whole = entropy(float(asked[1].mean()))

    def bars(axes):
        axes.barh(names, [whole - value for value in within], color=[MODEL] * 4 + [SECOND])
        axes.invert_yaxis()
        axes.set(xlabel="entropy of rain that the feature takes away")

    page.figure(bars, "What each feature tells")
    page.number("humidity_tells", whole - within[2], "entropy that humidity takes away")
    page.number("rice_tells", whole - within[4], "that the price of rice takes away: nothing but chance")
    _many(page)
    page.correction(
        "Plain Talk §5.3.3",
        "the weather's ten features name temperature twice, and dimension (维度) where latitude (纬度) is meant",
        "temperature, pressure, humidity, wind speed and direction, month, date, hour, longitude and latitude",
    )
    page.try_it("gradus lesson bad-splits", "gradus lesson two-moons")


def _many(page: LessonPage) -> None:
    page.heading("Irrelevant, and yet the loss falls")
    few, columns = 100, 80
    generator = np.random.default_rng(2)
    rain = (generator.random(few) < 0.5).astype(np.float64)
    noise, other = generator.normal(size=(few, columns)), generator.normal(size=(2000, columns))
    other_rain = (generator.random(2000) < 0.5).astype(np.float64)
    values = train((noise, rain), (other, other_rain), STEPS)
    page.text(
        "Plain Talk says that with irrelevant features the loss stays high. That is true of days that were not "
        "learnt from. With many irrelevant features and few days the loss on the learnt days falls to almost "
        "nothing: among eighty prices some combination happens to fit a hundred days. Only other days show that it "
        "means nothing."
    )

    def two(axes):
        axes.plot(values[:, 0], color=MODEL)
        axes.plot(values[:, 1], color=SECOND)
        axes.axhline(np.log(2), color=INK, linewidth=1, linestyle=(0, (3, 3)))
        axes.set(xlabel="step", ylabel="loss", xticks=[0, 200, 400])

    page.figure(
        two,
        "Eighty prices, a hundred days",
        keys=[("model", "learnt days"), ("second", "other days"), ("ink", "a coin")],
    )
    page.number("noise_seen", values[-1, 0], "loss on the learnt days")
    page.number("noise_new", values[-1, 1], "loss on other days; a coin has $\\ln 2=0.6931$")
