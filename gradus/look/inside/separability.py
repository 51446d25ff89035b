"""How well the classes can be told apart at each stage: a simple classifier on what the stage holds, by depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import Tensor, nn

from gradus.errors import UserError
from gradus.look.inside.answers import row_classes
from gradus.look.inside.hooks import layers, outputs_of, parts
from gradus.look.inside.painting import chart
from gradus.look.inside.sight import Panel, Sight
from gradus.look.inside.subject import Picture, Rows, Subject
from gradus.look.text import percent
from gradus.models.stages import stages_of

Probe = Literal["linear", "mean", "neighbours"]
PIXEL_CELLS = 8  # the pictures themselves, for comparison, are averaged to 8 x 8


def separability(
    subject: Subject,
    pictures: Sequence[Picture] = (),
    *,
    split: str = "test",
    rows: int = 600,
    probe: Probe = "linear",
    by: Literal["stage", "layer"] = "stage",
    cells: int = 2,
    seed: int = 0,
) -> Sight:
    """Accuracy of a probe on each stage's outputs: it learns from one half of the rows and is judged by the other.

    split, rows: labelled rows that are looked at. Rows that the network itself learnt from would flatter its last stages.
    probe:       linear: logistic regression on standardised features; mean: the class with the nearest mean; neighbours: the
                 majority of the five nearest
    by:          stages, or every layer
    cells:       maps are averaged to cells x cells; the pictures, which come first for comparison, to 8 x 8

    Arrays: `accuracy` (stages + 1,), the pictures first; `spread`: the variance between classes as a share of all variance.
    """
    if rows < 10 or cells < 1:
        raise UserError("separability: expected at least 10 rows and 1 cell")
    chosen = subject.labelled(split).sample(rows, seed)
    learns, judges = halves(chosen.labels.numpy(), seed)
    features = {"pictures": _pictures(chosen)} | stage_features(subject, chosen, by, cells)
    labels = chosen.labels.numpy()
    accuracy = {
        name: probe_accuracy(values[learns], labels[learns], values[judges], labels[judges], probe)
        for name, values in features.items()
    }
    spread = {name: between_share(values, labels) for name, values in features.items()}
    chance = float(np.bincount(labels[judges]).max() / len(judges))
    names, shares = list(accuracy), np.array(list(accuracy.values()))
    best = names[int(shares.argmax())]
    words = {"linear": "a linear classifier", "mean": "the nearest class mean", "neighbours": "the five nearest rows"}
    return Sight(
        "separability",
        f"How well the classes can be told apart inside {subject.name}",
        said=[
            f"From what each stage holds of {len(labels):,} {split} rows, {words[probe]} tells "
            f"{len(row_classes(subject, chosen))} classes apart: {percent(shares[0])} right on the pictures themselves, "
            f"{percent(shares[-1])} after {names[-1]}; best after {best} ({percent(float(shares.max()))}).",
            f"The probe learnt from {len(learns)} of the rows and is judged by the other {len(judges)}; always the commonest "
            f"class: {percent(chance)}.",
        ],
        panels=[_curve(names, shares, np.array(list(spread.values())), chance)],
        arrays={"accuracy": shares, "spread": np.array(list(spread.values()))},
        numbers={f"accuracy after {name}": share for name, share in accuracy.items()} | {"commonest_class": chance},
        tables=[
            (
                "By stage",
                ["stage", "features", "accuracy", "variance between classes"],
                [[n, str(features[n].shape[1]), percent(accuracy[n]), percent(spread[n])] for n in names],
            )
        ],
    )


def halves(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint halves of the rows, each with half of every class (the odd one goes to the second).

    Raises `UserError` where the first would hold fewer than two classes.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    learns, judges = [], []
    for label in np.unique(labels):
        members = order[labels[order] == label]
        learns.append(members[: len(members) // 2])
        judges.append(members[len(members) // 2 :])
    first, second = np.sort(np.concatenate(learns)), np.sort(np.concatenate(judges))
    if len(np.unique(labels[first])) < 2:
        raise UserError("separability: it takes two rows each of two classes or more; ask for more rows")
    return first, second


def stage_features(subject: Subject, rows: Rows, by: str, cells: int) -> dict[str, np.ndarray]:
    """Stage -> (rows, features), maps averaged to cells x cells, in the order in which they are computed."""
    stages = {stage: subject.layer(stage) for stage in stages_of(subject.model)}
    modules: dict[str, nn.Module] = stages if by == "stage" else layers(subject.model)
    kept: dict[str, list[np.ndarray]] = {}
    for part in parts(len(rows)):
        given = subject.prepare(rows.pixels[part].to(subject.device))
        for name, output in outputs_of(subject.model, modules, given).items():
            kept.setdefault(name, []).append(pooled(output, cells).cpu().numpy())
    return {name: np.concatenate(found) for name, found in kept.items()}


def pooled(output: Tensor, cells: int) -> Tensor:
    """(B, C, H, W) -> (B, C * cells * cells) by averages over cells; (B, T, D) -> (B, D) by the mean token; (B, F) as it is."""
    if output.ndim == 4:
        height, width = min(cells, output.shape[2]), min(cells, output.shape[3])
        return nn.functional.adaptive_avg_pool2d(output.float(), (height, width)).flatten(1)
    return output.float().mean(dim=1) if output.ndim == 3 else output.float().flatten(1)


def _pictures(rows: Rows) -> np.ndarray:
    return pooled(rows.pixels.permute(0, 3, 1, 2).float() / 255, PIXEL_CELLS).numpy()


def probe_accuracy(
    features: np.ndarray, labels: np.ndarray, others: np.ndarray, truth: np.ndarray, probe: Probe
) -> float:
    """Learns from features (N, F) and labels (N,); the share of `others` (M, F) that it gets right."""
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    scale = np.where(deviation > 1e-12, deviation, 1)
    features, others = (features - mean) / scale, (others - mean) / scale
    if probe == "linear":
        from sklearn.linear_model import LogisticRegression

        return float(LogisticRegression(C=0.1, max_iter=300).fit(features, labels).score(others, truth))
    if probe == "mean":
        known = np.unique(labels)
        means = np.stack([features[labels == label].mean(axis=0) for label in known])
        distances = np.stack([((others - center) ** 2).sum(axis=1) for center in means])
        return float((known[distances.argmin(axis=0)] == truth).mean())
    from sklearn.neighbors import KNeighborsClassifier

    return float(KNeighborsClassifier(min(5, len(features))).fit(features, labels).score(others, truth))


def between_share(features: np.ndarray, labels: np.ndarray) -> float:
    """The variance of the class means (weighed by their rows) as a share of the variance of all rows, over all features: 0 where
    every class has the same mean, 1 where all rows of a class are alike."""
    wide = features.astype(np.float64)
    total = float(((wide - wide.mean(axis=0)) ** 2).sum())
    between = sum(
        (labels == label).sum() * ((wide[labels == label].mean(axis=0) - wide.mean(axis=0)) ** 2).sum()
        for label in np.unique(labels)
    )
    return float(between) / total if total > 0 else 0.0


def _curve(names: list[str], shares: np.ndarray, spread: np.ndarray, chance: float) -> Panel:
    places = np.arange(len(names))

    def paint(axes, colours) -> None:
        axes.plot(places, 100 * shares, color=colours["model"], marker="o", label="accuracy of the probe")
        axes.plot(places, 100 * spread, color=colours["second"], marker="s", label="variance between classes")
        axes.axhline(100 * chance, color=colours["muted"], linewidth=1, linestyle=(0, (3, 3)))
        axes.annotate(
            "commonest class", (0, 100 * chance), (0, 3), textcoords="offset points", color=colours["muted"], fontsize=9
        )
        axes.set_ylim(0, 104)
        axes.set_ylabel("%")
        if len(names) <= 14:
            axes.set_xticks(places, names, rotation=35, ha="right")
        else:
            axes.set_xlabel("layer, from the pictures on")
        axes.legend(frameon=False, fontsize=9, loc="lower right")

    return chart("by-stage", "How well the classes can be told apart, by depth", paint, size=(6.0, 3.6))
