"""What a gradient meets on its way back through many layers: a product of factors, and how to keep it near one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import FIFTH, FOURTH, INK, MODEL, SECOND, THIRD
from gradus.reference import activations
from gradus.reference.activations import sigmoid_derivative

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

WIDTH, ROWS, DEPTH = 64, 128, 20
SCALES = {
    "0.01": lambda n: 0.01,
    "1/√n": lambda n: 1 / np.sqrt(n),
    "√(2/n)": lambda n: np.sqrt(2 / n),
    "1": lambda n: 1.0,
    "10": lambda n: 10.0,
}
COLOURS = (("second", SECOND), ("model", MODEL), ("third", THIRD), ("fourth", FOURTH), ("fifth", FIFTH))


def standardise(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Batch normalisation without scale and shift: (normalised sums, standard deviations)."""
    deviation = np.sqrt(sums.var(axis=0) + 1e-12)
    return (sums - sums.mean(axis=0)) / deviation, deviation


def gradient_sizes(
    activation: str, scale: str, depth: int = DEPTH, *, normalised: bool = False, residual: bool = False
) -> np.ndarray:
    """Root mean square of the loss's gradient by every layer's input, from the first layer to the last. (depth,)

    A stack of equal layers with random weights; the gradient that comes in at the end is random, of size one.
    normalised: sums pass batch normalisation before the activation; residual: each layer adds to its input.
    """
    generator = np.random.default_rng(0)
    squash, slope = getattr(activations, activation), getattr(activations, f"{activation}_derivative")
    weights = [SCALES[scale](WIDTH) * generator.normal(size=(WIDTH, WIDTH)) for _ in range(depth)]
    outputs = generator.normal(size=(ROWS, WIDTH))
    kept = []
    for weight in weights:
        sums, deviation = standardise(outputs @ weight) if normalised else (outputs @ weight, None)
        kept.append((sums, deviation))
        outputs = squash(sums) + (outputs if residual else 0)

    gradient = generator.normal(size=(ROWS, WIDTH))
    sizes = []
    for weight, (sums, deviation) in zip(reversed(weights), reversed(kept), strict=True):
        through = gradient * slope(sums)
        if deviation is not None:  # the batch's mean and deviation depend on every row
            through = (through - through.mean(axis=0) - sums * (through * sums).mean(axis=0)) / deviation
        gradient = through @ weight.T + (gradient if residual else 0)
        sizes.append(float(np.sqrt((gradient**2).mean())))
    return np.array(sizes[::-1])


def flat_share() -> float:
    """Share of the sums of a second sigmoid layer, weights standard normal, that lie beyond ±4."""
    generator = np.random.default_rng(0)
    outputs = activations.sigmoid(generator.normal(size=(ROWS, WIDTH)) @ generator.normal(size=(WIDTH, WIDTH)))
    return float((np.abs(outputs @ generator.normal(size=(WIDTH, WIDTH))) > 4).mean())


def chain(factors: np.ndarray) -> np.ndarray:
    """The product of the last k factors, k = 1 .. n: what is left of a gradient after k steps back."""
    return np.cumprod(factors[::-1])


def show(page: LessonPage) -> None:
    _powers(page)
    _layers(page)
    _cures(page)
    _dead(page)


def _powers(page: LessonPage) -> None:
    steps = np.arange(1, 51)
    page.text(
        "By the chain rule the gradient of an early layer is a **product** with one factor for every later layer: "
        "the layer's weight times the slope of its activation. A product of many factors below one is almost "
        "nothing (the gradient **vanishes**), one of many factors above one is enormous (it **explodes**)."
    )
    page.formula(
        r"\frac{\partial L}{\partial x_1}=\frac{\partial L}{\partial x_n}\prod_{l=1}^{n-1} w_l\,f'(z_l)",
        "A chain of one unit a layer: $x_l$ goes into layer $l$, $z_l$ is its sum, $w_l$ its weight.",
    )

    def paint(axes):
        for factor, colour in ((1.5, SECOND), (1.0, INK), (0.5, MODEL), (0.25, FOURTH)):
            axes.semilogy(steps, factor ** steps.astype(float), color=colour)
        axes.set(xlabel="layers", ylabel="product", yticks=[1e-30, 1e-20, 1e-10, 1, 1e10])

    page.figure(
        paint,
        "A factor to the power of the depth",
        keys=[("second", "1.5"), ("ink", "1"), ("model", "0.5"), ("fourth", "0.25, the sigmoid's best slope")],
    )
    page.number("grows", 1.5**50, "$1.5^{50}$: fifty layers, each 1.5 times the identity")
    page.number("shrinks", 0.5**50, "$0.5^{50}$")
    page.number(
        "sigmoid_slope", sigmoid_derivative(np.zeros(1))[0], "largest slope of the sigmoid, where its input is 0"
    )
    page.number(
        "ten_layers",
        (10 * sigmoid_derivative(np.zeros(1))[0]) ** 10,
        "ten layers with $w=10$ at that best slope",
        printed=9536,
    )
    page.number("deep_small", 0.8**150, "$0.8^{150}$, a network of 150 layers", printed="2.9e−15")
    page.number("deep_large", 1.2**150, "$1.2^{150}$", printed="7.5e11")
    page.correction(
        "Plain Talk §7.3",
        "the derivative is largest where the sigmoid is 0",
        "where its **input** is 0; there the sigmoid is one half and its slope one quarter",
    )


def _layers(page: LessonPage) -> None:
    page.heading("Activation and first weights")
    page.text(
        f"A stack of {DEPTH} layers of {WIDTH} units. A gradient of size one enters at the end; the curves show its "
        "size at every layer's input. Read them from right to left. A flat line is what we want."
    )
    names = ("sigmoid", "tanh", "relu")

    def paint(axes):
        for one, name in zip(axes, names, strict=True):
            for scale, (_, colour) in zip(SCALES, COLOURS, strict=True):
                one.semilogy(range(1, DEPTH + 1), np.maximum(gradient_sizes(name, scale), 1e-30), color=colour)
            one.set(xlabel="layer", ylim=(1e-24, 1e20), xticks=[1, 10, 20], yticks=[1e-20, 1e-10, 1, 1e10, 1e20])
            one.set_title({"relu": "ReLU"}.get(name, name), fontsize=10.5)

    page.figure(
        paint,
        "Size of the gradient by layer",
        panels=(1, 3),
        size=(6.4, 2.7),
        keys=[(role, f"weights × {scale}") for scale, (role, _) in zip(SCALES, COLOURS, strict=True)],
    )
    depths = (5, 10, 20, 40)
    rows = [
        [
            {"relu": "ReLU"}.get(name, name),
            scale,
            *(float(f"{gradient_sizes(name, scale, depth)[0]:.1e}") for depth in depths),
        ]
        for name, scale in (("sigmoid", "1/√n"), ("tanh", "1/√n"), ("relu", "1/√n"), ("relu", "√(2/n)"))
    ]
    page.table(
        ["activation", "weights", *(f"{depth} layers" for depth in depths)], rows, title="Size at the first layer"
    )
    page.number("sigmoid_first", gradient_sizes("sigmoid", "1/√n")[0], "sigmoid, first of 20 layers")
    page.number("tanh_first", gradient_sizes("tanh", "1/√n")[0], "tanh, first of 20 layers")
    page.number("relu_half", gradient_sizes("relu", "1/√n")[0], r"ReLU with weights $1/\sqrt n$; $2^{-10}$ is 0.001")
    page.number("relu_he", gradient_sizes("relu", "√(2/n)")[0], r"ReLU with weights $\sqrt{2/n}$")
    page.number("sigmoid_large", gradient_sizes("sigmoid", "1")[0], "sigmoid with weights of size 1")
    page.number("sigmoid_huge", gradient_sizes("sigmoid", "10")[0], "sigmoid with weights of size 10")
    page.number("sigmoid_flat", flat_share(), "share of its sums beyond ±4 in the second layer, weights of size 1")
    page.text(
        "Larger weights do lift the sigmoid's gradient, but the step from vanishing to exploding is short, and "
        "much of it passes through few units: the sums of the others are far out, where the slope is nothing. The cure is "
        "a slope near one over a wide range, and weights that fit it."
    )


def _cures(page: LessonPage) -> None:
    page.heading("Two constructions that help")
    page.text(
        "**Batch normalisation** divides sums by their own spread, so the scale of the weights cancels. A "
        "**residual connection** adds the layer's input to its output. Then the factor is $1+f'$ and not $f'$: a "
        "sum of paths, of which one is the plain way without any factor."
    )
    cases = {
        "plain": gradient_sizes("tanh", "0.01"),
        "batch normalisation": gradient_sizes("tanh", "0.01", normalised=True),
        "residual": gradient_sizes("tanh", "0.01", residual=True),
    }

    def paint(axes):
        for sizes, colour in zip(cases.values(), (SECOND, THIRD, MODEL), strict=True):
            axes.semilogy(range(1, DEPTH + 1), np.maximum(sizes, 1e-30), color=colour)
        axes.set(xlabel="layer", ylabel="size of gradient", xticks=[1, 5, 10, 15, 20], ylim=(1e-24, 1e4))

    page.figure(paint, "tanh with weights × 0.01", keys=list(zip(("second", "third", "model"), cases, strict=True)))
    page.number("plain_first", cases["plain"][0], "plain, first layer")
    page.number("normalised_first", cases["batch normalisation"][0], "with batch normalisation")
    page.number("residual_first", cases["residual"][0], "with residual connections")

    generator = np.random.default_rng(1)
    slopes = generator.normal(0, 0.1, 50)
    page.number("multiplied", abs(chain(slopes)[-1]), "product of 50 random factors $w$ of size 0.1")
    page.number("added", abs(chain(1 + slopes)[-1]), "product of the fifty $1+w$")
    page.correction(
        "Deep Learning and Computer Vision §4.5.2",
        "the gradient passes through a residual unit without any loss",
        "only where the shortcut is the identity and nothing follows the sum: each factor is $1+F'$, which is near "
        "one for small $F'$ but not one, and a ReLU after the sum, or a projection in the shortcut, multiplies the "
        "plain way too",
    )
    page.correction(
        "Course notes §2.1.7",
        "L2 regularisation is listed among the remedies for vanishing gradients",
        "it makes weights smaller, which lets gradients shrink more; at best it holds back an explosion",
    )


def dead_share(bias: float) -> float:
    """Share of ReLU units that no row of a batch switches on, if all biases are `bias`."""
    generator = np.random.default_rng(2)
    sums = generator.normal(size=(ROWS, WIDTH)) @ (generator.normal(size=(WIDTH, 1000)) / np.sqrt(WIDTH)) + bias
    return float((sums <= 0).all(axis=0).mean())


def _dead(page: LessonPage) -> None:
    biases = np.linspace(-5, 1, 25)
    page.heading("ReLU's own way to vanish")
    page.text(
        "ReLU's slope is one for positive sums and **zero** for the others. A unit whose sum is negative on every "
        "row passes no gradient at all and cannot come back: it is **dead**. One large step that pushes its bias "
        "down is enough."
    )

    def paint(axes):
        axes.plot(biases, [dead_share(bias) for bias in biases], color=MODEL)
        axes.set(xlabel="bias", ylabel="share dead")

    page.figure(
        paint,
        "Dead units by bias, inputs and sums standard normal, 128 rows",
    )
    page.number("dead_at_zero", dead_share(0.0), "share of dead units, bias 0")
    page.number("dead_at_minus_three", dead_share(-3.0), "share of dead units, bias −3")
    page.correction(
        "Plain Talk §7.3",
        "with ReLU the gradient does not vanish at all",
        "its slope is 0 for negative sums, so units can die, and weights below He's scale still shrink the "
        "gradient, as above",
    )
