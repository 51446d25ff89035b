"""What is shown of a language model: the reweighted distribution, samples side by side, what surprised it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from gradus import cli
from gradus.data.columns import Column, Text
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.errors import UserError
from gradus.look.evidence_language import coloured, language_evidence
from gradus.look.inside.temperature import CURVE, Writer, samples, temperature
from gradus.models import create_model
from gradus.recipes.execute import fit
from gradus.recipes.looking_language import look_at_writing, writer_of
from gradus.tasks.assessment import LanguageAssessment

TOKENS = ("<pad>", "<unknown>", "<begin>", "<end>", "a", "b", " ", "\n")


def writer() -> Writer:
    logits = torch.tensor([9.0, 9.0, 9.0, 9.0, 2.0, 1.0, 0.0, -1.0])
    forbidden = torch.tensor([True] * 4 + [False] * 4)

    def write(prompt: str | None, length: int, heat: float, seed: int) -> str:
        return f"[{prompt} {length} {heat:g} {seed}]"

    return Writer("made", lambda prompt: logits, forbidden, write, TOKENS, "character")


def assessment(nats: np.ndarray, ids: np.ndarray | None = None) -> LanguageAssessment:
    targets = np.full(nats.shape, 4) if ids is None else ids
    return LanguageAssessment(tokens=TOKENS, targets=targets, nats=nats, unit="character")


def test_the_entropy_and_the_bars_are_those_of_the_formula():
    sight = temperature(writer(), ["x"], temperatures=(0.5, 1.0))
    chances = np.exp([2, 1, 0, -1]) / np.exp([2, 1, 0, -1]).sum()
    assert sight.numbers["entropy at 1 (nats)"] == pytest.approx(-(chances * np.log(chances)).sum())
    squared = chances**2 / (chances**2).sum()
    assert sight.numbers["entropy at 0.5 (nats)"] == pytest.approx(-(squared * np.log(squared)).sum())
    assert sight.arrays["entropy"][0] == 0 and sight.arrays["entropy"][-1] < math.log(4)
    assert len(CURVE) == len(sight.arrays["entropy"]) and [panel.name for panel in sight.panels][1:] == [
        "bars-0",
        "bars-1",
    ]
    assert "after &#x27;x&#x27;" in sight.to_html() or "after 'x'" in sight.title


def test_samples_stand_side_by_side_from_the_same_prompt():
    sight = samples(writer(), ["be <i>"], temperatures=(0.2, 1.0), length=9, seed=4)
    page = sight.to_html()
    assert page.index("Temperature 0.2") < page.index("[be &lt;i&gt; 9 0.2 4]") < page.index("[be &lt;i&gt; 9 1 4]")
    assert sight.files["samples-0.2.txt"].startswith("be <i>[be <i> 9 0.2 4]")


@pytest.mark.parametrize("settings", [{"temperatures": ()}, {"temperatures": (-1.0,)}, {"length": 0}])
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(UserError, match="expected"):
        samples(writer(), [], **settings)


def test_a_passage_is_the_darker_the_more_it_surprised():
    html = coloured(assessment(np.zeros((1, 3))), np.array([4, 7, 5]), np.array([0.0, 4.0, 80.0]))
    assert "--bad) 0%" in html and "--bad) 50%" in html and "--bad) 100%" in html
    assert "⏎" in html and 'title="4.00 nats"' in html


def test_the_most_surprising_passages_do_not_overlap_and_uncounted_tokens_are_left_out():
    nats = np.full((4, 600), 0.1)
    nats[1, 100:110], nats[3, 200:210] = 7.0, 6.0
    nats[0, :5] = np.nan
    whole = "".join(language_evidence(assessment(nats)))
    assert whole.count("<figure") == 4 + 1 and "nan" not in whole
    assert 'id="mistakes"' in whole and 'id="examples"' in whole
    tokens = int(np.isfinite(nats).sum())
    assert f"Half of the {tokens:,} characters" in whole
    assert language_evidence(assessment(np.full((2, 3), np.nan))) == []


def test_the_table_counts_what_each_token_cost():
    ids = np.array([[4, 5, 4, 6]])
    whole = "".join(language_evidence(assessment(np.array([[1.0, 6.0, 1.0, 2.0]]), ids)))
    assert whole.index(">b<") < whole.index(">a<")
    assert "60.0%" in whole and "20.0%" in whole


def test_the_command_looks_at_a_run(tmp_path, capsys):
    torch.manual_seed(0)
    split = Split({"text": Column(Text(), ["abcd abcd\n"] * 60)}, NumberedRows.count("rows", 60))
    dataset = Dataset(name="texts", source="texts", splits={"train": split}, target="text", ordered=True)
    model = create_model("recurrent_lm", num_tokens=10, hidden_size=24, layers=1)
    options = {"tokenizer": "character", "length": 8, "streams": 4}
    run = fit(model, dataset, task_options=options, epochs=20, learning_rate=0.03, out=tmp_path / "run")
    sight = look_at_writing(writer_of(run.path), "temperature", ["abc"])
    chances = torch.tensor(sight.arrays["logits"]).softmax(0)
    assert int(chances.argmax()) == run.task.encoder.ids["d"]
    with pytest.raises(SystemExit) as ended:
        cli.main(["look", str(run.path), "samples", "ab", "--set", "temperatures=[0]", "--set", "length=4", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0 and told["samples"]["samples-0.txt"].startswith("abcd")
    assert (run.path / "look" / "samples.html").exists()
    with pytest.raises(SystemExit) as ended:
        cli.main(["look", str(run.path), "samples", "abx"])
    assert ended.value.code == 2 and "the model knows no 'x'" in capsys.readouterr().err
