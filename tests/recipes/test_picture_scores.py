"""Making pictures with a run, judging them by a classifier, and the report on them: on small digits, with tiny networks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from sklearn.datasets import load_digits

from gradus import cli
from gradus.data.columns import Column, Image, Label
from gradus.data.dataset import Dataset, NumberedRows, Split
from gradus.data.load import DataSettings
from gradus.errors import UserError
from gradus.models import ModelSettings
from gradus.recipes.execute import fit, resume, train_recipe
from gradus.recipes.making import making_of
from gradus.recipes.picturing import as_it_was, check_folder, make_pictures, sampled_with, write_pictures
from gradus.recipes.recipe import Recipe
from gradus.recipes.run import Run, load_run
from gradus.recipes.scoring import Seen, measure, score_run
from gradus.tasks.settings import TaskSettings
from gradus.train.settings import OptimizerSettings, TrainSettings


def digits(rows: int = 300, held: int = 60, size: int = 8) -> Dataset:
    found = load_digits()
    pictures = np.round(found.images * 255 / 16).astype(np.uint8)[..., None][:, :size, :size]
    kind, classes = Image(channels=1), Label(classes=tuple(map(str, range(10))))
    parts = {"train": slice(0, rows), "test": slice(rows, rows + held)}
    splits = {
        name: Split(
            {"image": Column(kind, pictures[part]), "label": Column(classes, found.target[part])},
            NumberedRows.count("digits", part.stop - part.start),
        )
        for name, part in parts.items()
    }
    return Dataset(name="digits", source="digits", splits=splits, target="label")


OPTIONS = {
    "conv_vae": {"latent_size": 3, "hidden": [8]},
    "dcgan": {"latent_size": 4, "width": 4},
    "diffusion": {"width": 8, "num_steps": 40},
}


def trained(folder: Path, model: str, epochs: int = 3, dataset: Dataset | None = None, **task) -> Run:
    recipe = Recipe(
        data=DataSettings(source="digits", target="label", validation=0, test=0),
        task=TaskSettings(name="picture-generation", options=task),
        model=ModelSettings(name=model, options=OPTIONS[model]),
        train=TrainSettings(
            epochs=epochs, batch_size=64, average=0.9 if model == "diffusion" else None,
            optimizer=OptimizerSettings(name="adam", learning_rate=0.002),
        ),
    )  # fmt: skip
    return train_recipe(recipe, folder, dataset=dataset or digits())


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("made")
    return {name: trained(folder / name, name, conditional=name != "conv_vae") for name in OPTIONS}


@pytest.fixture(scope="module")
def judge(tmp_path_factory) -> Run:
    recipe = Recipe(
        data=DataSettings(source="digits", target="label", validation=0, test=0),
        task=TaskSettings(name="image-classification", options={"normalize": "unit"}),
        model=ModelSettings(name="convnet", options={"pattern": "[CONV->POOL]x1->FC", "width": 8, "dense": 16}),
        train=TrainSettings(epochs=12, batch_size=32, optimizer=OptimizerSettings(name="adam", learning_rate=0.005)),
    )
    return train_recipe(recipe, tmp_path_factory.mktemp("judge") / "run", dataset=digits())


@pytest.fixture
def gradus(capsys: pytest.CaptureFixture):
    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return ended.value.code, told.out, told.err

    return run


# ---------------------------------------------------------------- making


@pytest.mark.parametrize("name", OPTIONS)
def test_the_seed_decides_and_more_begin_with_fewer(runs, name):
    run = runs[name]
    made = run.generate(count=12, seed=3)
    assert made.shape == (12, 8, 8, 1) and made.dtype == np.uint8
    assert np.array_equal(made, load_run(run.path).generate(count=12, seed=3))
    assert not np.array_equal(made, run.generate(count=12, seed=4))
    more = run.generate(count=30, seed=3)
    assert np.abs(more[:12].astype(int) - made).max() <= 1  # sums of another order round otherwise


def test_classes_and_settings_of_the_sampling(runs):
    run = runs["diffusion"]
    sevens = run.generate(count=4, label="7")
    assert not np.array_equal(sevens, run.generate(count=4, label="1"))
    before = run.model.sampling
    other = run.generate(count=4, label="7", steps=5, guidance=2)
    assert not np.array_equal(sevens, other) and run.model.sampling == before
    assert np.array_equal(other, make_pictures(run, 4, label="7", sampling={"steps": "5", "guidance": "2"}))
    for wrong, told in (
        (dict(stops=3), "did you mean 'steps'"),
        (dict(steps=0), "above 0"),
        (dict(steps=41), "trained for 40"),
        (dict(steps="many"), "whole number"),
        (dict(label="x"), "unknown label 'x'"),
        (dict(count=0), "1 picture or more"),
        (dict(seed=-1), "from 0"),
        (dict(prompt="a seven"), "takes no prompt"),
    ):
        with pytest.raises(UserError, match=told):
            run.generate(**wrong)
    with pytest.raises(UserError, match="has no settings"):
        runs["conv_vae"].generate(steps=3)
    with pytest.raises(UserError, match="without classes"):
        runs["conv_vae"].generate(label="7")
    with pytest.raises(UserError, match="it makes them: gradus generate"):
        runs["conv_vae"].predict([np.zeros((8, 8), np.uint8)])
    assert {"reconstruction", "kl"} < {*runs["conv_vae"].evaluate()}


def test_a_folder_of_pictures_is_whole_and_replaces_only_its_like(runs, tmp_path, gradus):
    folder = tmp_path / "new"
    code, out, _ = gradus("generate", runs["dcgan"].path, "--count", 12, "--out", folder)
    assert code == 0 and "12 pictures" in out
    assert len(list(folder.glob("*-*.png"))) == 12 and (folder / "0011-1.png").exists()
    told = json.loads((folder / "pictures.json").read_text())
    assert told["seed"] == 0 and told["pictures"][3] == {"file": "0003-3.png", "label": "3"}
    with Picture.open(folder / "0003-3.png") as picture:
        assert np.array_equal(np.asarray(picture), runs["dcgan"].generate(count=12)[3, :, :, 0])
    code, out, _ = gradus("generate", runs["dcgan"].path, "--count", 2, "--label", "5", "--out", folder, "--json")
    assert code == 0 and [json.loads(line)["label"] for line in out.splitlines()] == ["5", "5"]
    assert sorted(path.name for path in folder.iterdir()) == ["0000-5.png", "0001-5.png", "all.png", "pictures.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    code, out, err = gradus("generate", runs["dcgan"].path, "--out", tmp_path / "mine")
    assert (
        code == 2 and "holds other files" in err and [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]
    )
    with pytest.raises(UserError, match="this is a file"):
        check_folder(tmp_path / "mine" / "letter.txt")
    code, _, err = gradus("generate", runs["dcgan"].path, "--set", "steps")
    assert code == 2 and "expected name=value" in err


def test_a_stop_half_way_leaves_the_old_pictures(tmp_path, monkeypatch):
    pictures = np.zeros((3, 4, 4, 1), np.uint8)
    write_pictures(tmp_path / "made", pictures, [None] * 3, {})
    with pytest.raises(KeyboardInterrupt):
        monkeypatch.setattr("gradus.recipes.picturing.sheet", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
        write_pictures(tmp_path / "made", pictures + 255, [None] * 3, {})
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    with Picture.open(tmp_path / "made" / "0000.png") as picture:
        assert np.asarray(picture).max() == 0


def test_samples_change_neither_training_nor_frozen_parts(runs, tmp_path):
    run = runs["diffusion"]
    assert sorted(path.name for path in (run.path / "samples").iterdir()) == ["0001.png", "0002.png", "0003.png"]
    network = torch.nn.Sequential(torch.nn.BatchNorm1d(2).eval(), torch.nn.Dropout())
    with as_it_was(network), sampled_with(network, {}):
        network.eval()
    assert [module.training for module in network.modules()] == [True, False, True]


def test_a_diffusion_model_that_is_resumed_ends_with_the_same_bits(runs, tmp_path):
    class Enough(Exception):
        pass

    def stop(record):
        if record.get("event") == "epoch" and record["epoch"] == 2:
            raise Enough

    whole = runs["diffusion"]
    recipe = replace(whole.recipe, train=replace(whole.recipe.train, checkpoint_seconds=0))
    with pytest.raises(Enough):
        train_recipe(recipe, tmp_path / "cut", dataset=digits(), observers=(stop,))
    again = resume(tmp_path / "cut", dataset=digits())
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    for name in ("0001.png", "0003.png"):
        assert (again.path / "samples" / name).read_bytes() == (whole.path / "samples" / name).read_bytes()


# ---------------------------------------------------------------- scores


def test_scores_tell_real_pictures_from_made_ones_and_noise(runs, judge, gradus, monkeypatch):
    scores = score_run(runs["dcgan"], judge, seed=1)
    values = {one.name: one.values for one in scores.measures}
    assert scores.counts == {"made": 60, "held_out": 60, "training": 300, "seed": 1}
    assert values["frechet"]["held"] < values["frechet"]["made"] and values["recall"]["held"] > 0.7
    assert values["recognised"]["held"] == pytest.approx(judge.evaluation["metrics"]["accuracy"], abs=1e-6)
    assert values["recognised"]["held"] > 0.75 > values["recognised"]["made"]
    assert values["confidence"]["held"] > values["confidence"]["made"]
    assert values["classes_covered"]["held"] >= 9 and values["precision"]["held"] > 0.7
    assert values["nearest_pixels"]["made"] > values["nearest_pixels"]["held"] > 0
    again = score_run(runs["dcgan"], judge, seed=1)
    assert again.to_json() == scores.to_json() != score_run(runs["dcgan"], judge, seed=2).to_json()
    loaded = {str(run.path): run for run in (*runs.values(), judge)}  # whose data are in no file
    monkeypatch.setattr("gradus.recipes.run.load_run", lambda path: loaded[str(path)])
    code, out, _ = gradus("score", runs["dcgan"].path, "--judge", judge.path, "--count", 20, "--json", "--set", "x=1")
    assert code == 2
    code, out, _ = gradus("score", runs["diffusion"].path, "--judge", judge.path, "--count", 80, "--set", "steps=3")
    assert code == 0 and "Fréchet distance" in out and "not equally many" in out
    assert (runs["diffusion"].path / "score" / "score.html").exists()


class Copier(torch.nn.Module):
    """Makes training pictures again, of one class alone: what scores are there to find out."""

    pixels = "unit"

    def __init__(self) -> None:
        super().__init__()
        dataset = digits()["train"]
        ones = np.asarray(dataset["image"].values)[np.asarray(dataset["label"].values) == 1]
        self.register_buffer("known", torch.from_numpy(ones[..., 0]).float()[:, None] / 255)
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, pictures):
        from gradus.models.generative.outcome import Outcome

        return Outcome((self.weight * pictures).flatten(1).sum(dim=1))

    def draw(self, count, generator):
        return torch.randint(len(self.known), (count, 1), generator=generator)

    def generate(self, latents, classes=None, generator=None):
        return self.known[latents[:, 0]]


def test_copies_and_a_lost_class_are_found(judge, tmp_path):
    run = fit(Copier(), digits(), "picture-generation", epochs=1, out=tmp_path / "run", validation=0, test=0)
    scores = score_run(run, judge)
    assert scores["copies"] == 1 and scores["nearest_pixels"] == 0 and scores["nearest_features"] == 0
    assert scores["classes_covered"] <= 5 and scores["rarest_class"] == 0
    assert scores["precision"] > 0.9 and scores["recall"] < 0.4
    page = making_of(run, "test")
    assert page is not None and page.remade is None and page.distances.max() == 0


def test_classes_that_only_the_judge_sees_are_not_asked_for():
    def seen(answers):
        rows = np.random.default_rng(0).normal(size=(len(answers), 4)).astype(np.float32)
        return Seen(rows, np.eye(3, dtype=np.float32)[answers], rows)

    real = seen([0] * 20 + [1] * 19 + [2])  # one of the last is misread
    sides = {"made": seen([0, 1] * 10), "held": real, "noise": real}
    measures, _ = measure(sides, real, None, None, ["0", "1", "2"], np.array([True, True, False]))
    found = {one.name: one for one in measures}
    assert found["classes_covered"].unit == "of 2" and found["classes_covered"].values["made"] == 2
    assert found["rarest_class"].values["made"] > 0.9


def test_a_judge_is_trained_where_none_is_given_and_kept(runs):
    said: list[str] = []
    first = score_run(runs["conv_vae"], say=said.append)
    assert any("training a judge" in line for line in said) and (runs["conv_vae"].path / "judge").is_dir()
    again: list[str] = []
    assert score_run(runs["conv_vae"], say=again.append).to_json() == first.to_json()
    assert not any("training a judge" in line for line in again)


def test_who_cannot_judge_is_told_in_a_sentence(runs, judge, tmp_path):
    with pytest.raises(UserError, match=r"a judge is a run of image-classification"):
        score_run(runs["dcgan"], runs["conv_vae"])
    with pytest.raises(UserError, match="only picture-generation makes pictures"):
        score_run(judge, judge)
    with pytest.raises(UserError, match="10 pictures or more"):
        score_run(runs["dcgan"], judge, count=3)
    small = trained(tmp_path / "small", "conv_vae", 1, digits(100, 20, size=4))
    with pytest.raises(UserError, match="it judges 8x8 grey pictures, but 4x4 grey ones are made"):
        score_run(small, judge)
    alone = digits(100)
    del alone.splits["test"]
    unheld = trained(tmp_path / "unheld", "dcgan", 1, alone)
    with pytest.raises(UserError, match="this run held none out"):
        score_run(unheld, judge)


# ---------------------------------------------------------------- the report


@pytest.mark.parametrize("name", OPTIONS)
def test_the_report_shows_what_is_made(runs, name):
    run = runs[name]
    page = run.report().read_text()
    for words in (
        "What it makes",
        "How they came to be",
        "Are they copies?",
        "there is no accuracy",
        'href="#pictures"',
    ):
        assert words in page
    assert ("Made again" in page) == (name == "conv_vae") and ("At one half" in page) == (name == "dcgan")
    assert 'href="#comparison"' not in page and ("learning-2" in page) == (name != "diffusion")
    making = making_of(run, "test")
    assert list(making.epochs) == [1, 2, 3] and making.epochs[1].shape == (8, 8, 8, 1)
    first = np.abs(making.epochs[3].astype(int) - making.epochs[1]).max()
    assert first > 0
