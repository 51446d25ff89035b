"""Baselines: what a model must beat to have learnt anything.

They learn from the training split and are judged on the same rows as the model.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gradus.tasks.rows import EncodedRows, sample_rows
from gradus.tasks.several import SeveralTarget
from gradus.tasks.targets import ClassTarget, NumberTarget
from gradus.tasks.text import PAIRS, TextInputs

if TYPE_CHECKING:
    from gradus.tasks.task import InputTargetTask

LARGEST_FIT = (
    5_000  # rows that the linear baseline learns from: enough to be a fair opponent, small enough to take seconds
)
LARGEST_JUDGED = 10_000  # rows that it is judged on where pictures have to be decoded again for it


def baselines(task: InputTargetTask, train: dict[str, Tensor], test: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    """Baseline name -> metrics, with the same names as the model's.

    The trivial one always gives the same answer; the linear one is logistic regression (classes) or ridge regression
    (numbers) on standardised inputs, on at most 5 000 rows chosen by a fixed seed, pictures averaged down to 28x28. Of pictures
    that are streamed it is judged on at most 10 000 rows, which its name then says. Of texts it learns from all rows, from what
    the model reads of them, as bags of words (and of pairs of words, where their order is known) weighted by TF-IDF.
    """
    if isinstance(task.target, SeveralTarget):
        return _of_several(task, task.target, train, test)
    train = {name: tensor.cpu() for name, tensor in train.items()}
    test = {name: tensor.cpu() for name, tensor in test.items()}
    rows = len(train["targets"])
    texts = isinstance(task.inputs, TextInputs)
    chosen = np.arange(rows) if texts else _choose(train["inputs"], LARGEST_FIT)
    judged = np.arange(len(test["targets"]))
    if isinstance(test["inputs"], EncodedRows):
        judged = _choose(test["inputs"], LARGEST_JUDGED)
    features, test_features = _scaled(
        task.inputs.features_at(train, None if texts else chosen),
        task.inputs.features_at(test, None if texts else judged),
    )
    sampled = f" on {LARGEST_FIT:,} rows" if rows > len(chosen) else ""
    sampled += " on a bag of words" if texts else ""
    sampled += f", judged on {len(judged):,}" if len(judged) < len(test["targets"]) else ""
    targets = train["targets"].numpy()
    trivial, linear = _constant(task, targets), _linear(task, features, targets[chosen])
    constant = np.repeat(trivial[None], len(test["targets"]), axis=0)
    names = {ClassTarget: ("majority class", "logistic regression"), NumberTarget: ("mean", "ridge regression")}
    trivial_name, linear_name = names.get(type(task.target), ("majority of each label", "logistic regression"))
    return {
        trivial_name: _metrics(task, constant, test["targets"]),
        linear_name + sampled: _metrics(task, linear(test_features), test["targets"][judged]),
    }


def _of_several(
    task: InputTargetTask, target: SeveralTarget, train: dict[str, Tensor], test: dict[str, Tensor]
) -> dict[str, dict[str, float]]:
    """The trivial answers to all parts as one baseline, the linear ones as another."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    answers = {split: target.part_targets(rows["targets"].cpu()) for split, rows in (("train", train), ("test", test))}
    for name, part in target.parts.items():
        one = copy.copy(task)
        one.target = part
        own = baselines(one, train | {"targets": answers["train"][name]}, test | {"targets": answers["test"][name]})
        for kind, (told, metrics) in zip(("constant answer", "linear model"), own.items(), strict=True):
            _, where, rows = told.partition(" on ")
            found.setdefault(kind + where + rows, {})[name] = metrics
    return {told: target.joined(parts) for told, parts in found.items()}


def _scaled(train: Any, test: Any) -> tuple[Any, Any]:
    """Features (N, F) standardised by those of training; sparse counts weighted by TF-IDF (with 1 + log of the counts)."""
    if isinstance(train, np.ndarray):
        center, scale = train.mean(axis=0), train.std(axis=0)
        scale = np.where(scale > 1e-6, scale, 1)
        return (train - center) / scale, (test - center) / scale
    from sklearn.feature_extraction.text import TfidfTransformer

    weights = TfidfTransformer(sublinear_tf=True).fit(train)
    return weights.transform(train), weights.transform(test)


def _choose(inputs: Tensor | EncodedRows, number: int) -> np.ndarray:
    """At most `number` rows, ascending, chosen by a fixed seed."""
    if isinstance(inputs, EncodedRows):
        return sample_rows(inputs.column, number)
    return np.sort(np.random.default_rng(0).permutation(len(inputs))[:number])


def _metrics(task: InputTargetTask, outputs: np.ndarray, targets: Tensor) -> dict[str, float]:
    return task.assess(torch.from_numpy(np.asarray(outputs, dtype=np.float32)), targets).metrics


def _constant(task: InputTargetTask, targets: np.ndarray) -> np.ndarray:
    """The outputs (C,) of the answer that is always the same: the shares of the classes as logits, or the mean."""
    if isinstance(task.target, ClassTarget):
        shares = np.bincount(targets, minlength=task.target.num_outputs) / len(targets)
        return np.log(np.maximum(shares, 1e-9))
    if isinstance(task.target, NumberTarget):
        return targets.mean(axis=0)
    shares = targets.mean(axis=0).clip(1e-6, 1 - 1e-6)
    return np.log(shares / (1 - shares))


def _linear(task: InputTargetTask, features: Any, targets: np.ndarray) -> Callable[[Any], np.ndarray]:
    """A function from features to outputs, fitted by scikit-learn.

    Of counts, those that are zero in every row get weights of zero and are left out: of pairs of words most are.
    """
    if isinstance(features, np.ndarray):
        return _fitted(task, features, targets, 0.1)
    freedom = 10.0 if features.shape[1] >= PAIRS else 1.0  # what suits TF-IDF of pairs, and of words alone
    used = np.unique(features.indices)
    fitted = _fitted(task, features[:, used], targets, freedom)
    return lambda inputs: fitted(inputs[:, used])


def _fitted(task: InputTargetTask, features: Any, targets: np.ndarray, freedom: float) -> Callable[[Any], np.ndarray]:
    """As `_linear`. freedom: C of logistic regression."""
    from sklearn.linear_model import LogisticRegression, Ridge

    if isinstance(task.target, ClassTarget) and len(np.unique(targets)) < 2:
        constant = _constant(task, targets)
        return lambda inputs: np.repeat(constant[None], inputs.shape[0], axis=0)
    if isinstance(task.target, NumberTarget):
        ridge = Ridge(alpha=1.0).fit(features, targets)
        return lambda inputs: ridge.predict(inputs).reshape(
            inputs.shape[0], -1
        )  # one target comes back without its axis
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 100 iterations without convergence is good enough for a baseline
        if isinstance(task.target, ClassTarget):
            model = LogisticRegression(max_iter=100, C=freedom).fit(features, targets)
            seen = model.classes_

            def class_outputs(inputs: Any) -> np.ndarray:
                outputs = np.full((inputs.shape[0], task.target.num_outputs), -30.0)
                with np.errstate(divide="ignore"):  # sure of it: log 0 is cut off
                    outputs[:, seen] = model.predict_log_proba(inputs).clip(-30)
                return outputs

            return class_outputs
        singles = [
            LogisticRegression(max_iter=100, C=freedom).fit(features, column) if 0 < column.mean() < 1 else None
            for column in targets.T
        ]
    shares = targets.mean(axis=0)

    def label_outputs(inputs: Any) -> np.ndarray:
        columns = [
            single.decision_function(inputs) if single else np.full(inputs.shape[0], 30.0 if share > 0.5 else -30.0)
            for single, share in zip(singles, shares, strict=True)
        ]
        return np.stack(columns, axis=1)

    return label_outputs
