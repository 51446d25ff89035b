"""Networks that begin with trained weights: found by name, seeing pictures as they were trained to, predicting without a run."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from gradus.cli import main
from gradus.data.load import DataSettings
from gradus.errors import UserError
from gradus.models import ModelSettings, create_model
from gradus.models.preprocessing import Preprocessing, write_record
from gradus.recipes.cats_dogs import cats_dogs_features_vgg16, cats_dogs_fine_tuned_vgg16
from gradus.recipes.execute import resume, train_recipe
from gradus.recipes.experiment import prepare
from gradus.recipes.inputs import read_inputs
from gradus.recipes.looking import read_pictures, subject_of
from gradus.recipes.pretrained import Pretrained
from gradus.recipes.recipe import Recipe
from gradus.recipes.run import load_run
from gradus.recipes.weights import find_weights, prepare_as
from gradus.tasks.inputs import ImageOptions
from gradus.tasks.settings import TaskSettings
from gradus.train.fine_tune import FineTune
from gradus.train.settings import FineTuneSettings, TrainSettings

RECORD = Preprocessing(
    image_size=32, resize=40, mean=(0.5, 0.4, 0.3), deviation=(0.2, 0.3, 0.4), classes=("ant", "bee", "cat")
)


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (60, 48)) -> Path:
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """GRADUS_DATA with weights of SqueezeNet 1.1 called tiny, three classes, and pictures of cats and dogs in class folders."""
    data = tmp_path / "data"
    (data / "weights").mkdir(parents=True)
    torch.manual_seed(0)
    save_file(
        create_model("squeezenet1_1", num_classes=3).state_dict(), data / "weights" / "squeezenet1_1-tiny.safetensors"
    )
    (data / "weights" / "squeezenet1_1-tiny.json").write_text(write_record(RECORD))
    for split, rows in (("train", 6), ("validation", 2), ("test", 2)):
        for number, label in enumerate(("cat", "dog")):
            (data / "pictures" / split / label).mkdir(parents=True)
            for row in range(rows):
                picture(data / "pictures" / split / label / f"{row}.png", 10 * row + number)
    monkeypatch.setenv("GRADUS_DATA", str(data))
    monkeypatch.setenv("GRADUS_CACHE", str(tmp_path / "cache"))
    return data


def recipe_of(folder: Path, weights: str = "tiny", **options) -> Recipe:
    return Recipe(
        data=DataSettings(source=str(folder / "pictures")),
        task=TaskSettings(options=options),
        model=ModelSettings(name="squeezenet1_1", weights=weights),
        train=TrainSettings(epochs=1, batch_size=4, fine_tune=FineTuneSettings(freeze=("features",))),
    )


def refusal(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    told = capsys.readouterr().err
    assert ended.value.code == 2 and told.count("\n") == 1
    return told


def test_weights_are_found_by_name_and_what_there_is_is_listed(folder, tmp_path):
    assert find_weights("squeezenet1_1", "tiny") == folder / "weights" / "squeezenet1_1-tiny.safetensors"
    own = tmp_path / "cache" / "weights"
    own.mkdir(parents=True)
    shutil.copy(folder / "weights" / "squeezenet1_1-tiny.safetensors", own / "squeezenet1_0-own.safetensors")
    assert find_weights("squeezenet1_0", "own").parent == own
    for network, name, sentence in (
        ("squeezenet1_1", "tini", r"no weights 'tini' of squeezenet1_1; did you mean 'tiny'\?"),
        ("squeezenet1_1", "imagenet", r"no weights 'imagenet' of squeezenet1_1; there are: tiny$"),
        (
            "vgg16",
            "imagenet",
            r"\(there are squeezenet1_0-own, squeezenet1_1-tiny\).*gradus import FILE.pth --model vgg16",
        ),
        ("vgg16", "none.safetensors", "there is no such file or run"),
    ):
        with pytest.raises(UserError, match=sentence):
            find_weights(network, name)


def test_pictures_are_prepared_as_the_weights_expect_and_it_is_said(folder):
    experiment = prepare(recipe_of(folder))
    options = ImageOptions(**{**experiment.recipe.task.options, "mean": RECORD.mean, "deviation": RECORD.deviation})
    assert (options.image_size, options.crop_size, options.fit) == (40, 32, "crop")
    assert experiment.recipe.task.options["mean"] == [0.5, 0.4, 0.3]
    notes = "\n".join(experiment.notes)
    assert "pictures as these weights expect them: 32x32 (crop, the middle of 40x40), RGB, mean 0.5, 0.4, 0.3" in notes
    assert "classifier.1 begins anew (1,026 weights): 2 outputs in place of 3" in notes
    assert "1,026 of 723,522 parameters learn, frozen: stem, block1, block2, block3" in notes
    experiment.task.to_device(torch.device("cpu"))
    stored = experiment.tensors["train"]["inputs"]
    inputs, _ = experiment.task.prepare(experiment.tensors["train"], training=False)
    assert stored.shape[1:] == (40, 40, 3) and inputs.shape[1:] == (3, 32, 32)
    torch.testing.assert_close(inputs, RECORD.apply(stored[:, 4:36, 4:36]), atol=1e-5, rtol=0)


def test_the_options_of_the_user_come_first(folder):
    recipe, notes = prepare_as(
        RECORD,
        replace(
            recipe_of(folder, image_size=24, normalize="unit"),
            task=TaskSettings(name="image-classification", options={"image_size": 24, "normalize": "unit"}),
        ),
    )
    assert recipe.task.options == {"image_size": 24, "normalize": "unit", "fit": "crop"}
    assert notes[0].endswith("but for image_size, normalize, as the task's options say")
    table = Recipe(task=TaskSettings(name="tabular-classification"))
    assert prepare_as(RECORD, table) == (table, [])


def test_a_run_needs_its_weights_only_to_begin(folder, tmp_path):
    run = train_recipe(recipe_of(folder), tmp_path / "run")
    before = run.predict([folder / "pictures" / "test" / "cat" / "0.png"])
    shutil.rmtree(folder / "weights")
    again = load_run(tmp_path / "run")
    assert again.predict([folder / "pictures" / "test" / "cat" / "0.png"]) == before
    assert again.evaluate("test") == run.evaluate("test") and again.report().exists()
    (tmp_path / "run" / "evaluation.json").unlink()
    assert resume(tmp_path / "run").evaluation["metrics"] == run.evaluate("test")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    with pytest.raises(UserError, match="there are no weights 'tiny' of squeezenet1_1"):
        resume(tmp_path / "run")


def test_a_run_is_weights_too_with_its_own_preprocessing(folder, tmp_path):
    first = train_recipe(recipe_of(folder), tmp_path / "first")
    second = prepare(recipe_of(folder, weights=str(tmp_path / "first")))
    assert second.recipe.model.weights == str((tmp_path / "first").resolve())
    for name, tensor in second.model.state_dict().items():
        assert torch.equal(tensor, first.model.state_dict()[name]), f"{name}: the head too"
    assert second.recipe.task.options["crop_size"] == 32
    np.testing.assert_allclose(second.recipe.task.options["mean"], RECORD.mean)
    found = Pretrained("squeezenet1_1", str(tmp_path / "first"))
    file = folder / "pictures" / "test" / "dog" / "1.png"
    (one,), (two,) = found.predict([file]), first.predict([file])
    assert one["prediction"] == two["prediction"] and one["certainty"] == pytest.approx(two["certainty"], abs=1e-4)


@pytest.mark.parametrize(
    ("classes", "kept", "note"),
    [
        (("cat", "dog"), True, None),
        (("dog", "cat"), False, "classifier.1 begins anew (1,026 weights): its classes are others"),
        (("bird", "cat"), False, "classifier.1 begins anew (1,026 weights): its classes are others"),
        (("0", "1"), True, "the head is kept, though its classes have other names: cat, ... in place of 0, ..."),
    ],
)
def test_an_output_keeps_its_meaning_or_begins_anew(folder, classes, kept, note):
    model = create_model("squeezenet1_1", num_classes=2)
    save_file(model.state_dict(), folder / "weights" / "squeezenet1_1-two.safetensors")
    (folder / "weights" / "squeezenet1_1-two.json").write_text(write_record(replace(RECORD, classes=classes)))
    experiment = prepare(recipe_of(folder, weights="two"))
    same = {
        name for name, tensor in experiment.model.state_dict().items() if torch.equal(tensor, model.state_dict()[name])
    }
    different = set(model.state_dict()) - same
    assert not different if kept else different == {"classifier.1.weight"}, "a bias begins at 0 either way"
    told = [text for text in experiment.notes if "begins anew" in text or "is kept" in text]
    assert told == ([note] if note else [])


def test_a_run_that_saw_each_picture_by_its_own_mean_says_so(folder, tmp_path):
    train_recipe(recipe_of(folder, normalize="per-picture"), tmp_path / "run")
    experiment = prepare(recipe_of(folder, weights=str(tmp_path / "run")))
    assert any("give --set task.options.normalize=per-picture" in note for note in experiment.notes)
    assert not any("pictures as these weights expect them" in note for note in experiment.notes)
    with pytest.raises(UserError, match=r"a run knows how it sees its inputs: gradus predict .*run"):
        Pretrained("squeezenet1_1", str(tmp_path / "run"))


def test_a_folder_of_data_does_not_hide_a_name(folder, tmp_path, monkeypatch):
    (tmp_path / "tiny" / "train").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert prepare(recipe_of(folder)).recipe.model.weights == "tiny"
    with pytest.raises(UserError, match="this is not a whole run"):
        prepare(recipe_of(folder, weights="./tiny/train"))


def test_networks_for_tables_begin_with_weights(folder):
    model = create_model("mlp", in_features=4, num_classes=3)
    save_file(model.state_dict(), folder / "weights" / "mlp-own.safetensors")
    experiment = prepare(Recipe(data=DataSettings(source="iris"), model=ModelSettings(name="mlp", weights="own")))
    assert all(torch.equal(experiment.model.state_dict()[name], tensor) for name, tensor in model.state_dict().items())


def test_grey_pictures_are_shown_to_networks_of_coloured_ones(folder):
    for file in (folder / "pictures").rglob("*.png"):
        Image.open(file).convert("L").save(file)
    experiment = prepare(recipe_of(folder))
    inputs, _ = experiment.task.prepare(experiment.tensors["train"], training=False)
    stored = experiment.tensors["train"]["inputs"]
    assert stored.shape[-1] == 1 and inputs.shape[1] == 3
    torch.testing.assert_close(inputs, RECORD.apply(stored[:, 4:36, 4:36].expand(-1, -1, -1, 3)), atol=1e-5, rtol=0)
    assert any("grey pictures are given to the model as RGB" in note for note in experiment.notes)


def test_channels_may_be_in_caffes_order(folder):
    record = replace(RECORD, channel_order="bgr")
    (folder / "weights" / "squeezenet1_1-tiny.json").write_text(write_record(record))
    experiment = prepare(recipe_of(folder))
    inputs, _ = experiment.task.prepare(experiment.tensors["train"], training=False)
    stored = experiment.tensors["train"]["inputs"][:, 4:36, 4:36]
    torch.testing.assert_close(inputs, record.apply(stored), atol=1e-5, rtol=0)
    red = (stored[..., 0].float() / 255 - 0.5) / 0.2
    torch.testing.assert_close(inputs[:, 2], red, atol=1e-5, rtol=0)


def test_a_network_predicts_without_a_run(folder, capsys):
    file = picture(folder / "photo.jpg", size=(90, 64))
    with pytest.raises(SystemExit) as ended:
        main(["predict", "squeezenet1_1", str(file), "--weights", "tiny", "--json"])
    assert ended.value.code == 0
    answer = json.loads(capsys.readouterr().out)
    model = create_model("squeezenet1_1", num_classes=3).eval()
    model.load_state_dict(load_file(folder / "weights" / "squeezenet1_1-tiny.safetensors"))
    opened = Image.open(file).resize((40, 40), Image.Resampling.BILINEAR, box=(13, 0, 77, 64))  # the middle square
    pixels = torch.from_numpy(np.asarray(opened)[None, 4:36, 4:36].copy())
    with torch.no_grad():
        shares = model(RECORD.apply(pixels)).softmax(1)[0]
    assert answer["prediction"] == RECORD.classes[int(shares.argmax())]
    assert answer["certainty"] == pytest.approx(float(shares.max()), abs=2e-3)


def test_looks_see_what_the_network_sees(folder):
    file = picture(folder / "photo.png", size=(90, 64))
    subject = subject_of("squeezenet1_1", weights="tiny")
    assert (subject.size, subject.resize, subject.classes) == (32, 40, RECORD.classes)
    pretrained = Pretrained("squeezenet1_1", "tiny")
    with torch.no_grad():
        seen = subject.model(subject.inputs(read_pictures(subject, [file]))).softmax(1)
    ((_, answer),) = zip(*pretrained.answers([file]), strict=True)
    assert float(seen.max()) == pytest.approx(answer.certainty, abs=1e-5)


def test_mistakes_of_predicting_are_told(folder, capsys):
    file = picture(folder / "photo.png")
    (folder / "weights" / "squeezenet1_1-tiny.json").unlink()
    told = refusal(capsys, "predict", "squeezenet1_1", file, "--weights", "tiny")
    assert "squeezenet1_1-tiny.json is missing" in told
    assert "there are no weights" in refusal(capsys, "predict", "squeezenet1_1", file, "--weights", "imagenet")
    assert "unknown model" in refusal(capsys, "predict", "squeezenet", file, "--weights", "imagenet")
    assert "give --weights NAME" in refusal(capsys, "predict", "squeezenet1_1", file)
    told = refusal(capsys, "train", "--data", folder / "pictures", "--model", "vgg11", "--weights", "x.pth")
    assert "there is no such file" in told


def test_images_options_that_do_not_fit_together_are_told():
    for options, sentence in (
        ({"mean": (0.1,)}, "expected both"),
        ({"mean": (0.1, 0.2), "deviation": (1.0, 1.0)}, "expected 1 or 3 numbers"),
        ({"mean": (0.1,), "deviation": (0.0,)}, "above 0"),
        ({"mean": (0.1,), "deviation": (1.0,), "normalize": "unit"}, "exclude each other"),
    ):
        with pytest.raises(UserError, match=sentence):
            ImageOptions(**options)


def test_the_middle_of_a_larger_square_is_what_torchvision_cuts_out(tmp_path):
    """The shorter side to 256, then the middle 224: in two steps with rounding there, in one resampling and a slice here."""
    from gradus.data.images import resize

    opened = Image.open(picture(tmp_path / "photo.png", size=(500, 333)))
    ours = resize(np.asarray(opened), (256, 256), "crop")[16:240, 16:240].astype(float)
    whole = np.asarray(opened.resize((384, 256), Image.Resampling.BILINEAR))
    theirs = whole[16:240, 80:304].astype(float)
    assert np.abs(ours - theirs).mean() < 1.0 < np.abs(ours - whole[16:240, 84:308]).mean()


# The numbers of Deep Learning with Python §5.3, without memory for the weights


def test_vgg16_has_the_texts_parameters():
    with torch.device("meta"):
        model = create_model("vgg16", num_classes=1, hidden=[256], map_size=4)
    counts = {p: p.numel() for p in model.parameters()}
    assert sum(counts.values()) == 16_812_353
    assert sum(p.numel() for name, p in model.named_parameters() if name.startswith("features")) == 14_714_688
    frozen = FineTune(model, cats_dogs_features_vgg16().train.fine_tune)
    tuned = FineTune(model, cats_dogs_fine_tuned_vgg16().train.fine_tune)
    assert frozen.describe().startswith("2,097,665 of 16,812,353 parameters learn")
    assert tuned.describe(30) == "9,177,089 of 16,812,353 parameters learn, frozen: block1, block2, block3, block4"
    assert tuned.describe(29) == tuned.describe(0) == frozen.describe()
    names = [name for name, _ in model.named_parameters()]
    free = [name for name in names if not any(name.startswith(f"{part}.") for part in frozen.frozen_at(0))]
    assert (len(names), len(free)) == (30, 4), "weight tensors that learn before and after freezing"


# With real weights and pictures


@pytest.fixture
def squeezenet(real_data: Path) -> Pretrained:
    if not (real_data / "weights" / "squeezenet1_0-imagenet.safetensors").exists():
        pytest.skip("needs weights/squeezenet1_0-imagenet.safetensors in GRADUS_DATA")
    return Pretrained("squeezenet1_0", "imagenet")


def best(pretrained: Pretrained, pixels: np.ndarray, number: int = 5) -> list[str]:
    split = {"inputs": pretrained.task.encode(read_inputs(pretrained.task, [pixels]), with_target=False)["inputs"]}
    with torch.no_grad():
        outputs = pretrained.model(pretrained.task.prepare(split, training=False)[0])
    return [pretrained.task.target.classes[index] for index in outputs[0].topk(number).indices.tolist()]


def test_labels_of_pictures_that_scikit_learn_and_matplotlib_ship(squeezenet):
    import matplotlib
    from sklearn.datasets import load_sample_image

    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    seen = best(squeezenet, np.asarray(Image.open(hopper).convert("RGB")))
    assert {"military uniform", "bow tie", "suit"} & set(seen), seen  # a portrait of a naval officer
    seen = best(squeezenet, load_sample_image("china.jpg"))
    assert {"palace", "stupa", "monastery", "bell cote"} & set(seen), seen


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("cat", {"tabby", "tiger cat", "Egyptian cat", "lynx"}),
        ("chelsea", {"tabby", "tiger cat", "Egyptian cat", "lynx"}),
        ("coffee", {"espresso", "coffee mug", "cup"}),
        ("rocket", {"missile", "projectile", "space shuttle"}),
    ],
)
def test_labels_of_pictures_that_scikit_image_ships(squeezenet, name, labels):
    data = pytest.importorskip("skimage.data")
    try:
        pixels = getattr(data, name)()
    except Exception as error:  # those that it does not ship it downloads
        pytest.skip(f"scikit-image has no {name} here ({error})")
    assert labels & set(best(squeezenet, pixels)), name


def test_outputs_equal_an_independent_run_of_the_export(squeezenet, tmp_path):
    for needed in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"needs {needed}: pip install 'gradus[export]'")
    import onnxruntime

    inputs = torch.randn(2, 3, 227, 227, generator=torch.Generator().manual_seed(0))
    torch.onnx.export(squeezenet.model, (inputs,), str(tmp_path / "model.onnx"), input_names=["pictures"], dynamo=True)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {"pictures": inputs.numpy()})
    with torch.no_grad():
        ours = squeezenet.model(inputs).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=1e-4)
