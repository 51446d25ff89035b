"""Is the hand-derived gradient right? Compare it with differences of the loss; and when the comparison itself is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.network import Layers, backward, draw_layers, forward, logistic_gradient, logistic_loss, xavier
from gradus.look.charts import INK, MODEL, SECOND
from gradus.reference.calculus import central_difference, forward_difference, gradient_check, relative_error

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

SIZES = (4, 5, 3, 1)
Named = dict[str, np.ndarray]


def data(rows: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A few random rows of four columns, and labels."""
    generator = np.random.default_rng(1)
    return generator.normal(size=(rows, SIZES[0])), generator.integers(0, 2, rows).astype(float)


def named(layers: Layers) -> Named:
    """W1, b1, W2, ... of a list of layers."""
    return {
        f"{kind}{index}": part for index, layer in enumerate(layers, 1) for kind, part in zip("Wb", layer, strict=True)
    }


def layered(parameters: Named) -> Layers:
    """The inverse of `named`."""
    return [(parameters[f"W{index}"], parameters[f"b{index}"]) for index in range(1, len(parameters) // 2 + 1)]


def start() -> Named:
    """Random parameters of the 4-5-3-1 tanh network."""
    generator = np.random.default_rng(0)
    return named([(w, generator.normal(size=len(b))) for w, b in draw_layers(SIZES, xavier, generator)])


def loss(parameters: Named, l2: float = 0.0) -> float:
    """Mean cross-entropy, and l2/2 times the sum of squared weights."""
    inputs, labels = data()
    penalty = sum(float((value**2).sum()) for name, value in parameters.items() if name[0] == "W")
    return logistic_loss(forward(layered(parameters), inputs, "tanh")[0][-1], labels) + l2 / 2 * penalty


def gradients(parameters: Named, *, bugs: bool = False, l2: float = 0.0) -> Named:
    """By backpropagation. bugs: the two of the course's exercise, W2's gradient doubled and b1's times four."""
    inputs, labels = data()
    layers = layered(parameters)
    sums, outputs = forward(layers, inputs, "tanh")
    found = named(backward(layers, sums, outputs, logistic_gradient(sums[-1], labels), "tanh"))
    found = {name: value + (l2 * parameters[name] if name[0] == "W" else 0) for name, value in found.items()}
    return {**found, "W2": 2 * found["W2"], "b1": 4 * found["b1"]} if bugs else found


def errors_by_step(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Relative errors of the (forward, central) difference of sin at 1, by step."""
    right = np.cos(1.0)
    return tuple(
        np.array([max(abs(rule(np.sin, 1.0, step) / right - 1), 1e-17) for step in steps])
        for rule in (forward_difference, central_difference)
    )  # type: ignore[return-value]


def error_in_float32(step: float) -> float:
    """Relative error of the central difference of sin at 1 if all is computed in single precision."""
    one, h = np.float32(1), np.float32(step)
    return float(abs((np.sin(one + h) - np.sin(one - h)) / (2 * h) / np.cos(1.0) - 1))


def show(page: LessonPage) -> None:
    _bugs(page)
    _steps(page)
    _traps(page)


def _bugs(page: LessonPage) -> None:
    parameters = start()
    good = gradient_check(loss, gradients(parameters), parameters)
    bad = gradient_check(loss, gradients(parameters, bugs=True), parameters)
    page.text(
        "A wrong gradient seldom crashes: the network just learns worse. The test: move **one** parameter a little "
        "up and down, see how the loss changes, and compare with what backpropagation says. It takes two passes "
        "for each parameter, so it is a test and no way to train."
    )
    page.formula(
        r"\hat g_i=\frac{L(\theta_i+\epsilon)-L(\theta_i-\epsilon)}{2\epsilon},\qquad "
        r"\frac{\|g-\hat g\|}{\|g\|+\|\hat g\|}",
        r"$g$ is what backpropagation says, $\hat g$ what was measured. With $\epsilon=10^{-7}$ a ratio below "
        r"$10^{-7}$ is right, near $10^{-5}$ worth a look, above $10^{-3}$ a mistake.",
    )
    page.text(
        "A 4-5-3-1 network, checked twice: as it is, and with the two mistakes that the course's exercise plants, "
        "the gradient of W2 doubled and that of b1 times four."
    )
    page.table(
        ["parameters", "right", "with two mistakes"],
        [[name, float(f"{good[name]:.1e}"), float(f"{bad[name]:.1e}")] for name in good],
    )
    page.number("right_ratio", good["all"], "ratio for all parameters together, right")
    page.number(
        "wrong_ratio",
        bad["all"],
        "the same with the two mistakes (remembered of the course's exercise, another network: 0.285)",
    )
    page.number("doubled_ratio", bad["W2"], "ratio of a doubled gradient: 1/3 whatever the network")
    page.number("fourfold_ratio", bad["b1"], "ratio of one times four: 3/5")
    page.text("The ratio of all together only says that something is wrong. By parameter it says where.")


def _steps(page: LessonPage) -> None:
    steps = np.logspace(-15, 0, 61)
    forward_errors, central_errors = errors_by_step(steps)
    page.heading("How small a step?")
    page.text(
        "Too large, and the curve is not straight over the step. Too small, and the two losses agree in all but "
        "their last digits: their difference is rounding. One-sided differences have an error like ε, "
        "**two-sided** ones like ε², so they can afford a larger step and end up far better."
    )

    def paint(axes):
        axes.loglog(steps, forward_errors, color=SECOND)
        axes.loglog(steps, central_errors, color=MODEL)
        axes.set(
            xlabel="step ε", ylabel="relative error", xticks=[1e-15, 1e-10, 1e-5, 1], yticks=[1e-12, 1e-8, 1e-4, 1]
        )

    page.figure(paint, "The slope of sin at 1 by differences", keys=[("second", "one-sided"), ("model", "two-sided")])
    page.number("best_forward", steps[forward_errors.argmin()], "best step, one-sided; the root of 2⁻⁵² is 1.5e−8")
    page.number("best_central", steps[central_errors.argmin()], "best step, two-sided; the cube root of 2⁻⁵² is 6e−6")
    page.number(
        "float32_error", error_in_float32(1e-7), "error at ε = 1e−7 in single precision: the check needs double"
    )
    page.correction(
        "Plain Talk §7.3",
        r"$(L(w+\Delta)-L(x))/\Delta$, and that frameworks train by it",
        r"$(L(w+\Delta)-L(w))/\Delta$; frameworks use backpropagation, which costs one pass back for all parameters "
        "together",
    )


def kink(sum_: float, step: float) -> float:
    """The two-sided slope of ReLU at a sum."""
    return float(central_difference(lambda z: max(z, 0.0), sum_, step))


def _traps(page: LessonPage) -> None:
    parameters = start()
    forgotten = gradient_check(lambda p: loss(p, 0.1), gradients(parameters), parameters)
    counted = gradient_check(lambda p: loss(p, 0.1), gradients(parameters, l2=0.1), parameters)
    inputs, labels = data(200)
    generator = np.random.default_rng(5)
    layers = layered(parameters)

    def masked_loss(changed: Named) -> float:
        masks = [(generator.random((len(inputs), m)) < 0.8) / 0.8 for m in SIZES[1:-1]]
        return logistic_loss(forward(layered(changed), inputs, "tanh", masks)[0][-1], labels)

    sums, outputs = forward(layers, inputs, "tanh")
    plain = named(backward(layers, sums, outputs, logistic_gradient(sums[-1], labels), "tanh"))
    dropped = gradient_check(masked_loss, plain, parameters)

    page.heading("When the check is wrong and the gradient is not")
    page.text(
        "**The penalty**: if the loss has one, both sides must. **Dropout**: a new mask at each pass changes the "
        "loss far more than ε does; switch it off, or fix the mask. **Corners**: ReLU has no slope at zero. If a "
        "sum lies within ε of it, the difference mixes both sides. **Saturation**: at the very start some errors "
        "hide; check again after some training."
    )

    def paint(axes):
        z = np.linspace(-3, 3, 121)
        axes.plot(z, [kink(value, 1.0) for value in z], color=SECOND)
        axes.plot(z, (z > 0).astype(float), color=MODEL)
        axes.axvspan(-1, 1, color=INK, alpha=0.06, linewidth=0)
        axes.set(xlabel="sum, in units of ε", ylabel="slope", yticks=[0, 0.5, 1])

    page.figure(paint, "ReLU near its corner", keys=[("model", "slope"), ("second", "two-sided difference")])
    page.number("forgotten_penalty", forgotten["all"], "ratio, penalty in the loss but not in the gradient")
    page.number("with_penalty", counted["all"], "ratio, penalty in both")
    page.number("dropout_ratio", dropped["all"], "ratio with a fresh mask at every pass")
    page.number(
        "kink_slope", kink(0.0, 1e-7), "two-sided slope of ReLU at its corner; any of 0 to 1 may be taken for it"
    )
    page.number(
        "kink_ratio",
        relative_error(np.array([1.0]), np.array([kink(0.0, 1e-7)])),
        "ratio there, if the gradient takes 1",
    )
    page.try_it("gradus lesson initialisation regularisation")
