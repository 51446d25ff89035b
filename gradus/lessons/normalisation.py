"""Columns on one scale: what centring, scaling, turning and whitening do to a cloud of points, and to the way down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

EPSILON = 1e-6


def wine(*columns: str) -> np.ndarray:
    """Columns of scikit-learn's wines. (178, columns)"""
    from sklearn.datasets import load_wine

    data = load_wine()
    return np.column_stack([data.data[:, data.feature_names.index(name)] for name in columns])


def standardise(rows: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Each column minus the mean of `train`, divided by its standard deviation; a column that never changes becomes zero."""
    deviation = train.std(axis=0)
    return (rows - train.mean(axis=0)) / np.where(deviation > 0, deviation, 1)


def min_max(rows: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Each column so that `train` fills 0..1."""
    low, span = train.min(axis=0), np.ptp(train, axis=0)
    return (rows - low) / np.where(span > 0, span, 1)


def principal(train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(directions as columns (D, D), variances (D,)), the largest variance first.

    The covariance is symmetric: of its singular value decomposition U S Vᵀ the columns of U are the directions, and S, its
    eigenvalues, are the variances along them.
    """
    centred = train - train.mean(axis=0)
    directions, variances, _ = np.linalg.svd(centred.T @ centred / (len(train) - 1))
    return directions, variances


def whiten(rows: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Turned onto the principal directions and divided by the root of each one's variance."""
    directions, variances = principal(train)
    return (rows - train.mean(axis=0)) @ directions / np.sqrt(variances + EPSILON)


def steps_to_converge(inputs: np.ndarray, targets: np.ndarray, limit: int = 100_000) -> tuple[int, np.ndarray]:
    """Steps of gradient descent on the squared error, at the best constant rate, until 0.001 of the first distance is left.

    That rate is 2 / (largest + smallest curvature). (steps, path (steps + 1, 2))
    """
    hessian = 2 * inputs.T @ inputs / len(inputs)
    curvatures = np.linalg.eigvalsh(hessian)
    best = np.linalg.solve(hessian, 2 * inputs.T @ targets / len(inputs))
    root = np.sqrt(np.diag(hessian))
    weights = best + np.array([3.0, -2.0]) / root  # the same relative start in both scales
    path = [weights]
    rate = 2 / (curvatures[0] + curvatures[-1])
    while (
        np.linalg.norm(root * (weights - best)) > 1e-3 * np.linalg.norm(root * (path[0] - best)) and len(path) <= limit
    ):
        weights = weights - rate * hessian @ (weights - best)
        path.append(weights)
    return len(path) - 1, np.array(path)


def show(page: LessonPage) -> None:
    _salaries(page)
    _clouds(page)
    _descent(page)
    _turning(page)
    _leak(page)


def _salaries(page: LessonPage) -> None:
    yuan, yen, rate = 55_000, 2_600_000, 16.48
    page.text(
        "A salary of 55,000 and one of 2,600,000: the second looks 47 times as large. The first is in yuan, the "
        "second in yen. In one currency it is not three times. A network that is given columns in different units "
        "makes the same mistake: the column with the large numbers rules."
    )
    page.number("raw_ratio", yen / yuan, "ratio of the bare numbers", printed="46 in one line, 47 in another")
    page.number("converted", yuan * rate, "55,000 yuan in yen at 16.48", printed="906,700", digits=6)
    page.number("true_ratio", yen / (yuan * rate), "ratio in yen", printed=2.87)
    page.correction(
        "Plain Talk §7.4", "55,000 × 16.48 = 906,700", "906,400; the ratio to two decimals is 2.87 both ways"
    )


def _clouds(page: LessonPage) -> None:
    raw = wine("color_intensity", "hue")
    scaled = standardise(raw, raw)
    clouds = {"raw": raw, "centred": raw - raw.mean(axis=0), "standardised": scaled}
    page.heading("Centre and scale")
    page.text(
        "178 wines, their intensity of colour and their hue. **Centring** subtracts each column's mean. "
        "**Standardising** also divides by its standard deviation: both columns then have mean 0 and spread 1. "
        "**Min-max** instead maps each column onto 0..1."
    )

    def paint(axes):
        for one, (name, cloud) in zip(axes, clouds.items(), strict=True):
            one.axhline(0, color=INK, linewidth=0.8)
            one.axvline(0, color=INK, linewidth=0.8)
            one.plot(*cloud.T, "o", color=MODEL, markersize=2.5, markeredgewidth=0, alpha=0.6)
            low, high = min(cloud.min(), -1), max(cloud.max(), 1)
            one.set(xlim=(low - 0.5, high + 0.5), ylim=(low - 0.5, high + 0.5), aspect="equal")
            one.set_title(name, fontsize=10.5)

    page.figure(paint, "The same wines three times, axes of equal scale", panels=(1, 3), size=(6.4, 2.7))
    page.number(
        "raw_spread_ratio",
        float(np.divide(*raw.std(axis=0))),
        "spread of the first column over that of the second, raw",
    )
    page.number("scaled_mean", float(np.abs(scaled.mean(axis=0)).max()), "largest mean, standardised")
    page.number("scaled_spread", float(np.abs(scaled.std(axis=0) - 1).max()), "largest distance of a spread from 1")
    page.number("min_max_range", float(np.ptp(min_max(raw, raw))), "range after min-max")
    by_variance = (raw - raw.mean(axis=0)) / raw.var(axis=0)
    page.number(
        "by_variance",
        float(by_variance.std(axis=0).max()),
        "spread of a column if it is divided by its variance instead",
    )
    page.correction(
        "Course notes §2.1.6",
        "subtract the mean and divide by the variance",
        "divide by the standard deviation, its root; otherwise the spread becomes one over the old one and depends "
        "on the unit still",
    )


def _descent(page: LessonPage) -> None:
    raw, target = wine("color_intensity", "hue"), wine("alcohol")[:, 0]
    target = target - target.mean()
    cases = {"centred": raw - raw.mean(axis=0), "standardised": standardise(raw, raw)}
    runs = {name: steps_to_converge(inputs, target) for name, inputs in cases.items()}
    page.heading("A rounder bowl")
    page.text(
        "Linear regression of alcohol on the two columns. The squared error is a bowl. With columns of unequal "
        "spread it is long and narrow: the rate that the steep direction allows is far too small for the flat one. "
        "Scaled columns make it nearly round. What is left of the oblong comes from the correlation of the columns."
    )

    def paint(axes):
        for one, (name, inputs) in zip(axes, cases.items(), strict=True):
            path = runs[name][1]
            best = path[-1]
            reach = 1.15 * np.abs(path - best).max(axis=0).max()
            x, y = np.meshgrid(
                np.linspace(best[0] - reach, best[0] + reach, 80), np.linspace(best[1] - reach, best[1] + reach, 80)
            )
            loss = ((x[..., None] * inputs[:, 0] + y[..., None] * inputs[:, 1] - target) ** 2).mean(axis=-1)
            one.contour(x, y, np.log(loss), levels=9, colors=[INK], linewidths=0.5, alpha=0.5)
            few = len(path) < 50
            one.plot(*path.T, color=MODEL, marker="o" if few else None, markersize=2.5, linewidth=1 if few else 0.25)
            one.plot(*best, "o", color=SECOND, markersize=5)
            one.set(aspect="equal", xlabel="weight of colour", ylabel="weight of hue")
            one.locator_params(nbins=4)
            one.set_title(name, fontsize=10.5)

    page.figure(
        paint,
        "The loss and the way down",
        panels=(1, 2),
        size=(6.4, 3.4),
        keys=[("model", "steps"), ("second", "minimum")],
    )
    for name, inputs in cases.items():
        curvatures = np.linalg.eigvalsh(inputs.T @ inputs)
        page.number(f"{name}_condition", curvatures[-1] / curvatures[0], f"largest curvature over smallest, {name}")
        page.number(
            f"{name}_steps",
            runs[name][0],
            (f"steps at the best rate until a thousandth of the distance is left, {name}"),
        )


def _turning(page: LessonPage) -> None:
    raw = wine("flavanoids", "total_phenols")
    directions, variances = principal(raw)
    centred = raw - raw.mean(axis=0)
    clouds = {"centred": centred, "turned (PCA)": centred @ directions, "whitened": whiten(raw, raw)}
    page.heading("Turn and whiten")
    page.text(
        "Two columns that rise together say much of the same. **Principal component analysis** turns the axes to "
        "the directions in which the cloud is longest and shortest; on these the columns are uncorrelated. "
        "**Whitening** then divides each by its own spread: the covariance becomes the identity. It also makes "
        "what is small, often noise, as large as the rest."
    )
    page.formula(r"C=\frac{1}{n-1}X^{T}X=USU^{T},\qquad X_{white}=XU\,/\sqrt{S+\epsilon}")

    def paint(axes):
        for one, (name, cloud) in zip(axes, clouds.items(), strict=True):
            one.plot(*cloud.T, "o", color=MODEL, markersize=2.5, markeredgewidth=0, alpha=0.6)
            if name == "centred":
                for direction, variance in zip(directions.T, variances, strict=True):
                    one.annotate(
                        "",
                        2 * np.sqrt(variance) * direction,
                        (0, 0),
                        arrowprops={"arrowstyle": "-|>", "color": SECOND, "linewidth": 1.6},
                    )
            one.set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), aspect="equal", xticks=[-2, 0, 2], yticks=[-2, 0, 2])
            one.set_title(name, fontsize=10.5)

    page.figure(
        paint,
        "Flavanoids and phenols of the wines",
        panels=(1, 3),
        size=(6.4, 2.7),
        keys=[("second", "principal directions")],
    )
    covariance = np.cov(clouds["whitened"].T)
    page.number("correlation", np.corrcoef(raw.T)[0, 1], "correlation of the raw columns")
    page.number("turned_correlation", abs(np.corrcoef(clouds["turned (PCA)"].T)[0, 1]), "after turning")
    page.number(
        "white_error",
        np.abs(covariance - np.eye(2)).max(),
        "largest difference of the whitened covariance from the identity",
    )
    page.number("first_share", variances[0] / variances.sum(), "share of the variance along the first direction")
    page.correction(
        "Principles and Practice §3.4.3, eq. 3-20",
        "the columns of S are the orthogonal basis; whitening divides by the eigenvalue, the root of the singular "
        "value",
        "the columns of U are; S holds the eigenvalues of the covariance, and whitening divides by **their** root, "
        "the standard deviation",
    )
    page.correction(
        "same, eq. 3-19 and listing 3-18",
        "the equation divides by n−1, the listing by n",
        "n−1 for an unbiased estimate; the directions are the same, the variances differ by n/(n−1), here 178/177",
    )


def _leak(page: LessonPage) -> None:
    columns = wine("color_intensity", "hue", "proline")
    rows = np.random.default_rng(0).permutation(len(columns))
    train, test = columns[rows[:20]], columns[rows[20:]]
    honest, own = standardise(test, train), standardise(test, test)
    page.heading("Whose mean?")
    page.text(
        "Mean and deviation belong to the model: they are measured on the **training rows** and used unchanged on "
        "all others, today and in service. Test rows scaled by their own mean would arrive on another scale than "
        "the one learnt; and statistics of all rows would have looked at rows that are meant to be new."
    )
    page.number(
        "test_mean",
        float(np.abs(honest.mean(axis=0)).max()),
        "largest mean of the test rows, scaled by 20 training rows: not zero, and that is right",
    )
    page.number(
        "largest_shift",
        float(np.abs(honest - own).max()),
        "how far a test value moves if it is scaled by the test rows instead",
    )
    constant = standardise(np.full((5, 1), 7.0), np.full((5, 1), 7.0))
    page.number(
        "constant_column",
        float(np.abs(constant).max()),
        "a column that is always 7, standardised: its spread of 0 is not divided by",
    )
