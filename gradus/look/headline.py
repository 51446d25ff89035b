"""The opening of a report: how good the model is in one sentence, against what, and how sure that is."""

from __future__ import annotations

import math

from gradus.look.content import ReportContent
from gradus.look.making import making_sentence
from gradus.look.measures import Interval, confidence_interval
from gradus.look.page import Html, element, join, name, pairs, paragraph, section, table
from gradus.look.text import (
    brief,
    capital,
    count,
    duration,
    is_number,
    is_share,
    metric_value,
    metric_words,
    number,
    percent,
    plural,
)
from gradus.tasks.assessment import (
    ClassAssessment,
    DetectionAssessment,
    GenerationAssessment,
    LabelsAssessment,
    NumberAssessment,
    SegmentationAssessment,
    SeveralAssessment,
    TagsAssessment,
)

CONTENTS = {
    "pictures": "Pictures",
    "comparison": "Compared",
    "learning": "Learning",
    "mistakes": "Mistakes",
    "errors": "Why not better",
    "confidence": "Confidence",
    "examples": "Examples",
    "data": "Data",
    "model": "Model",
    "settings": "Settings",
}


def headline(content: ReportContent, rows: str, left_out: int) -> Html:
    """The head of the page: title, sentence, verdict, a few facts and the list of contents."""
    interval = confidence_interval(content.assessment, content.primary[0])
    sentences = [
        _interval_words(content, interval, rows),
        baseline_words(content, interval),
        published_words(content),
        _caution(content, rows, left_out),
    ]
    absent = set() if isinstance(content.assessment, DetectionAssessment) else {"errors"}
    if isinstance(content.assessment, GenerationAssessment):
        absent |= {"comparison", "mistakes", "examples"}
    if content.making is None:
        absent.add("pictures")
    if not isinstance(content.assessment, ClassAssessment | LabelsAssessment | DetectionAssessment | TagsAssessment):
        absent.add("confidence")
    if content.examples is None or isinstance(content.assessment, SeveralAssessment | TagsAssessment):
        absent.add("examples")
    if not len(content.assessment.targets):
        absent |= {"mistakes", "errors", "confidence", "examples"}
    shown = [(key, word) for key, word in CONTENTS.items() if key not in absent]
    links = [element("a", word, href=f"#{key}") for key, word in shown]
    return element(
        "header",
        element("p", name(content.title), element("span", content.task.replace("-", " ")), class_="eyebrow"),
        element("h1", _sentence(content, rows)),
        paragraph(*sentences, class_="lead"),
        pairs(_facts(content, rows), class_="facts"),
        element("nav", *links, aria_label="Contents"),
    )


def decimals(content: ReportContent) -> int:
    """Decimals of a percentage that the number of rows can bear: one, from 1,000 rows on two."""
    return 2 if len(content.assessment.targets) >= 1000 else 1


def _sentence(content: ReportContent, rows: str) -> Html:
    """How good it is, as one would say it."""
    assessment, (metric, _) = content.assessment, content.primary
    value = assessment.metrics.get(metric, math.nan)
    who = name(brief(content.model.get("name") or content.title, 60))
    where = f"{count(len(assessment.targets))} {content.split} {rows}"
    if isinstance(assessment, GenerationAssessment) and len(assessment.targets):
        return making_sentence(who, assessment, where)
    big = element("em", metric_value(metric, value, decimals(content)))
    if not is_number(value):
        return join((who, f" has no {metric_words(metric)} on the {content.split} {rows}: it is not a number."))
    if metric == "accuracy" and isinstance(assessment, ClassAssessment):
        return join((who, " gives the right answer for ", big, f" of {where}."))
    if isinstance(assessment, NumberAssessment):
        few = len(assessment.names) < 4
        target = join((name(brief(target)) for target in assessment.names), " and ") if few else "its targets"
        if metric in ("mean_absolute_error", "mae"):
            return join((who, " is off by ", big, " on average when it predicts ", target, f" for {where}."))
        if metric in ("root_mean_squared_error", "rmse"):
            return join((who, " is typically off by ", big, " when it predicts ", target, f" for {where}."))
        if metric in ("r2", "r_squared", "r2_score"):
            explained = element("em", percent(value))
            return join((who, " explains ", explained, " of the variation of ", target, f" over {where}."))
    if isinstance(assessment, LabelsAssessment) and metric in ("exact_match", "subset_accuracy"):
        return join((who, " gets every label right for ", big, f" of {where}."))
    if isinstance(assessment, DetectionAssessment | SegmentationAssessment):
        does = "finds" if isinstance(assessment, DetectionAssessment) else "tells apart"
        classes = assessment.classes
        kind = "kinds of objects" if isinstance(assessment, DetectionAssessment) else "classes of pixels"
        what: object = f"{len(classes)} {kind}"
        if len(classes) <= 4:
            first = join((name(brief(one, 20)) for one in classes[:-1]), ", ")
            what = join((first, " and " if first else "", name(brief(classes[-1], 20))))
        return join((who, f" {does} ", what, f" with a {metric_words(metric)} of ", big, f" on {where}."))
    return join((who, f" reaches a {metric_words(metric)} of ", big, f" on {where}."))


def _interval_words(content: ReportContent, interval: Interval | None, rows: str) -> str:
    if interval is None:
        return ""
    metric = content.primary[0]
    low, high = (metric_value(metric, bound, decimals(content)) for bound in (interval.low, interval.high))
    return f"With other {rows} from the same source, expect between {low} and {high} (95% interval, {interval.method})."


def best_baseline(content: ReportContent) -> tuple[str, float] | None:
    """The baseline that is best by the primary metric, and its value."""
    metric, better = content.primary
    measured = {who: values[metric] for who, values in content.baselines.items() if is_number(values.get(metric))}
    if not measured:
        return None
    return (max if better == "max" else min)(measured.items(), key=lambda pair: pair[1])


def baseline_words(content: ReportContent, interval: Interval | None) -> Html:
    """Whether the model is better than the best baseline by more than the test rows' chance."""
    best, (metric, better) = best_baseline(content), content.primary
    value = content.assessment.metrics.get(metric, math.nan)
    if best is None or not is_number(value):
        return Html("")
    who = join((name(brief(best[0])), f" ({metric_value(metric, best[1], decimals(content))})"))
    ahead = (value - best[1]) * (1 if better == "max" else -1)
    if interval is not None and best[1] in interval:
        verdict = element("strong", "That is no clear difference", class_="verdict even")
        return join((verdict, " from the best baseline, ", who, ": these rows are too few to tell them apart."))
    if ahead > 0:
        sure = "clearly better" if interval is not None else "better"
        return join(
            (element("strong", f"That is {sure}", class_="verdict good"), " than the best baseline, ", who, ".")
        )
    if ahead == 0:
        return join(
            (element("strong", "That is no better", class_="verdict even"), " than the best baseline, ", who, ".")
        )
    verdict = element("strong", "A simpler method does better", class_="verdict bad")
    return join((verdict, ": the best baseline is ", who, "."))


def published_words(content: ReportContent) -> Html:
    """The published value, and on which side of it the model is."""
    published = content.published
    if not published or not is_number(published.get("value")):
        return Html("")
    metric, goal = published.get("metric", content.primary[0]), published["value"]
    value = content.assessment.metrics.get(metric, math.nan)
    source = join((" (", name(brief(str(published["source"]), 120)), ")")) if published.get("source") else ""
    said = join((f"The published {metric_words(metric)} is {metric_value(metric, goal, 2)}", source))
    if not is_number(value):
        return join((said, "; it was not measured here."))
    interval = confidence_interval(content.assessment, metric)
    side = "above" if value > goal else "below"
    if interval is not None and goal in interval:
        return join((said, ", which lies within the interval."))
    points = 100 * abs(value - goal)
    gap = f"{points:.{1 if points >= 0.05 else 3}f} points" if is_share(metric) else number(abs(value - goal), 3)
    return join((said, f"; this run is {gap} {side} it." if value != goal else "; this run matches it."))


def _caution(content: ReportContent, rows: str, left_out: int) -> str:
    said = []
    if isinstance(content.assessment, GenerationAssessment):
        return (
            "Nothing is answered here, so there is no accuracy: look at the pictures; gradus score RUN measures them."
        )
    if content.split == "train":
        said.append(f"These {rows} were learnt from, so the number says nothing about new ones.")
    elif content.split == "validation":
        said.append(f"These {rows} also chose the best epoch, so the number is a little too good.")
    if left_out:
        said.append(f"{plural(left_out, 'row')} without a target or a finite answer left out.")
    return " ".join(said)


def _facts(content: ReportContent, rows: str) -> list[tuple[str, str]]:
    splits = content.data.get("splits") or {}
    facts = []
    if "train" in splits:
        facts.append((f"training {rows}", count(splits["train"])))
    facts.append((f"{content.split} {rows}", count(len(content.assessment.targets))))
    if is_number(content.model.get("parameters")):
        facts.append(("parameters", count(content.model["parameters"])))
    if content.history:
        trained = duration(content.timing["train"]) if is_number(content.timing.get("train")) else ""
        epochs = plural(len(content.history), "epoch")
        facts.append((f"training, {epochs}" if trained else "training", trained or epochs))
    if content.best_epoch is not None:
        facts.append(("best epoch", count(content.best_epoch)))
    return facts


def comparison_section(content: ReportContent, every_metric: Html) -> Html:
    """Bars of the primary metric: the model, the baselines and the published value, then the table of all metrics."""
    metric, better = content.primary
    interval = confidence_interval(content.assessment, metric)
    entries: list[tuple[str, str, float]] = []
    entries.append(
        ("model", content.model.get("name") or content.title, content.assessment.metrics.get(metric, math.nan))
    )
    entries += [("baseline", who, values.get(metric, math.nan)) for who, values in content.baselines.items()]
    if content.published and content.published.get("metric", metric) == metric:
        entries.append(("published", "published", content.published.get("value", math.nan)))
    known = [value for _, _, value in entries if is_number(value)]
    known += [interval.high] if interval else []
    whole = 1.0 if is_share(metric) or metric in ("roc_auc", "auc") else max([*known, 0.0]) or 1.0
    bars = [
        element(
            "li",
            element("span", name(who), class_="label"),
            element("span", *_bar(value, whole, interval if role == "model" else None), class_="track"),
            element(
                "span", metric_value(metric, value, 2 if role == "published" else decimals(content)), class_="value"
            ),
            class_=role,
        )
        for role, who, value in entries
    ]
    direction = "Longer is better" if better == "max" else "Shorter is better"
    note = f"{capital(metric_words(metric))} on the {content.split} split. {direction}."
    note += " The fine line marks the 95% interval." if interval else ""
    return section(
        "comparison", "Against simpler methods", element("ul", *bars, class_="bars"), element("p", note, class_="note"),
        every_metric,
    )  # fmt: skip


def _bar(value: float, whole: float, interval: Interval | None) -> list[Html]:
    def place(amount: float) -> float:
        return 100 * min(max(amount / whole, 0), 1) if is_number(amount) else 0

    pieces = [element("i", style=f"width:{place(value):.2f}%")]
    if interval:
        low, high = place(interval.low), place(interval.high)
        pieces.append(element("b", style=f"left:{low:.2f}%;width:{high - low:.2f}%"))
    return pieces


def metrics_table(content: ReportContent) -> Html:
    """Every metric of the model beside the baselines'; the primary one first."""
    primary, metrics = content.primary[0], content.assessment.metrics
    names = [*([primary] if primary in metrics else []), *(metric for metric in metrics if metric != primary)]
    header = ["metric", name(content.model.get("name") or "model"), *(name(who) for who in content.baselines)]
    rows = [
        [
            metric_words(metric),
            element("strong", metric_value(metric, metrics[metric], decimals(content))),
            *(metric_value(metric, values.get(metric), decimals(content)) for values in content.baselines.values()),
        ]
        for metric in names
    ]
    return table(header, rows, numeric=range(1, len(header))) if rows else Html("")
