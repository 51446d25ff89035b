"""`gradus predict` where things are found in pictures: pictures, folders, moving pictures and videos, told and drawn."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from scenes_made import scenes

from gradus.boxes.average_precision import all_classes_curve, best_threshold, voc_matches
from gradus.cli import main
from gradus.cli.predict import _write
from gradus.data import frames
from gradus.data.columns import Points
from gradus.data.frames import Frame, find_files, read_frames
from gradus.data.load import DataSettings
from gradus.errors import UserError
from gradus.recipes.ensemble import ensemble
from gradus.recipes.execute import train_recipe, train_settings
from gradus.recipes.experiment import prepare
from gradus.recipes.later import with_later_settings
from gradus.recipes.predicting import Stages, predict_frames
from gradus.recipes.recipe import ModelSettings, Recipe
from gradus.recipes.run import Run, load_run
from gradus.tasks.settings import TaskSettings
from gradus.tasks.task import Answer

MODELS = {"objects": ("grid_detector", {"width": 16}), "mask": ("unet", {"width": 4, "depth": 1})}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    made = {}
    for target, (model, options) in MODELS.items():
        recipe = Recipe(
            data=DataSettings(source="scenes", validation=0),
            model=ModelSettings(name=model, options=options),
            train=train_settings(epochs=1, batch_size=4, device="cpu"),
        )
        train_recipe(recipe, folder / target, dataset=scenes(4, 2, target=target))
        made[target] = load_run(folder / target)
    return made


def pictures(folder: Path, count: int = 3) -> list[Path]:
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"photo{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        PillowImage.fromarray(random.integers(0, 255, (40 + 8 * number, 64, 3), dtype=np.uint8)).save(path)
    return paths


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_boxes_as_json_are_in_pixels_of_the_picture_and_those_of_python(runs, tmp_path, capsys):
    paths = pictures(tmp_path / "in")
    run = runs["objects"]
    code, out, err = command(capsys, "predict", run.path, tmp_path / "in", "--json", "--min-score", "0")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [line["input"] for line in lines] == [str(path) for path in paths]
    assert "3 pictures in" in err and "a second" in err and not (tmp_path / "predictions").exists()
    assert all(lines[0]["prediction"]) and set(lines[0]["prediction"][0]) == {"category", "box", "score"}
    for number, line in enumerate(lines):
        for one in line["prediction"]:
            left, top, right, bottom = one["box"]
            assert 0 <= left <= right <= 64 and 0 <= top <= bottom <= 40 + 8 * number
    told = {**vars(run.task.options), "least_score": 0.0}
    run.task.options = type(run.task.options)(**told)
    alone = run.predict([str(path) for path in paths])
    for line, other in zip(lines, alone, strict=True):
        assert len(line["prediction"]) == len(other["prediction"])


def test_boxes_are_told_from_the_score_on_that_was_best_in_validation(tmp_path, capsys):
    recipe = Recipe(
        data=DataSettings(source="scenes", validation=12),
        model=ModelSettings(name="grid_detector", options={"width": 16}),
        train=train_settings(epochs=6, batch_size=4, learning_rate=4e-3, device="cpu"),
    )
    run = train_recipe(recipe, tmp_path / "run", dataset=scenes(48, 4))
    epoch = run.evaluation["best"]["epoch"]
    best = next(row["validation_best_score"] for row in run.history if row["epoch"] == epoch)
    paths = pictures(tmp_path / "in")
    code, out, err = command(capsys, "predict", run.path, *paths, "--json", "--min-score", "0")
    assert code == 0 and "the best on the validation pictures" not in err
    everything = [[one["score"] for one in json.loads(line)["prediction"]] for line in out.splitlines()]
    code, out, err = command(capsys, "predict", run.path, *paths, "--json")
    assert code == 0 and f"told are boxes with a score of {best:g} or more, the best on the validation pictures" in err
    told = [[one["score"] for one in json.loads(line)["prediction"]] for line in out.splitlines()]
    assert told == [[score for score in scores if score >= best] for scores in everything] != everything
    # by the exact measure, none is better
    pool = run.assess("validation").pool
    matches = voc_matches(pool)
    _, highest = best_threshold(all_classes_curve(pool, matches))
    right, wrong = (int((which & (pool.score >= best)).sum()) for which in (matches.right, matches.wrong))
    assert 2 * right / (right + wrong + len(pool.given_boxes)) == pytest.approx(highest, abs=0.01)
    given = with_later_settings(load_run(run.path), ["task.options.least_score=0.75"])
    assert given.answers(str(paths[0])) is not None and given.task.least_score == 0.75
    assert load_run(run.path).task.least_score == 0.3  # before its weights are read, and where nothing was validated


def test_settings_that_only_change_how_answers_are_found(runs, tmp_path, capsys):
    picture = pictures(tmp_path / "in", 1)[0]
    asked = ("predict", runs["objects"].path, picture, "--json", "--set")
    counts = []
    for setting in ("task.options.least_score=0", "task.options.least_score=1"):
        code, out, _ = command(capsys, *asked, setting)
        assert code == 0
        counts.append(len(json.loads(out)["prediction"]))
    assert counts[0] > counts[1] == 0
    kept = []
    for overlap in (0.01, 1.0):
        changed = with_later_settings(
            load_run(runs["objects"].path), [f"model.options.overlap={overlap}", "task.options.least_score=0"]
        )
        kept.append(len(changed.predict(str(picture))[0]["prediction"]))
    assert kept[0] < kept[1]
    plain = load_run(runs["mask"].path)
    smooth = with_later_settings(plain, ["task.options.crf=5"], measured=True)
    assert (plain.task.options.crf, smooth.task.options.crf, smooth.recipe.task.options["crf"]) == (0, 5, 5)
    smooth.answers(str(picture))
    for setting, message in {
        "task.options.crop_size=32": "after training only these may be changed: task.options.tiles",
        "task.options.crf=-1": "expected 0 to 1000 steps",
        "nonsense": "after training only these may be changed",
    }.items():
        code, _, err = command(capsys, "predict", runs["mask"].path, picture, "--set", setting)
        assert code == 2 and message in err
    code, _, err = command(capsys, "eval", runs["mask"].path, "--set", "task.options.tiles=true")
    assert code == 2 and "changes predictions alone" in err


def test_pictures_are_drawn_into_a_new_folder_and_nothing_is_overwritten(runs, in_empty_folder, capsys):
    pictures(in_empty_folder / "in" / "deep")
    again = pictures(in_empty_folder / "other", 1)[0]
    run = runs["objects"].path
    code, out, _ = command(capsys, "predict", run, "in", again, again, "--timing")
    assert code == 0 and "drawn into predictions" in out and "network" in out and "drawing" in out
    drawn = {str(path.relative_to("predictions")) for path in Path("predictions").rglob("*.jpg")}
    expected = {f"deep/photo{number}.jpg" for number in range(3)} | {"photo0.jpg", "photo0-2.jpg"}
    assert drawn == expected
    with PillowImage.open("predictions/deep/photo1.jpg") as picture:
        assert picture.size == (64, 48)
    code, out, _ = command(capsys, "predict", run, again)
    assert "drawn into predictions-2" in out
    code, _, err = command(capsys, "predict", run, again, "--out", "predictions")
    assert code == 2 and "there is something already" in err


def test_masks_are_written_as_class_numbers_beside_the_overlay(runs, tmp_path, capsys):
    paths = pictures(tmp_path / "in")
    code, out, _ = command(capsys, "predict", runs["mask"].path, *paths, "--out", tmp_path / "out", "--json")
    lines = [json.loads(line)["prediction"] for line in out.splitlines()]
    assert code == 0 and [line["height"] for line in lines] == [40, 48, 56]
    for number, line in enumerate(lines):
        mask = np.asarray(PillowImage.open(tmp_path / "out" / f"photo{number}-mask.png"))
        assert mask.shape == (40 + 8 * number, 64) and mask.max() < 3
        assert sum(line["pixels"].values()) == mask.size
        assert PillowImage.open(tmp_path / "out" / f"photo{number}.jpg").size == (64, 40 + 8 * number)
    code, _, err = command(capsys, "predict", runs["mask"].path, *paths, "--min-score", "0.5")
    assert code == 2 and "only for runs that find boxes" in err


def test_landmarks_are_drawn_where_they_are(tmp_path):
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    answer = Answer(np.array([[20.0, 10.0], [np.nan, np.nan]]), Points(names=("eye", "ear")))
    _write(tmp_path, Path("face"), pixels, answer)
    drawn = np.asarray(PillowImage.open(tmp_path / "face.jpg")).astype(int).max(axis=2)
    assert drawn[10, 20] > 100 and drawn[30:, 40:].max() < 30


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_every_frame_of_a_moving_picture(suffix, tmp_path):
    frames = [np.full((16, 24, 3), level, dtype=np.uint8) for level in (10, 120, 250)]
    first, *others = map(PillowImage.fromarray, frames)
    extra = {"lossless": True} if suffix == "webp" else {}
    first.save(tmp_path / f"clip.{suffix}", save_all=True, append_images=others, **extra)
    found = list(read_frames(find_files([tmp_path]), 3))
    assert [frame.name.rpartition("#")[2] for frame in found] == ["1", "2", "3"]
    assert [frame.path.name for frame in found] == ["clip-00001", "clip-00002", "clip-00003"]
    for frame, expected in zip(found, frames, strict=True):
        np.testing.assert_allclose(frame.pixels, expected, atol=2)
    assert next(read_frames(find_files([tmp_path]), 1)).pixels.shape == (16, 24, 1)


def test_every_frame_of_a_video(tmp_path):
    av = pytest.importorskip("av", reason="pip install 'gradus[video]'")
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in (20, 120, 220):
            pixels = np.full((48, 64, 3), level, dtype=np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    found = list(read_frames(find_files([tmp_path / "clip.mp4"]), 3))
    assert [round(float(frame.pixels.mean()) / 20) for frame in found] == [1, 6, 11]
    (tmp_path / "broken.mov").write_bytes(b"no video")
    with pytest.raises(UserError, match="the video cannot be read"):
        list(read_frames(find_files([tmp_path / "broken.mov"]), 3))


@pytest.mark.parametrize(("turned", "corner"), [(0, (0, 0)), (90, (1, 0)), (-90, (0, 1)), (180, (1, 1))])
def test_a_video_is_turned_as_a_player_shows_it(tmp_path, turned, corner):
    """A bright quarter, upper left in the file: after a quarter turn against the clock it is lower left."""
    av = pytest.importorskip("av", reason="pip install 'gradus[video]'")
    pixels = np.zeros((48, 64, 3), dtype=np.uint8)
    pixels[:24, :32] = 230
    with av.open(str(tmp_path / "clip.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if turned:
            if not hasattr(stream, "set_display_rotation"):
                pytest.skip("this av cannot write how a video is turned")
            stream.set_display_rotation(turned)
        for packet in [*stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")), *stream.encode()]:
            container.mux(packet)
    for channels in (1, 3):
        (frame,) = read_frames(find_files([tmp_path / "clip.mp4"]), channels)
        shape = (64, 48) if abs(turned) == 90 else (48, 64)
        assert frame.pixels.shape == (*shape, channels) and frame.pixels.flags["C_CONTIGUOUS"]
        halves = frame.pixels[..., 0].reshape(2, shape[0] // 2, 2, shape[1] // 2).mean(axis=(1, 3))
        assert (
            np.unravel_index(halves.argmax(), (2, 2)) == corner
            and halves.max() > 150 > 60 > np.sort(halves.ravel())[-2]
        )


def test_a_video_without_frames_is_told(tmp_path, monkeypatch):
    class Container:
        streams = SimpleNamespace(video=[object()])

        def decode(self, video):
            return iter(())

    package = SimpleNamespace(open=lambda path: nullcontext(Container()), FFmpegError=OSError)
    monkeypatch.setattr(frames, "_pyav", lambda file: package)
    (tmp_path / "clip.mp4").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"clip\.mp4: there are no pictures in this video"):
        list(read_frames(find_files([tmp_path / "clip.mp4"]), 3))


def test_a_video_without_its_package_is_told_before_anything_is_written(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    pictures(tmp_path / "in")
    (tmp_path / "in" / "clip.mp4").write_bytes(b"")
    code, out, err = command(capsys, "predict", runs["objects"].path, tmp_path / "in", "--out", tmp_path / "out")
    assert code == 2 and not out and "pip install 'gradus[video]'" in err and not (tmp_path / "out").exists()


def test_only_a_few_frames_are_in_memory(runs):
    given = []

    def source():
        for number in range(9):
            given.append(number)
            yield Frame(str(number), Path(str(number)), np.zeros((48, 64, 3), dtype=np.uint8))

    stages = Stages(torch.device("cpu"))
    ahead = []
    for number, (frame, answer) in enumerate(predict_frames(runs["objects"], source(), stages, batch_size=2)):
        assert frame.name == str(number) and answer.value.boxes.shape[1] == 4
        ahead.append(len(given) - number)
    assert max(ahead) == 2 and stages.pictures == 9
    assert {name for name, *_ in stages.rows()} == {"reading", "preparing", "network", "decoding"}
    assert sum(share for *_, share in stages.rows()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.png"], "there is no such file"),
        (["empty"], "no picture and no video in this folder"),
        (["table.csv"], "takes pictures and videos"),
        (["photo0.png", "--min-score", "2"], "--min-score: expected a number from 0 to 1"),
        (["photo0.png", "--batch-size", "x"], "--batch-size: expected"),
    ],
)
def test_mistakes_are_one_sentence(runs, in_empty_folder, capsys, arguments, said):
    pictures(in_empty_folder)
    Path("empty").mkdir()
    Path("table.csv").write_text("a\n1\n")
    code, out, err = command(capsys, "predict", runs["objects"].path, *arguments)
    assert code == 2 and not out and said in err and err.count("\n") == 1 and not Path("predictions").exists()


def test_what_has_no_meaning_on_scenes_is_refused(runs, capsys):
    with pytest.raises(UserError, match="are not averaged"):
        ensemble([runs["objects"], runs["objects"]])
    code, _, err = command(capsys, "look", runs["objects"].path, "filters")
    assert code == 2 and "looked into" in err and "object-detection" in err and err.count("\n") == 1


def test_the_structure_of_a_detector_is_drawn(runs, tmp_path, capsys):
    code, out, _ = command(capsys, "look", runs["objects"].path, "structure", "--out", tmp_path / "structure.html")
    assert code == 0 and "parameters" in out


def test_a_rate_is_pictures_a_second():
    stages = Stages(torch.device("cpu"))
    stages.pictures = 10
    stages.seconds.update(reading=1.0, network=4.0)
    assert stages.rate == 2
    assert stages.rows() == [("reading", 100.0, 0.2), ("network", 400.0, 0.8)]


@pytest.mark.parametrize("target", ["objects", "mask"])
def test_a_run_on_other_classes_goes_on_without_what_told_them(runs, target):
    def begun(classes: tuple[str, ...]) -> tuple[dict[str, torch.Tensor], str]:
        dataset = scenes(4, 2, target=target)
        for split in dataset.splits.values():
            column = split[target]
            split.columns[target] = replace(column, type=replace(column.type, classes=classes))
        name, options = MODELS[target]
        recipe = Recipe(
            data=DataSettings(source="scenes", validation=0),
            model=ModelSettings(name=name, options=options, weights=str(runs[target].path)),
            train=train_settings(epochs=1, batch_size=4, device="cpu"),
        )
        experiment = prepare(recipe, dataset=dataset)
        return experiment.model.state_dict(), " ".join(experiment.notes)

    trained = runs[target].model.state_dict()
    names = runs[target].task.state()["classes"]
    same, told = begun(tuple(names))
    assert all(torch.equal(same[name], tensor) for name, tensor in trained.items()) and "anew" not in told
    for classes in ([*reversed(names)], [*names, "triangle"]):
        other, told = begun(tuple(classes))
        changed = {name for name, tensor in trained.items() if not torch.equal(other[name], tensor)}
        assert changed and all(name.startswith("head.") for name in changed) and "anew" in told


def test_a_run_on_other_sizes_keeps_the_anchors_that_its_weights_were_trained_with(runs):
    """Things twice as large would have other anchors, on other maps, and the head would not fit."""
    recipe = Recipe(
        data=DataSettings(source="scenes", validation=0),
        task=TaskSettings(name="object-detection", options={"image_size": [96, 128]}),
        model=ModelSettings(name="grid_detector", options={"width": 16}, weights=str(runs["objects"].path)),
        train=train_settings(epochs=1, batch_size=4, device="cpu"),
    )
    given = runs["objects"].recipe.model.options["anchors"]
    experiment = prepare(recipe, dataset=scenes(8, 2, size=(96, 128), seed=5))
    assert experiment.recipe.model.options["anchors"] == given != experiment.task.anchors
    told = " ".join(experiment.notes)
    assert "anchors: those that the weights were trained with" in told and "anew" not in told
    for name, tensor in runs["objects"].model.state_dict().items():
        assert torch.equal(experiment.model.state_dict()[name], tensor), name
    own = replace(recipe, model=replace(recipe.model, options={"width": 16, "anchors": [[40, 40], [80, 80]]}))
    experiment = prepare(own, dataset=scenes(8, 2, size=(96, 128)))
    assert experiment.recipe.model.options["anchors"] == [[40, 40], [80, 80]]
    assert any(note.startswith("head begins anew") for note in experiment.notes)
    for name, tensor in runs["objects"].model.state_dict().items():
        assert name.startswith("head.") or torch.equal(experiment.model.state_dict()[name], tensor), name
