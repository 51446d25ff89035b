"""Separability, embeddings and mistakes, on data whose answers are known."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_subject import Brightness, bright_or_dark, tiny_rows, tiny_subject
from torch import nn

from gradus.errors import UserError
from gradus.look.inside.embeddings import embeddings, in_unit, nearest
from gradus.look.inside.mistakes import mistakes
from gradus.look.inside.separability import between_share, halves, pooled, probe_accuracy, separability
from gradus.look.inside.subject import Picture
from gradus.look.page import document, element, script_hash
from gradus.recipes.looking import look


@pytest.mark.parametrize("probe", ["linear", "mean", "neighbours"])
def test_separable_classes_are_told_apart_after_every_stage(probe):
    sight = separability(tiny_subject(Brightness(), rows=bright_or_dark()), probe=probe)
    np.testing.assert_array_equal(sight.arrays["accuracy"], 1)
    assert list(sight.numbers) == [
        "accuracy after pictures",
        "accuracy after features",
        "accuracy after head",
        "commonest_class",
    ]


def test_labels_that_say_nothing_are_not_told_apart():
    rows = bright_or_dark(200)
    shuffled = np.random.default_rng(1).permutation(rows.labels.numpy()).tolist()
    sight = separability(tiny_subject(Brightness(), rows=tiny_rows(rows.pixels.numpy(), shuffled)))
    assert sight.arrays["accuracy"].max() < 0.7
    assert sight.arrays["spread"].max() < 0.1


def test_a_stage_that_drops_the_difference_shows_it():
    model = Brightness()
    with torch.no_grad():
        model.features.weight.zero_()
        model.features.bias.fill_(1)
    sight = separability(tiny_subject(model, rows=bright_or_dark()))
    assert sight.numbers["accuracy after pictures"] == 1
    assert sight.numbers["accuracy after features"] == 0.5


def test_the_probe_is_judged_by_rows_that_it_did_not_learn_from():
    labels = np.array([0] * 7 + [1] * 4)
    first, second = halves(labels, 0)
    assert not set(first) & set(second)
    assert len(first) + len(second) == 11
    assert np.bincount(labels[first]).tolist() == [3, 2]
    with pytest.raises(UserError, match="ask for more rows"):
        halves(np.array([0, 1]), 0)


def test_features_and_their_spread_by_hand():
    output = torch.arange(16.0).view(1, 1, 4, 4)
    assert pooled(output, 2).tolist() == [[2.5, 4.5, 10.5, 12.5]]
    assert pooled(torch.ones(2, 5, 3), 2).shape == (2, 3)
    features, labels = np.array([[0.0], [0.0], [2.0], [2.0]]), np.array([0, 0, 1, 1])
    assert between_share(features, labels) == 1
    assert between_share(np.array([[0.0], [2.0], [0.0], [2.0]]), labels) == 0
    assert probe_accuracy(features, labels, np.array([[0.1], [1.9]]), np.array([0, 1]), "mean") == 1


def page_data(page: str) -> dict:
    import html

    return json.loads(html.unescape(re.search(r'<div id="map-data"[^>]*>(.*?)</div>', page, re.DOTALL)[1]))


def test_the_page_holds_every_thumbnail_and_allows_its_own_script_alone(tmp_path):
    sight = embeddings(tiny_subject(Brightness(), rows=bright_or_dark(30)), rows=30, neighbours=3)
    page = sight.write(tmp_path)[0].read_text(encoding="utf-8")
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 1
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#x27;", "'")
    assert (
        policy == f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {script_hash(scripts[0])}"
    )
    data = page_data(page)
    assert len(data["label"]) == len(data["names"]) == len(data["near"]) == 30
    assert {view: len(points) for view, points in data["places"].items()} == {"pca": 60, "tsne": 60}
    import base64
    import io

    sheet = base64.b64decode(re.search(r'src="data:image/jpeg;base64,([^"]*)"', page)[1])
    assert Image.open(io.BytesIO(sheet)).size == (6 * 8, 5 * 8)  # 30 thumbnails of 8 x 8, 6 in a row
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_a_script_that_would_end_its_element_is_refused_and_pages_without_one_forbid_all():
    with pytest.raises(ValueError, match="cannot hold"):
        document("x", element("p", "y"), "let a = '</script>'")
    assert "script-src" not in document("x", element("p", "y"))
    assert script_hash("") == "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"


def test_names_from_the_data_cannot_break_out_of_the_page():
    rows = bright_or_dark(12)
    hostile = type(rows)(rows.pixels, rows.labels, ["</div><script>alert(1)</script>"] * 12, ("<b>", "&"))
    page = embeddings(tiny_subject(Brightness(), rows=hostile), rows=12, neighbours=2).to_html()
    assert "<script>alert" not in page
    assert page_data(page)["classes"] == ["<b>", "&"]


def test_neighbours_and_wrong_answers():
    rows = bright_or_dark(30)
    labels = rows.labels.clone()
    labels[4] = 1 - labels[4]  # one wrong label
    sight = embeddings(
        tiny_subject(Brightness(), rows=tiny_rows(rows.pixels.numpy(), labels.tolist())), rows=30, neighbours=3
    )
    assert np.flatnonzero(sight.arrays["wrong"]).tolist() == [4]
    assert sight.arrays["near"].shape == (30, 3)
    assert not any(row in near for row, near in enumerate(sight.arrays["near"]))
    other = embeddings(
        tiny_subject(Brightness(), rows=tiny_rows(rows.pixels.numpy(), labels.tolist(), ("a", "b"))), rows=30
    )
    assert np.flatnonzero(other.arrays["wrong"]).tolist() == [
        4
    ]  # by its neighbours, as the classes are not the network's


def test_a_picture_finds_itself_and_classes_lie_apart():
    rows = bright_or_dark(30)
    given = [Picture("seven", rows.pixels[7].numpy())]
    sight = embeddings(tiny_subject(Brightness(), rows=rows), given, rows=30, layer="features")
    assert sight.arrays["nearest"][0, 0] == 7
    bright = rows.labels.numpy() == 1
    gap = sight.arrays["pca"][bright, 0].mean() - sight.arrays["pca"][~bright, 0].mean()
    assert abs(gap) > 0.8
    assert nearest(np.array([[0.0], [1.0], [5.0]]), np.array([[0.9]]), 2).tolist() == [[1, 0]]
    np.testing.assert_allclose(in_unit(np.array([[0.0, 0.0], [4.0, 2.0]])), [[0, 0.25], [1, 0.75]])


def test_too_few_rows_are_told():
    with pytest.raises(UserError, match="5 rows or more"):
        embeddings(tiny_subject(Brightness(), rows=bright_or_dark()), rows=4)
    with pytest.raises(UserError, match="at least 10 rows"):
        separability(tiny_subject(Brightness(), rows=bright_or_dark()), rows=2)


def test_the_surest_mistakes_come_first():
    values = [250, 10, 200, 20, 140, 30]  # answered bright, dark, bright, dark, bright, dark
    pixels = np.array(values, dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2)
    rows = tiny_rows(pixels, [0, 0, 0, 0, 0, 1])
    sight = mistakes(tiny_subject(Brightness(), rows=rows, classes=("dark", "bright")))
    assert sight.arrays["rows"].tolist() == [0, 5, 2, 4]
    assert sight.numbers["accuracy"] == pytest.approx(2 / 6)
    assert (np.diff(sight.arrays["certainty"]) < 0).all()
    assert "dark taken for bright (3 times)" in sight.said[1]
    only = mistakes(tiny_subject(Brightness(), rows=rows, classes=("dark", "bright")), of_class="bright")
    assert only.arrays["rows"].tolist() == [5]


def test_without_mistakes_the_least_certain_are_shown_and_foreign_classes_refused():
    sight = mistakes(tiny_subject(Brightness(), rows=bright_or_dark()), most=3)
    assert "None of 40 test rows" in sight.said[0]
    assert len(sight.arrays["rows"]) == 3
    foreign = tiny_rows(bright_or_dark().pixels.numpy(), bright_or_dark().labels.tolist(), ("cat", "dog"))
    with pytest.raises(UserError, match=r"other classes than those of the rows \(cat, dog\)"):
        mistakes(tiny_subject(Brightness(), rows=foreign))


def test_stages_of_a_chain_without_weights_in_places_are_named():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2))
    sight = separability(tiny_subject(model, rows=bright_or_dark()), by="layer")
    assert [name for name in sight.numbers if name.startswith("accuracy")][1:] == [
        f"accuracy after {i}" for i in range(4)
    ]


class Decoded:
    """Rows that are decoded when they are asked for, and how many were at most."""

    def __init__(self, pixels: torch.Tensor) -> None:
        self.pixels, self.most = pixels, 0

    def __getitem__(self, rows: torch.Tensor) -> torch.Tensor:
        self.most = max(self.most, len(self.pixels[rows]))
        return self.pixels[rows]


def test_mistakes_decode_a_few_rows_at_a_time():
    rows = bright_or_dark(100)
    decoded = Decoded(rows.pixels)
    subject = tiny_subject(Brightness(), rows=replace(rows, pixels=decoded), classes=("dark", "bright"))
    assert mistakes(subject, most=3).numbers["accuracy"] == 1
    assert decoded.most == 32
    assert mistakes(subject, most=100, of_class="0-1").arrays["rows"].shape == (100,)


@pytest.mark.parametrize("what", ["mistakes", "embeddings", "separability", "lesion", "robustness"])
def test_rows_of_numbers_or_several_labels_are_told(what):
    for labels in (torch.rand(40), torch.zeros(40, 2, dtype=torch.int64)):
        subject = tiny_subject(Brightness(), rows=replace(bright_or_dark(), labels=labels))
        with pytest.raises(UserError, match="one class each"):
            look(subject, what)
