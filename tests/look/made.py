"""Report contents made by hand for the tests: real answers of scikit-learn models, and names that try to break a page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score

from gradus.data.columns import Column, Image, Label, Labels, Number, Text
from gradus.data.dataset import NumberedRows, Split
from gradus.look.report import ReportContent
from gradus.tasks.assessment import ClassAssessment, LabelsAssessment, NumberAssessment

SCRIPT = "<script>alert(1)</script>"
HOSTILE = (SCRIPT, "\"quotes\" & 'more'", "很" * 60, "$x$ \x00\udc80 \u202eabc", "猫 & 狗")


def history(epochs: int, metric: str = "accuracy", validation: bool = True) -> list[dict[str, Any]]:
    """Curves as a training run leaves them: loss falling over two decades, validation rising again at the end."""
    records = []
    for epoch in range(1, epochs + 1):
        record: dict[str, Any] = {
            "epoch": epoch,
            "step": 45 * epoch,
            "samples": 1437 * epoch,
            "train_seconds": 0.4 * epoch,
        }
        record |= {"train_loss": 2.3 * 0.7**epoch, f"train_{metric}": 1 - 0.6 * 0.75**epoch}
        if validation:
            record |= {"validation_loss": 0.12 + 1.9 * 0.65**epoch + 0.004 * max(epoch - 9, 0) ** 1.5}
            record |= {f"validation_{metric}": 0.965 - 0.6 * 0.7**epoch}
        record["learning_rate"] = 0.001 * (1 + np.cos(np.pi * epoch / epochs)) / 2
        records.append(record)
    return records


def common(**changes: Any) -> dict[str, Any]:
    """The parts of a content that do not depend on the task."""
    layers = [
        {"name": "features.0", "type": "Conv2d", "output": [6, 28, 28], "parameters": 156},
        {"name": "features.1", "type": "ReLU", "output": [6, 28, 28], "parameters": 0},
        {"name": "features.2", "type": "MaxPool2d", "output": [6, 14, 14], "parameters": 0},
        {"name": "classifier.0", "type": "Linear", "output": [120], "parameters": 61_550},
    ]
    return {
        "split": "test",
        "published": None,
        "history": history(15),
        "best_epoch": 11,
        "model": {"name": "lenet5", "parameters": 61_706, "layers": layers},
        "settings": {
            "seed": 0,
            "data": {"source": "digits", "validation": 0.1},
            "training": {"epochs": 15, "batch_size": 32, "optimizer": {"name": "adam", "learning_rate": 0.001}},
        },
        "environment": {"gradus": "0.1.0", "torch": "2.9.1", "device": {"name": "cpu", "cores": 2}, "commit": "a" * 40},
        "timing": {"data": 0.21, "train": 5.93, "evaluate": 0.31, "samples_per_second": 3634.0},
        "baselines": {},
    } | changes


def pictures() -> ReportContent:
    """Digits by logistic regression on every second row: 1 and 9 wrong now and then, as a weak model has it."""
    digits = load_digits()
    train, test = np.arange(0, len(digits.data), 4), np.arange(1, len(digits.data), 2)
    model = LogisticRegression(max_iter=300, C=0.0003).fit(digits.data[train], digits.target[train])
    probabilities = model.predict_proba(digits.data[test]).astype(np.float32)
    classes = tuple(str(label) for label in range(10))
    targets = digits.target[test].astype(np.int64)
    assessment = class_assessment(classes, probabilities, targets)
    images = (digits.images[test] * 255 / 16).astype(np.uint8)[..., None]
    examples = Split(
        {"image": Column(Image(channels=1), images), "digit": Column(Label(classes=classes), targets)},
        NumberedRows("digits", test),
    )
    data = {
        "name": "digits",
        "about": "1,797 handwritten digits of 43 people, 8x8 grey pictures (UCI; embedded in scikit-learn).",
        "splits": {"train": 1294, "validation": 143, "test": len(test)},
        "columns": [
            {"name": "image", "type": "image", "channels": 1},
            {"name": "digit", "type": "label", "classes": classes},
        ],
        "notes": ["20% of the rows were held out as test split, stratified, seed 0."],
    }
    return ReportContent(
        **common(
            title="lenet5 on digits",
            task="image-classification",
            primary=("accuracy", "max"),
            assessment=assessment,
            examples=examples,
            target="digit",
            data=data,
            published={"metric": "accuracy", "value": 0.9785, "source": "Deep Learning with Python, §2.1"},
            baselines={
                "majority class": {"accuracy": 0.1019, "macro_f1": 0.0185, "loss": 2.303},
                "logistic regression": {"accuracy": 0.9388, "macro_f1": 0.9371, "loss": 0.2402},
            },
        )
    )


def class_assessment(classes: tuple[str, ...], probabilities: np.ndarray, targets: np.ndarray) -> ClassAssessment:
    predictions = probabilities.argmax(axis=1)
    metrics = {
        "accuracy": float((predictions == targets).mean()),
        "macro_f1": float(f1_score(targets, predictions, average="macro", labels=range(len(classes)), zero_division=0)),
        "loss": float(-np.log(np.maximum(probabilities[np.arange(len(targets)), targets], 1e-12)).mean()),
    }
    return ClassAssessment(classes=classes, probabilities=probabilities, targets=targets, metrics=metrics)


def random_classes(classes: tuple[str, ...], rows: int, seed: int = 0, skill: float = 2.5) -> ClassAssessment:
    generator = np.random.default_rng(seed)
    targets = generator.integers(len(classes), size=rows)
    logits = generator.normal(size=(rows, len(classes)))
    logits[np.arange(rows), targets] += skill
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return class_assessment(classes, probabilities.astype(np.float32), targets)


def chinese_table(
    classes: tuple[str, ...] = ("正常用户", "流失用户"), rows: int = 300, hostile: bool = False
) -> ReportContent:
    """A table of customers with Chinese names; `hostile` gives columns, classes and origins that try to break the page."""
    assessment = random_classes(classes, rows)
    generator = np.random.default_rng(1)
    regions = ("华东地区", "华南地区", "西北地区")
    named = {
        "年龄": Column(Number(), generator.normal(41, 12, rows).round()),
        "月消费额（元）": Column(Number(), np.where(np.arange(rows) % 9, generator.gamma(2, 150, rows), np.nan)),
        "地区": Column(Label(classes=regions), generator.integers(-1, 3, rows)),
        "备注": Column(Text(), ["客户反映上个月的账单有误，已经处理完毕。"] * rows),
    }
    if hostile:
        named |= {text: Column(Number(), generator.normal(size=rows)) for text in HOSTILE}
    target = SCRIPT + "目标" if hostile else "是否流失"
    examples = Split(
        named | {target: Column(Label(classes=classes), assessment.targets)},
        [f"{SCRIPT if hostile else '客户表.csv'} 第 {row + 2} 行" for row in range(rows)],
    )
    columns = [{"name": key, "type": type(column.type).__name__.lower()} for key, column in examples.columns.items()]
    data = {"name": "客户流失", "about": "某电信公司的客户记录。", "splits": {"train": 1200, "test": rows}}
    data |= {"columns": columns, "notes": ["客户表.csv 以 GB18030 编码读取。", *(HOSTILE if hostile else ())]}
    return ReportContent(
        **common(
            title=f"多层感知机 — 客户流失 {SCRIPT if hostile else ''}",
            task="tabular-classification",
            primary=("accuracy", "max"),
            assessment=assessment,
            examples=examples,
            target=target,
            data=data,
            model={"name": SCRIPT if hostile else "多层感知机", "parameters": 4_417, "layers": []},
            baselines={
                "多数类": {"accuracy": 0.55},
                **({text: {"accuracy": 0.5} for text in HOSTILE} if hostile else {}),
            },
            published={"metric": "accuracy", "value": 0.9, "source": SCRIPT} if hostile else None,
            settings={"备注": HOSTILE, "training": {"epochs": 15}} if hostile else {"training": {"epochs": 15}},
        )
    )


def many_classes(number: int = 60) -> ReportContent:
    """More classes than a table of counts can show."""
    classes = tuple(f"第{index}类 variety {index}" for index in range(number))
    return replace(chinese_table(classes, rows=2000), title="mlp on varieties", published=None)


def numbers(targets: int = 1) -> ReportContent:
    """Ridge regression on `diabetes`; with two targets, one of them in Chinese and in other units."""
    diabetes = load_diabetes()
    true = np.column_stack([diabetes.target, 1000 * diabetes.data[:, 2] + diabetes.target])[:, :targets]
    train, test = np.arange(0, 442, 2), np.arange(1, 442, 2)
    model = Ridge(alpha=0.1).fit(diabetes.data[train][:, [0, 1, 3, 4]], true[train])
    predictions = model.predict(diabetes.data[test][:, [0, 1, 3, 4]]).reshape(len(test), targets)
    return _numbers(("progression", "血糖指数（mg/dL）")[:targets], predictions, true[test], diabetes.data[test], test)


def _numbers(names: tuple[str, ...], predictions: np.ndarray, true: np.ndarray, inputs: np.ndarray, rows: np.ndarray):
    residuals = true - predictions
    metrics = {
        "mae": float(np.abs(residuals).mean()),
        "rmse": float(np.sqrt((residuals**2).mean())),
        "r2": float(np.mean(1 - (residuals**2).sum(axis=0) / ((true - true.mean(axis=0)) ** 2).sum(axis=0))),
    }
    features = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
    columns = {feature: Column(Number(), inputs[:, index]) for index, feature in enumerate(features)}
    columns |= {target: Column(Number(), true[:, index]) for index, target in enumerate(names)}
    return ReportContent(
        **common(
            title="mlp on diabetes",
            task="tabular-regression",
            primary=("mae", "min"),
            assessment=NumberAssessment(names=names, predictions=predictions, targets=true, metrics=metrics),
            examples=Split(columns, NumberedRows("diabetes", rows)),
            target=", ".join(names),
            history=history(15, "mae"),
            model={"name": "mlp", "parameters": 12_865, "layers": []},
            data={
                "name": "diabetes",
                "about": "442 patients.",
                "splits": {"train": 221, "test": len(true)},
                "columns": [],
            },
            baselines={"mean": {"mae": 65.0, "rmse": 76.0, "r2": -0.01}, "ridge regression": {"mae": 46.8, "r2": 0.41}},
        )
    )


def several_labels() -> ReportContent:
    """Three labels that may hold together, on a text column and a picture in colour."""
    generator = np.random.default_rng(3)
    classes, rows = ("体育", "财经", "science & technology"), 150
    targets = generator.random((rows, 3)) < (0.5, 0.3, 0.2)
    logits = np.where(targets, 1.2, -1.2) + generator.normal(size=targets.shape)
    probabilities = (1 / (1 + np.exp(-logits))).astype(np.float32)
    predictions = probabilities > 0.5
    metrics = {
        "macro_f1": float(f1_score(targets, predictions, average="macro")),
        "label_accuracy": float((predictions == targets).mean()),
        "exact_match": float((predictions == targets).all(axis=1).mean()),
    }
    photos = generator.integers(0, 255, (rows, 90, 120, 3), dtype=np.uint8)
    columns = {
        "text": Column(Text(), [f"第 {row} 条新闻：the market closed higher" for row in range(rows)]),
        "photo": Column(Image(channels=3), photos),
        "topics": Column(Labels(classes=classes), targets),
    }
    assessment = LabelsAssessment(classes=classes, probabilities=probabilities, targets=targets, metrics=metrics)
    return ReportContent(
        **common(
            title="mlp on news",
            task="tabular-classification",
            primary=("macro_f1", "max"),
            assessment=assessment,
            examples=Split(columns, [f"新闻/{row}.txt" for row in range(rows)]),
            target="topics",
            history=history(15, "macro_f1"),
            data={"name": "news", "about": "", "splits": {"train": 600, "test": rows}, "columns": []},
            baselines={"majority of each label": {"macro_f1": 0.22, "label_accuracy": 0.67, "exact_match": 0.3}},
        )
    )


CONTENTS = {
    "pictures": pictures,
    "chinese": chinese_table,
    "hostile": lambda: chinese_table((HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[4]), hostile=True),
    "many": many_classes,
    "numbers": numbers,
    "two-numbers": lambda: numbers(2),
    "labels": several_labels,
}
