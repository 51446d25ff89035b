"""The report: what it says is what was measured, it cannot be broken by names, it loads nothing, it fits a phone."""

from __future__ import annotations

import html
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from html.parser import HTMLParser

import made
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, mean_absolute_error, precision_recall_fscore_support

from gradus.data.columns import Column, Image
from gradus.data.dataset import Split
from gradus.data.images import EncodedImages
from gradus.look.page import POLICY
from gradus.look.report import page, write_report
from gradus.look.text import percent

VOID = {"img", "meta", "br", "hr", "col", "link", "input"}
NAN = float("nan")


class Outline(HTMLParser):
    """Checks that tags balance; gathers ids, attributes, tags and text."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(document)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text += data


def shown(document: str) -> str:
    """The text of a page, white space collapsed."""
    return re.sub(r"\s+", " ", Outline(document).text)


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # of fonts and of layouts; what a user would see in the terminal
        warnings.simplefilter("error", RuntimeWarning)
        return {kind: page(make()) for kind, make in made.CONTENTS.items()}


# ---------------------------------------------------------------- every page


@pytest.mark.parametrize("kind", made.CONTENTS)
def test_page_is_balanced_with_unique_ids_that_links_reach(pages, kind):
    outline = Outline(pages[kind])
    assert len(outline.ids) == len(set(outline.ids))
    links = {value.removeprefix("#") for tag, name, value in outline.attributes if name == "href"}
    assert links and links <= set(outline.ids)


@pytest.mark.parametrize("kind", made.CONTENTS)
def test_page_stands_alone(pages, kind):
    document, outline = pages[kind], Outline(pages[kind])
    assert "http://" not in document and "https://" not in document and "@import" not in document
    assert not {"script", "link", "iframe", "object", "base"} & set(outline.tags)
    assert not [name for _, name, _ in outline.attributes if name.startswith("on")]
    for tag, name, value in outline.attributes:
        if name in ("src", "srcset", "poster", "action"):
            assert value.startswith("data:image/png;base64,"), (tag, name, value[:50])
        if name == "href":
            assert value.startswith("#")
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", document))
    assert ("meta", "content", POLICY) in outline.attributes


def test_import_does_not_load_matplotlib():
    code = "import sys, gradus.look.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---------------------------------------------------------------- classes


def test_class_metrics_are_those_of_scikit_learn(pages):
    content, text = made.pictures(), shown(pages["pictures"])
    targets, predictions = content.assessment.targets, content.assessment.predictions
    accuracy = percent(accuracy_score(targets, predictions))
    assert f"lenet5 gives the right answer for {accuracy} of 898 test pictures." in text
    scores = precision_recall_fscore_support(targets, predictions, zero_division=0)
    for label, (precision, recall, f1, support) in enumerate(zip(*scores, strict=True)):
        assert f"{label}{percent(precision)}{percent(recall)}{percent(f1)}{support}" in text
    wrong = int((targets != predictions).sum())
    assert f"{wrong} of 898 pictures are answered wrong." in text


def test_confusion_matrix_is_that_of_scikit_learn(pages):
    content = made.pictures()
    expected = confusion_matrix(content.assessment.targets, content.assessment.predictions)
    titles = [value for tag, name, value in Outline(pages["pictures"]).attributes if (tag, name) == ("td", "title")]
    found = np.zeros_like(expected)
    for title in titles:
        true, predicted, times = re.fullmatch(r"(\d) → (\d): (\d+) of \d+ \(.*\)", title).groups()
        found[int(true), int(predicted)] = int(times)
    assert (found == expected).all()


def test_most_confident_mistakes_are_drawn_in_order(pages):
    content = made.pictures()
    assessment = content.assessment
    wrong = np.flatnonzero(assessment.predictions != assessment.targets)
    surest = wrong[np.argmax(assessment.probabilities[wrong].max(axis=1))]
    outline = Outline(pages["pictures"])
    pictures = [value for tag, name, value in outline.attributes if (tag, name) == ("img", "alt")]
    assert len(pictures) == 24
    assert pictures[0] == f"image of {content.examples.origins[surest]}"
    confidence = percent(float(assessment.probabilities[surest].max()))
    true, predicted = assessment.targets[surest], assessment.predictions[surest]
    assert f"{true} → {predicted} {confidence}" in shown(pages["pictures"])


def test_headline_weighs_baselines_and_published_value():
    content = made.pictures()
    better = replace(content, baselines={"majority class": {"accuracy": 0.1}})
    assert "That is clearly better than the best baseline, majority class (10.0%)." in shown(page(better))
    even = replace(content, baselines={"forest": {"accuracy": 0.91}})
    assert "That is no clear difference from the best baseline, forest (91.0%)" in shown(page(even))
    text = shown(page(content))
    assert "A simpler method does better: the best baseline is logistic regression (93.9%)." in text
    assert "The published accuracy is 97.85% (Deep Learning with Python, §2.1); this run is" in text
    assert "points below it" in text and "Wilson's method" in text


def test_two_classes_have_a_roc_curve_and_chinese_names(pages):
    text = shown(pages["chinese"])
    assert "ROC curve" in text and "AUC 0." in text
    for word in ("正常用户", "流失用户", "多层感知机", "月消费额（元）", "客户表.csv", "华东地区"):
        assert word in text
    assert "ROC curve" not in shown(pages["pictures"])


def test_many_classes_have_pairs_and_a_map(pages):
    content, text = made.many_classes(), shown(pages["many"])
    confusion = content.assessment.confusion()
    mistakes = confusion - np.diag(confusion.diagonal())
    true, predicted = np.unravel_index(mistakes.argmax(), mistakes.shape)
    classes = content.assessment.classes
    assert f"The most common mistake is {classes[true]} taken for {classes[predicted]}: {mistakes.max()} times" in text
    assert "Confusion map" in text and "All 60 of them" in text and 'class="matrix' not in pages["many"]


def test_no_mistakes_shows_the_least_certain():
    content = made.pictures()
    targets = content.assessment.predictions
    perfect = made.class_assessment(content.assessment.classes, content.assessment.probabilities, targets)
    text = shown(page(replace(content, assessment=perfect)))
    assert "Not one of the 898 pictures is answered wrong." in text and "The least certain answers" in text
    assert "gives the right answer for 100.0%" in text


# ---------------------------------------------------------------- hostile names


def test_hostile_names_are_shown_and_harmless(pages):
    document = pages["hostile"]
    assert made.SCRIPT not in document and html.escape(made.SCRIPT) in document
    assert "script" not in Outline(document).tags
    text = shown(document)
    assert made.SCRIPT in text and made.HOSTILE[1] in text and made.HOSTILE[2] in text and "猫 & 狗" in text
    assert "\x00" not in document
    document.encode("utf-8")


def test_hostile_report_is_written(tmp_path):
    write_report(made.CONTENTS["hostile"](), tmp_path / "报告.html")
    assert (tmp_path / "报告.html").read_text(encoding="utf-8").endswith("</html>\n")


# ---------------------------------------------------------------- numbers and labels


def test_regression_is_described_in_words(pages):
    content, text = made.numbers(), shown(pages["numbers"])
    residuals = content.assessment.residuals[:, 0]
    error = mean_absolute_error(content.assessment.targets, content.assessment.predictions)
    assert f"mlp is off by {error:.2f} on average when it predicts progression for 221 test rows." in text
    half, most = np.quantile(np.abs(residuals), (0.5, 0.9))
    assert f"within {half:.2f} of the true value, nine in ten within {most:.1f}" in text
    assert "Shorter is better" in text and "the 8 most unusual of 10 columns" in text
    worst = int(np.abs(residuals).argmax())
    assert f"{content.examples.origins[worst]}" in text
    assert "血糖指数（mg/dL）" in shown(pages["two-numbers"])


def test_worst_labels_show_truth_and_answer(pages):
    text = shown(pages["labels"])
    assert "The worst answers" in text and "true: " in text and "answer: " in text
    metrics = made.several_labels().assessment.metrics
    assert f"reaches a macro F1 of {percent(metrics['macro_f1'])}" in text
    per_label = precision_recall_fscore_support(
        made.several_labels().assessment.targets, made.several_labels().assessment.predictions
    )
    assert f"体育{percent(per_label[0][0])}{percent(per_label[1][0])}{percent(per_label[2][0])}" in text


def test_large_pictures_are_made_small(pages):
    widths = [int(value) for tag, name, value in Outline(pages["labels"]).attributes if (tag, name) == ("img", "width")]
    assert max(widths) <= 176
    content = made.several_labels()
    huge = np.zeros((150, 300, 900, 3), dtype=np.uint8)
    columns = {"photo": Column(Image(), huge), "topics": content.examples.columns["topics"]}
    document = page(replace(content, examples=Split(columns, content.examples.origins)))
    assert 'width="176" height="59"' in document


# ---------------------------------------------------------------- incomplete contents


def test_without_validation(pages):
    text = shown(page(replace(made.pictures(), history=made.history(15, validation=False), best_epoch=None)))
    assert "cannot tell learning from memorising" in text
    loss = text[text.index("How it learnt") : text.index("Where it is right")]
    assert "validation" not in loss.replace("No validation loss", "")


@pytest.mark.parametrize("epochs", [0, 1, 2, 300])
def test_histories_of_any_length(epochs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Outline(page(replace(made.chinese_table(), history=made.history(epochs), best_epoch=1 if epochs else None)))


def test_metrics_that_are_not_numbers():
    content = made.pictures()
    broken = np.full_like(content.assessment.probabilities, NAN)
    assessment = replace(content.assessment, probabilities=broken, metrics={"accuracy": NAN, "loss": NAN})
    history = [{"epoch": 1, "train_loss": NAN, "validation_loss": None, "train_accuracy": float("inf")}]
    text = shown(page(replace(content, assessment=assessment, history=history, best_epoch=None)))
    assert "lenet5 has no accuracy on the test pictures: it is not a number." in text
    assert "898 rows without a target or a finite answer left out." in text


def test_rows_without_target_are_left_out():
    content = made.pictures()
    targets = content.assessment.targets.copy()
    targets[:5] = -1
    text = shown(page(replace(content, assessment=replace(content.assessment, targets=targets))))
    assert "of 893 test pictures" in text and "5 rows without a target" in text


def test_regression_without_numbers_and_bare_contents():
    content = made.numbers()
    assessment = replace(
        content.assessment, predictions=np.full_like(content.assessment.targets, NAN), metrics={"mae": NAN}
    )
    Outline(page(replace(content, assessment=assessment)))
    bare = replace(
        content, examples=None, target=None, baselines={}, published=None, history=[], best_epoch=None,
        data={}, model={}, settings={}, environment={}, timing={},
    )  # fmt: skip
    outline = Outline(page(bare))
    assert "examples" not in outline.ids


def test_a_picture_that_broke_since_training_does_not_stop_the_report(tmp_path):
    content = made.pictures()
    names = [f"图片/{row}.png" for row in range(898)]
    gone = EncodedImages([tmp_path / name for name in names], names, channels=1)
    columns = {"image": Column(Image(channels=1), gone), "digit": content.examples.columns["digit"]}
    text = shown(page(replace(content, examples=Split(columns, names))))
    assert "there is no such file" in text


def test_other_rows_are_refused():
    with pytest.raises(ValueError, match="3 rows, the assessment 898"):
        replace(made.pictures(), examples=made.pictures().examples.take(np.arange(3)))


def test_split_that_chose_the_model_is_told():
    assert "also chose the best epoch" in shown(page(replace(made.pictures(), split="validation")))


# ---------------------------------------------------------------- writing


def test_an_error_while_writing_leaves_the_old_report(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def cut(*_):
        raise OSError("the power went")

    monkeypatch.setattr("os.fsync", cut)
    with pytest.raises(OSError, match="the power went"):
        write_report(made.numbers(), path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
