"""Ensembles: the answers of several models, averaged, with equal weights or with weights fitted on the validation rows.

What is averaged are probabilities (of classes or labels) or numbers in the target's own units, so members may differ in their
networks, sizes of pictures, encodings and losses. They must share the data, the rows of the splits and the target. A member
need not be a run: whatever gives an estimate for each row of a split will do, such as a forest of scikit-learn (`Estimator`).

Fitted weights lie on the simplex (0 or more, sum 1). They minimise the cross-entropy of the combined probabilities, or the mean
absolute error of the combined numbers, over the validation rows: the members' own best epochs were chosen by the same rows, so
only the test rows tell whether the weights are worth anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np

from gradus.data.dataset import Split
from gradus.errors import UserError, did_you_mean, unknown_name
from gradus.recipes.inputs import read_inputs
from gradus.recipes.run import Run, load_run
from gradus.tasks.assessment import Assessment
from gradus.tasks.inputs import features_of
from gradus.tasks.targets import LEAST_PROBABILITY, ClassTarget, NumberTarget
from gradus.tasks.task import Answer, InputTargetTask
from gradus.train.folder import RunFolder

FORMAT = 1  # of ensemble.json
STEPS = (0.3, 0.1, 0.1, 0.03)  # sides of the simplices that Nelder-Mead begins with, one after the other
DRAWS = 4000  # combinations that a random search tries

Combine = Literal["arithmetic", "geometric"]
Method = Literal["nelder-mead", "random"]


class Member(Protocol):
    """Whatever gives an estimate for each row of a split."""

    name: str

    def estimates(self, split: Split) -> np.ndarray:
        """(N, C) probabilities, or (N, K) numbers in the target's units; the classes in the order of the data."""


class RunMember:
    """A run as a member."""

    def __init__(self, run: Run) -> None:
        self.run, self.name = run, str(run.path)

    def estimates(self, split: Split) -> np.ndarray:
        task = task_of(self.run)
        return task.target.estimates(self.run.outputs(task.encode(split, with_target=False)))


class Estimator:
    """A scikit-learn classifier or regressor, fitted to the training rows of a run as that run's task encodes them."""

    def __init__(self, estimator: Any, run: Run, name: str = "") -> None:
        self.estimator, self.task = estimator, task_of(run)
        self.name = name or type(estimator).__name__
        train = run.experiment.dataset["train"]
        if isinstance(self.task.target, ClassTarget):
            targets = self.task.target.encode(train).numpy()
        elif isinstance(self.task.target, NumberTarget):
            targets = self.task.target.estimates(self.task.target.encode(train))
            targets = targets[:, 0] if targets.shape[1] == 1 else targets
        else:
            raise UserError(
                "an estimator as a member of a multi-label ensemble is not supported: write a member of your own"
            )
        self.estimator.fit(self._features(train), targets)

    def _features(self, split: Split) -> np.ndarray:
        return features_of(self.task.inputs, self.task.inputs.encode(split))

    def estimates(self, split: Split) -> np.ndarray:
        features = self._features(split)
        if isinstance(self.task.target, NumberTarget):
            return np.asarray(self.estimator.predict(features), dtype=np.float64).reshape(len(split), -1)
        found = np.zeros((len(split), self.task.target.num_outputs))
        found[:, self.estimator.classes_] = self.estimator.predict_proba(features)
        return found


class Ensemble:
    """Several members as one model. Made by `ensemble` and `load_ensemble`.

    weights (M,) sum to 1. `assess`, `evaluate`, `answers` and `predict` are as those of a Run.
    """

    def __init__(self, members: Sequence[Member], run: Run, weights: np.ndarray, combine: Combine) -> None:
        """run: whose data, splits and task speak for all."""
        self.members, self.run, self.combine = list(members), run, combine
        self.weights = np.asarray(weights, dtype=np.float64)
        self._estimates: dict[str, np.ndarray] = {}

    @property
    def task(self) -> InputTargetTask:
        return task_of(self.run)

    def member_estimates(self, split: str) -> np.ndarray:
        """(M, N, ...) the estimates of every member on a split of the data."""
        if split not in self._estimates:
            dataset = self.run.experiment.dataset
            if split not in dataset.splits:
                raise UserError(f"there is no split '{split}'; there are {', '.join(dataset.splits)}")
            self._estimates[split] = self._stacked(dataset[split])
        return self._estimates[split]

    def _stacked(self, split: Split) -> np.ndarray:
        found = []
        for member in self.members:
            estimates = np.asarray(member.estimates(split), dtype=np.float64)
            wanted = (len(split), self.task.target.num_outputs)
            if estimates.shape != wanted:
                raise UserError(f"{member.name}: expected estimates of shape {wanted}, received {estimates.shape}")
            if not np.isfinite(estimates).all():
                raise UserError(f"{member.name}: its estimates are not all finite numbers")
            found.append(estimates)
        return np.stack(found)

    def assess(self, split: str = "test", weights: np.ndarray | None = None) -> Assessment:
        """The combined answers on a split and their exact metrics. weights: others than the ensemble's own."""
        mixed = mix(self.member_estimates(split), self.weights if weights is None else weights, self.combine, self.task)
        return self.task.assess(self.task.target.outputs_of(mixed), self.run.experiment.tensors[split]["targets"])

    def evaluate(self, split: str = "test") -> dict[str, float]:
        """Metrics of the combined answers on a split."""
        return dict(self.assess(split).metrics)

    def answers(self, inputs: Sequence[Any] | Any) -> tuple[list[str], list[Answer]]:
        """Names and answers for inputs; see `Run.predict`."""
        split = read_inputs(self.task, inputs if isinstance(inputs, list | tuple) else [inputs])
        mixed = mix(self._stacked(split), self.weights, self.combine, self.task)
        return [split.origins[index] for index in range(len(split))], self.task.decode(
            self.task.target.outputs_of(mixed)
        )

    def predict(self, inputs: Sequence[Any] | Any) -> list[dict[str, Any]]:
        """Predictions, one dict an input: input, prediction, certainty, alternatives. Inputs are as for a Run."""
        names, answers = self.answers(inputs)
        return [{"input": name, **answer.to_json()} for name, answer in zip(names, answers, strict=True)]

    def compare(self, split: str = "test") -> list[tuple[str, float | None, dict[str, float]]]:
        """(name, weight, metrics) of each member, of the average with equal weights, and of this ensemble where it differs."""
        count = len(self.members)
        rows: list[tuple[str, float | None, dict[str, float]]] = []
        for place, member in enumerate(self.members):
            alone = self.assess(split, np.eye(count)[place])
            rows.append((member.name, float(self.weights[place]), dict(alone.metrics)))
        equal = np.full(count, 1 / count)
        rows.append(("all, equal weights", None, dict(self.assess(split, equal).metrics)))
        if not np.allclose(equal, self.weights):
            rows.append(("all, these weights", None, self.evaluate(split)))
        return rows

    def likeness(self, split: str = "test") -> tuple[str, np.ndarray]:
        """What is compared, and its (M, M) values: the share of answers that differ, or the correlation of errors of numbers."""
        found = self.member_estimates(split)
        target = self.task.target
        if isinstance(target, NumberTarget):
            true = target.estimates(self.run.experiment.tensors[split]["targets"])
            errors = (found - true).reshape(len(found), -1)
            with np.errstate(invalid="ignore", divide="ignore"):
                return "correlation of errors", np.atleast_2d(np.corrcoef(errors))
        said = found.argmax(axis=2) if isinstance(target, ClassTarget) else found > 0.5
        said = said.reshape(len(found), -1)
        return "share of different answers", (said[:, None] != said[None]).mean(axis=2)

    def save(self, folder: str | Path, split: str = "test") -> Path:
        """Writes ensemble.json into a new folder: members, weights, how they are combined, metrics on `split`."""
        paths = [member.run.path for member in self.members if isinstance(member, RunMember)]
        if len(paths) < len(self.members):
            raise UserError("an ensemble can be kept only if all its members are runs")
        made = RunFolder.create(Path(folder))
        try:
            runs = [
                {"run": os.path.relpath(path.resolve(), made.path.resolve()), "weight": float(weight)}
                for path, weight in zip(paths, self.weights, strict=True)
            ]
            content = {"format": FORMAT, "combine": self.combine, "members": runs, "split": split}
            made.write_json("ensemble.json", content | {"metrics": self.evaluate(split)})
        finally:
            made.lock.release()
        return made.path


def ensemble(
    members: Sequence[Run | str | Path | Member],
    weights: Literal["equal", "fitted"] | Sequence[float] = "equal",
    *,
    combine: Combine = "arithmetic",
    method: Method = "nelder-mead",
    seed: int = 0,
) -> Ensemble:
    """Combines runs (at least one), their folders, and any other members.

    weights: "equal", "fitted" on the validation rows, or one number a member
    combine: "arithmetic" means, or "geometric" ones (of probabilities only: the softmax of the mean logarithm)
    method:  how weights are fitted; both try the equal ones and each member alone too, so they are never worse there

    Raises `UserError` saying what differs where members do not belong together.
    """
    for name, value, kinds in (("combine", combine, Combine), ("method", method, Method)):
        if value not in get_args(kinds):
            raise unknown_name(name, value, get_args(kinds))
    if len(members) < 2:
        raise UserError("an ensemble needs at least two members")
    given = [load_run(member) if isinstance(member, str | Path) else member for member in members]
    runs = [member for member in given if isinstance(member, Run)]
    if not runs:
        raise UserError("an ensemble needs at least one run among its members, for the data and the task")
    for run in runs:
        task_of(run)
    for run in runs[1:]:
        _check_alike(runs[0], run, same_validation=weights == "fitted")
    first = runs[0]
    if combine == "geometric" and isinstance(task_of(first).target, NumberTarget):
        raise UserError("combine: geometric means are of probabilities; numbers are combined by arithmetic ones")
    parts: list[Member] = [RunMember(member) if isinstance(member, Run) else member for member in given]
    made = Ensemble(parts, first, np.full(len(parts), 1 / len(parts)), combine)
    if weights == "fitted":
        made.weights = _fit(made, method, seed)
    elif weights != "equal":
        if isinstance(weights, str):
            raise unknown_name("weights", weights, ("equal", "fitted"))
        made.weights = _given_weights(weights, len(parts))
    return made


def load_ensemble(path: str | Path) -> Ensemble:
    """Reads what `Ensemble.save` wrote. Raises `UserError` where it, or a run that it names, is missing or damaged."""
    path = Path(path)
    if not (path / "ensemble.json").exists():
        near = sorted(str(other.parent) for other in path.parent.glob("*/ensemble.json"))
        raise UserError(f"{path}: there is no ensemble here{did_you_mean(str(path), near)}")
    content = RunFolder(path).read_json("ensemble.json")
    try:
        version, combine = content["format"], content["combine"]
        members = [(path / entry["run"], float(entry["weight"])) for entry in content["members"]]
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path / 'ensemble.json'}: this file is damaged") from None
    if version > FORMAT:
        raise UserError(f"{path}: made by a newer version of gradus (format {version}, known {FORMAT})")
    runs = [load_run(Path(os.path.normpath(run))) for run, _ in members]
    return ensemble(runs, [weight for _, weight in members], combine=combine)


def task_of(run: Run) -> InputTargetTask:
    """Raises `UserError` where answers of the run's task have no mean."""
    if not isinstance(run.task, InputTargetTask):
        raise UserError(
            f"{run.path}: answers of {run.task.name} are not averaged; ensembles are of classes, labels or numbers"
        )
    return run.task


def _given_weights(weights: Sequence[float], count: int) -> np.ndarray:
    given = np.asarray(list(weights), dtype=np.float64)
    if given.shape != (count,) or not np.isfinite(given).all() or (given < 0).any() or given.sum() <= 0:
        raise UserError(f"weights: expected {count} numbers of 0 or more, not all 0, received {list(weights)}")
    return given / given.sum()


def _check_alike(first: Run, other: Run, *, same_validation: bool) -> None:
    """Raises `UserError` where two runs do not answer the same question on the same rows."""
    names = ["source", "test", "split_seed"]
    judged = ["train", "validation"] if same_validation else []
    if same_validation or "test" not in _rows(first):
        names += ["validation", "folds", "fold", "repeat"]
    what: list[tuple[str, Any, Any]] = [
        (f"data.{name}", getattr(first.recipe.data, name), getattr(other.recipe.data, name)) for name in names
    ]
    mine, theirs = task_of(first).target, task_of(other).target
    what.append(("target", mine.column, theirs.column))
    kinds = [type(target).__name__.removesuffix("Target").lower() for target in (mine, theirs)]
    what.append(("kind of target", kinds[0], kinds[1]))
    what.append(("list of classes", getattr(mine, "classes", None), getattr(theirs, "classes", None)))
    for split in (*judged, "test"):
        what.append((f"number of {split} rows", _rows(first).get(split, 0), _rows(other).get(split, 0)))
    for name, left, right in what:
        if left != right:
            raise UserError(
                f"{other.path} does not belong with {first.path}: its {name} is {_short(right)}, not {_short(left)}"
            )


def _rows(run: Run) -> dict[str, int]:
    """How many rows each split had when the run was trained."""
    return RunFolder(run.path).read_json("task.json").get("rows", {})


def _short(value: Any) -> str:
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"


def mix(found: np.ndarray, weights: np.ndarray, combine: Combine, task: InputTargetTask) -> np.ndarray:
    """(M, N, C) estimates and (M,) weights -> (N, C) combined ones."""
    if combine == "arithmetic":
        return np.tensordot(weights, found, axes=1)
    if isinstance(task.target, ClassTarget):
        logs = np.tensordot(weights, np.log(np.maximum(found, LEAST_PROBABILITY)), axes=1)
        shares = np.exp(logs - logs.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)
    clipped = found.clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)  # of a label and its opposite
    logits = np.tensordot(weights, np.log(clipped) - np.log1p(-clipped), axes=1)
    return 1 / (1 + np.exp(-logits))


def _fit(made: Ensemble, method: Method, seed: int) -> np.ndarray:
    """(M,) the weights with the lowest validation error among all that were tried."""
    run, task = made.run, made.task
    if "validation" not in run.experiment.tensors:
        raise UserError("weights are fitted on validation rows, and these runs have none: use equal weights")
    found = made.member_estimates("validation")
    targets = run.experiment.tensors["validation"]["targets"]
    true = task.target.estimates(targets) if isinstance(task.target, NumberTarget) else targets.numpy()

    def error(weights: np.ndarray) -> float:
        mixed = mix(found, weights, made.combine, task)
        if isinstance(task.target, NumberTarget):
            return float(np.abs(mixed - true).mean())
        if isinstance(task.target, ClassTarget):
            return float(-np.log(np.maximum(mixed[np.arange(len(true)), true], LEAST_PROBABILITY)).mean())
        held = np.where(true > 0.5, mixed, 1 - mixed)
        return float(-np.log(np.maximum(held, LEAST_PROBABILITY)).mean())

    count = len(made.members)
    tried = [np.full(count, 1 / count), *np.eye(count)]
    tried += _nelder_mead(error, tried) if method == "nelder-mead" else _random(count, seed)
    return min(tried, key=error)  # of equal errors the first: equal weights before all others


def _nelder_mead(error: Callable[[np.ndarray], float], starts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Nelder and Mead's simplex from equal weights, and from halfway between them and the best member.

    Each is begun again from where it ended, since a simplex that has become flat stops short of the lowest point.
    """
    from scipy.optimize import minimize

    equal, *alone = starts
    count = len(equal)

    def on_simplex(point: np.ndarray) -> np.ndarray:
        size = np.abs(point)
        return size / max(size.sum(), 1e-300)

    found = []
    for start in (equal, (equal + min(alone, key=error)) / 2):
        for step in STEPS:
            around = np.vstack([start, start + step * np.eye(count)])
            options = {"maxiter": 200 * count, "xatol": 1e-5, "fatol": 1e-9, "initial_simplex": around}
            done = minimize(lambda point: error(on_simplex(point)), start, method="Nelder-Mead", options=options)
            start = on_simplex(done.x)
        found.append(start)
    return found


def _random(count: int, seed: int) -> list[np.ndarray]:
    """`DRAWS` weights, even over the simplex (half of them) and near its corners and edges, where useful weights often lie."""
    random = np.random.default_rng(seed)
    return [*random.dirichlet(np.ones(count), DRAWS // 2), *random.dirichlet(np.full(count, 0.3), DRAWS // 2)]


def load_run_or_ensemble(path: str) -> Run | Ensemble:
    """What a folder holds: a run, or an ensemble of runs."""
    return load_ensemble(path) if (Path(path) / "ensemble.json").exists() else load_run(path)
