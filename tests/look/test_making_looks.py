"""Looks at networks that make pictures, on tiny runs, and the mathematics of walks, directions and measures."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import torch
from PIL import Image

from gradus.cli import main
from gradus.errors import UserError
from gradus.look.inside.latent_walk import around, between, ink, slant
from gradus.look.inside.reconstructions import bounds_of, by_components
from gradus.look.inside.table import MAKING_LOOKS
from gradus.recipes.looking import read_pictures
from gradus.recipes.looking_making import look_at_making, maker_of
from gradus.recipes.picturing import make_pictures

SMALL = {
    "reconstructions": ["test:3", "test:4", "--set", "rows=20"],
    "latent-grid": ["--set", "side=3"],
    "latent-map": ["--set", "rows=60"],
    "walk": ["test:3", "test:4", "--set", "steps=4"],
    "arithmetic": ["--set", "rows=100", "--set", "count=2", "--set", "strengths=[-1,1]"],
    "inpaint": ["--set", "steps=3", "--set", "count=2", "--set", "starts=2"],
    "bound": ["--set", "samples=6", "--set", "rows=20"],
}


def command(*arguments: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == code


def train(folder: Path, model: str, *settings: str) -> str:
    chosen = [part for setting in settings for part in ("--set", setting)]
    task = [
        "--task",
        "picture-generation",
        "--data",
        "digits",
        "--model",
        model,
        "--epochs",
        "1",
        "--set",
        "data.rows=160",
    ]
    command("train", *task, *chosen, "--out", str(folder / model))
    return str(folder / model)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("runs")
    options = {
        "dense_vae": ("model.options.latent_size=2", "model.options.hidden=[16]"),
        "dense_autoencoder": ("model.options.code_size=4", "model.options.noise=masking", "model.options.hidden=[16]"),
        "dcgan": ("model.options.width=4", "task.options.conditional=true"),
    }
    return {name: train(folder, name, *chosen) for name, chosen in options.items()}


@pytest.mark.parametrize("what", MAKING_LOOKS)
def test_the_command_writes_a_page_and_pictures(what, runs, tmp_path, capsys):
    command("look", runs["dense_vae"], what, *SMALL[what], "--out", str(tmp_path), "--json")
    said = json.loads(capsys.readouterr().out)
    assert said["look"] == what and Path(said["files"][0]).name == f"{what}.html"
    assert all(Path(name).stat().st_size > 100 for name in said["files"])
    assert all(np.isfinite(value) for value in said["numbers"].values())


def test_fifteen_by_fifteen_are_225_pictures(runs):
    """Deep Learning with Python, listing 8-28, says 255."""
    sight = look_at_making(maker_of(runs["dense_vae"]), "latent-grid")
    assert len(sight.arrays["pictures"]) == 225 == 15 * 15
    latents = sight.arrays["latents"].reshape(15, 15, 2)
    wanted = [NormalDist().inv_cdf(share) for share in np.linspace(0.05, 0.95, 15)]
    np.testing.assert_allclose(latents[3, :, 0], wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(latents[:, 3, 1], wanted[::-1], rtol=1e-5, atol=1e-6)


def test_a_grid_of_an_autoencoder_is_as_wide_as_its_codes(runs):
    maker = maker_of(runs["dense_autoencoder"])
    mean, deviation = maker.spread()
    latents = look_at_making(maker, "latent-grid", side=2, low=0.1, high=0.9).arrays["latents"]
    moved = np.flatnonzero(np.ptp(latents, axis=0) > 1e-6)
    assert len(moved) == 2
    wanted = (mean + deviation * NormalDist().inv_cdf(0.9)).numpy()[moved]
    np.testing.assert_allclose(latents.max(axis=0)[moved], wanted, rtol=1e-4, atol=1e-5)


def test_a_walk_begins_and_ends_at_the_pictures_and_moves(runs, tmp_path):
    maker = maker_of(runs["dense_vae"])
    pictures = read_pictures(maker.subject, ["test:3", "test:4", "test:5"])
    sight = look_at_making(maker, "walk", pictures, steps=5)
    made = sight.arrays["pictures"]
    assert made.shape[:2] == (2, 5)
    ends = maker.make(maker.encode(maker.subject.pixels(pictures)))
    assert np.array_equal(made[0, 0], ends[0]) and np.array_equal(made[0, -1], made[1, 0])
    assert np.abs(made[1, -1].astype(int) - ends[2]).max() <= 1
    gif = Image.open(io.BytesIO(sight.files["walk.gif"]))
    assert gif.n_frames > 5 and gif.info["loop"] == 0


def test_networks_that_read_no_pictures_walk_too(runs):
    maker = maker_of(runs["dcgan"])
    sight = look_at_making(maker, "walk", steps=3, stops=3, of_class="4")
    assert sight.arrays["pictures"].shape[:2] == (2, 3)
    drawn = make_pictures(maker.subject.run, 1, seed=0)
    assert sight.arrays["pictures"].shape[2:] == drawn.shape[1:]
    pictures = read_pictures(maker.subject, ["test:3", "test:4"])
    with pytest.raises(UserError, match="reads none from a picture"):
        look_at_making(maker, "walk", pictures)
    with pytest.raises(UserError, match="only a variational autoencoder"):
        look_at_making(maker, "bound")


def test_an_arc_keeps_the_length_and_a_line_does_not():
    first, last = torch.tensor([2.0, 0, 0]), torch.tensor([0.0, 2, 0])
    shares = torch.linspace(0, 1, 5)
    arc, line = around(first, last, shares), between(first, last, shares)
    torch.testing.assert_close(arc.norm(dim=1), torch.full((5,), 2.0))
    torch.testing.assert_close(arc[2], torch.tensor([math.sqrt(2), math.sqrt(2), 0]))
    torch.testing.assert_close(line[2], torch.tensor([1.0, 1, 0]))
    torch.testing.assert_close(around(first, 2 * first, shares), between(first, 2 * first, shares))


def test_ink_and_slant_are_what_they_say():
    sheet = np.zeros((3, 9, 9, 1), np.uint8)
    for step in range(9):
        sheet[0, step, 4] = 255  # upright
        sheet[1, step, 8 - step] = 255  # leans to the right by a pixel a pixel
        sheet[2, step, step] = 255
    np.testing.assert_allclose(slant(sheet), [0, 1, -1], atol=1e-9)
    np.testing.assert_allclose(ink(sheet), [1 / 9] * 3)


def test_a_direction_is_the_difference_of_the_means(runs):
    maker = maker_of(runs["dense_vae"])
    sight = look_at_making(maker, "arithmetic", attribute="7", without="1", rows=300, count=2)
    rows = maker.rows("test", 300, 0)
    latents, labels = maker.encode(rows.pixels), rows.labels
    wanted = latents[labels == 7].mean(dim=0) - latents[labels == 1].mean(dim=0)
    np.testing.assert_allclose(sight.arrays["direction"], wanted.numpy(), rtol=1e-5)
    assert sight.arrays["pictures"].shape[:2] == (2, 8)
    with pytest.raises(UserError, match=r"expected one of ink, slant, 0, 1, .*received 'seven'"):
        look_at_making(maker, "arithmetic", attribute="seven")


def test_bounds_are_means_of_groups():
    weights = torch.tensor([[0.0, -1.0], [math.log(3), -1.0], [5.0, -1.0]]).double()
    torch.testing.assert_close(bounds_of(weights, 1), weights.mean(dim=0))
    torch.testing.assert_close(
        bounds_of(weights, 2), torch.tensor([math.log(2), -1.0]).double()
    )  # the third fills none


def test_the_bound_of_one_sample_is_the_elbo(runs):
    maker = maker_of(runs["dense_vae"])
    sight = look_at_making(maker, "bound", samples=60, rows=50)
    rows = maker.rows("test", 50, 0)
    torch.manual_seed(1)
    with torch.no_grad():
        given = maker.inputs(rows.pixels).repeat(60, 1, 1, 1)
        elbo = maker.subject.model(given).parts["elbo"].mean()
    numbers = sight.numbers
    assert numbers["K = 1"] == pytest.approx(float(elbo), abs=0.15)
    assert numbers["K = 1"] < numbers["K = 5"] < numbers["K = 50"] <= numbers["K = 60"] + 0.05


def test_components_are_those_of_scikit_learn():
    from sklearn.decomposition import PCA

    made = np.random.default_rng(0).integers(0, 256, (40, 3, 3, 1)).astype(np.uint8)
    flat = made.reshape(40, -1) / 255
    oracle = PCA(4).fit(flat[:30])
    wanted = oracle.inverse_transform(oracle.transform(flat[30:])).reshape(10, 3, 3, 1)
    np.testing.assert_allclose(by_components(made[:30], made[30:], 4), wanted, atol=1e-9)


def test_a_denoising_one_is_shown_with_what_it_sees(runs):
    maker = maker_of(runs["dense_autoencoder"])
    sight = look_at_making(maker, "reconstructions", rows=30, count=5)
    assert sight.arrays["pictures"].shape == sight.arrays["seen"].shape == sight.arrays["made"].shape
    assert sight.numbers["of the damaged"] > 0
    again = look_at_making(maker, "reconstructions", rows=30, count=5)
    assert np.array_equal(sight.arrays["seen"], again.arrays["seen"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["walk", "test:1"], "from where to where?"),
        (["latent-grid", "--set", "axes=[0,0]"], "two different numbers from 0 to 1"),
        (["latent-grid", "--class", "3"], "told no classes"),
        (["bound", "--set", "sample=3"], "did you mean 'samples'"),
        (["arithmetic", "--set", "attribute=3", "--set", "without=3"], "another class"),
        (["inpaint", "--set", "count=0"], "1 row or more"),
        (["latent-map", "--data", "mnist"], "--data is not for looks at networks that make pictures"),
    ],
)
def test_mistakes_are_told(arguments, told, runs, capsys):
    command("look", runs["dense_vae"], *arguments, code=2)
    assert told in capsys.readouterr().err
