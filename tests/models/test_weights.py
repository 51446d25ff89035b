"""Published weights: strict, but for heads; their preprocessing; files of torch.save, read where they can do no harm."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from gradus import settings
from gradus.cli import main
from gradus.errors import UserError
from gradus.models import create_model
from gradus.models.importing import import_weights
from gradus.models.preprocessing import BUILT_IN, HALF, Preprocessing, imagenet_classes, read_record, usual_record
from gradus.models.weights import class_layers, network_with, outputs_of, put_weights, read_weights

ROOT = Path(__file__).parents[2]


def squeezenet(num_classes: int = 5, seed: int = 1, **options) -> torch.nn.Module:
    torch.manual_seed(seed)
    return create_model("squeezenet1_0", num_classes=num_classes, **options)


def weights_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone().contiguous() for name, tensor in model.state_dict().items()}


def test_equal_networks_take_all_of_it_and_nothing_is_told():
    source, model = squeezenet(seed=1), squeezenet(seed=2)
    assert put_weights(model, weights_of(source), "file") == []
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, source.state_dict()[name]), name


def test_other_classes_begin_with_a_new_head_and_the_old_features():
    source, model = squeezenet(5, seed=1), squeezenet(3, seed=2)
    fresh = weights_of(model)
    (note,) = put_weights(model, weights_of(source), "file")
    assert note == "classifier.1 begins anew (1,539 weights): 3 outputs in place of 5"
    for name, tensor in model.state_dict().items():
        expected = fresh[name] if name.startswith("classifier.") else source.state_dict()[name]
        assert torch.equal(tensor, expected), name


@pytest.mark.parametrize(
    ("name", "of_classes"),
    [
        ("grid_detector", ["head.answers.8", "head.answers.16", "head.answers.32"]),
        ("ssd", [f"heads.scores.{number}" for number in range(6)]),
        ("fast_rcnn", ["head.classes", "head.boxes"]),
        ("fcn8s", ["score", "skips.stride8", "skips.stride16", "twice.stride8", "twice.stride16"]),
        ("deeplab", [f"head.branches.{number}.6" for number in range(4)]),
        ("unet", ["head"]),
        ("vgg11", ["classifier.6"]),
    ],
)
@pytest.mark.parametrize("classes", [5, 3])
def test_only_what_tells_classes_begins_anew(name, of_classes, classes):
    torch.manual_seed(1)
    source = weights_of(create_model(name, num_classes=3))
    model = create_model(name, num_classes=classes)
    fresh = weights_of(model)
    assert list(class_layers(model)) == of_classes
    notes = put_weights(model, source, "file", other_classes=True)
    assert notes and all("anew" in note for note in notes)
    for tensor, value in model.state_dict().items():
        anew = tensor.rpartition(".")[0] in of_classes
        assert torch.equal(value, (fresh if anew else source)[tensor]), tensor


def test_a_head_of_another_kind_is_new_as_a_whole():
    model = squeezenet(5, seed=2, hidden=8)
    fresh = weights_of(model)
    (note,) = put_weights(model, weights_of(squeezenet(5)), "file")
    assert note == "pool, flatten, classifier begins anew (4,149 weights)"
    assert all(torch.equal(model.state_dict()[name], fresh[name]) for name in fresh if name.startswith("classifier"))
    assert outputs_of("squeezenet1_0", weights_of(model)) is None


def without(tensors, name):
    return {key: tensor for key, tensor in tensors.items() if key != name}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: without(t, "features.3.squeeze.bias"), "it has no 'features.3.squeeze.bias'"),
        (lambda t: {**t, "features.99.weight": torch.zeros(1)}, "its 'features.99.weight' is not in the network"),
        (
            lambda t: {**t, "features.0.weight": torch.zeros(96, 1, 7, 7)},
            "its 'features.0.weight' has shape 96x1x7x7, the network's 96x3x7x7",
        ),
    ],
)
def test_one_difference_in_the_features_is_named_and_nothing_is_loaded(change, sentence):
    model = squeezenet(seed=2)
    before = weights_of(model)
    with pytest.raises(UserError) as told:
        put_weights(model, change(weights_of(squeezenet())), "file")
    assert str(told.value) == f"file: these are not weights of squeezenet1_0: {sentence}"
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_layout_of_another_network_is_recognised():
    with pytest.raises(UserError, match=r"its layout is that of squeezenet1_1$"):
        put_weights(squeezenet(), weights_of(create_model("squeezenet1_1", num_classes=4)), "file")
    assert network_with({"no.such.tensor": torch.zeros(2)}) == ""


def test_a_head_that_has_to_stay_is_refused_where_it_differs():
    with pytest.raises(UserError, match=r"classifier\.1\.weight' has shape 5x512x1x1, the network's 3x512x1x1"):
        put_weights(squeezenet(3), weights_of(squeezenet(5)), "file", new_head=False)


def test_auxiliary_heads_may_be_missing_on_either_side():
    with_them, without_them = (create_model("googlenet", num_classes=3, auxiliary=given) for given in (True, False))
    assert put_weights(without_them, weights_of(with_them), "file") == [
        "file: its aux1 is left out",
        "file: its aux2 is left out",
    ]
    assert torch.equal(without_them.state_dict()["fc.weight"], with_them.state_dict()["fc.weight"])
    notes = put_weights(with_them, weights_of(without_them), "file")
    assert [note.split(" (")[0] for note in notes] == ["aux1 begins anew", "aux2 begins anew"]
    other = create_model("googlenet", num_classes=4)
    notes = put_weights(other, weights_of(with_them), "file")
    assert [note.split(" (")[0] for note in notes] == [
        "fc begins anew",
        "aux1.fc2 begins anew",
        "aux2.fc2 begins anew",
    ]


def test_counters_of_batch_normalisation_may_be_missing():
    model = create_model("googlenet", num_classes=3)
    tensors = {name: t for name, t in weights_of(model).items() if not name.endswith("num_batches_tracked")}
    assert put_weights(model, tensors, "file") == []


def test_a_file_that_is_none_is_told(tmp_path):
    for name, sentence in (
        ("none.safetensors", "there is no such file"),
        ("x.pth", r"bring it over first: gradus import .*x\.pth --model NAME"),
    ):
        with pytest.raises(UserError, match=sentence):
            read_weights(tmp_path / name)
    (tmp_path / "bad.safetensors").write_bytes(b"not weights")
    with pytest.raises(UserError, match="not a safetensors file"):
        read_weights(tmp_path / "bad.safetensors")


# Preprocessing


def test_a_record_is_read_back_as_it_was_written_and_its_mistakes_are_told(tmp_path):
    from gradus.models.preprocessing import write_record

    weights = tmp_path / "net-own.safetensors"
    record = Preprocessing(image_size=64, resize=72, mean=(0.4,), deviation=(0.2,), classes=("a", "b"), licence="MIT")
    weights.with_suffix(".json").write_text(write_record(record))
    assert read_record(weights, "net", 2, None) == (record, "")
    with pytest.raises(UserError, match="it names 2 classes, the weights have 3 outputs"):
        read_record(weights, "net", 3, None)
    for text, sentence in (
        ("{", "cannot be read"),
        ('{"image_sise": 3}', r"unknown setting 'image_sise'; did you mean 'image_size'"),
        ('{"mean": [1, 2]}', "expected 1 or 3 numbers each"),
        ('{"deviation": [0, 1, 1]}', "numbers above 0"),
        ('{"resize": 3}', "expected at least image_size"),
        ("[]", "expected a JSON object"),
    ):
        weights.with_suffix(".json").write_text(text)
        with pytest.raises(UserError, match=sentence):
            read_record(weights, "net", 2, None)


def test_records_where_a_file_has_none(tmp_path):
    record, note = read_record(tmp_path / "squeezenet1_0-imagenet.safetensors", "squeezenet1_0", 1000, 224)
    assert note == "" and replace(record, classes=()) == BUILT_IN["squeezenet1_0", "imagenet"]
    assert record.image_size == 227 and record.classes == imagenet_classes()
    record, note = read_record(tmp_path / "vgg16-x.safetensors", "vgg16", 1000, 224)
    assert (record.image_size, record.resize, record.fit) == (224, 256, "crop") and "torchvision's way" in note
    record, note = read_record(tmp_path / "mlp-x.safetensors", "mlp", 10, None)
    assert record is None and "mlp-x.json is missing" in note


def test_networks_from_tensorflow_see_pictures_from_minus_one_to_one():
    record = usual_record("inception_v3", 299)
    assert (record.resize, record.mean, record.deviation) == (342, HALF, HALF)
    white = record.apply(torch.full((1, 2, 2, 3), 255, dtype=torch.uint8))
    assert white.unique().tolist() == [1.0]


def test_apply_orders_channels_and_invert_undoes_it():
    pictures = torch.randint(0, 256, (2, 4, 5, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    record = Preprocessing(mean=(0.1, 0.2, 0.3), deviation=(0.5, 1.0, 2.0), channel_order="bgr")
    inputs = record.apply(pictures)
    red = (pictures[..., 0].double() / 255 - 0.1) / 0.5
    np.testing.assert_allclose(inputs[:, 2].double(), red, atol=1e-6)
    np.testing.assert_allclose(record.invert(inputs).permute(0, 2, 3, 1), pictures.double() / 255, atol=1e-6)


def test_imagenet_has_a_thousand_names_in_their_order():
    names = imagenet_classes()
    assert len(names) == len(set(names)) == 1000
    assert [names[i] for i in (0, 281, 285, 386, 504, 967, 999)] == [
        *("tench", "tabby", "Egyptian cat", "African elephant", "coffee mug", "espresso", "toilet tissue"),
    ]


# gradus import


class Evil:
    """What an attacker pickles: code that runs when it is read."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


def test_a_checkpoint_is_imported_under_a_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GRADUS_CACHE", str(tmp_path / "cache"))
    source = squeezenet(3)
    prefixed = {f"module.{name}": tensor for name, tensor in source.state_dict().items()}
    torch.save({"epoch": 7, "state_dict": prefixed}, tmp_path / "checkpoint.pth")
    (tmp_path / "checkpoint.json").write_text('{"image_size": 64, "source": "somewhere", "licence": "BSD"}')
    (tmp_path / "names.txt").write_text("cat\ndog\n犬\n", encoding="utf-8")
    arguments = ["import", str(tmp_path / "checkpoint.pth"), "--model", "squeezenet1_0", "--out", "mine"]
    assert run([*arguments, "--classes", str(tmp_path / "names.txt")]) == 0
    told = capsys.readouterr().out
    assert "52 tensors, 736,963 numbers" in told and "sha256" in told and "--model squeezenet1_0 --weights mine" in told
    file = tmp_path / "cache" / "weights" / "squeezenet1_0-mine.safetensors"
    written = load_file(file)
    assert all(torch.equal(written[name], tensor) for name, tensor in source.state_dict().items())
    record = settings.from_dict(Preprocessing, json.loads(file.with_suffix(".json").read_text(encoding="utf-8")))
    assert (record.image_size, record.classes, record.licence) == (64, ("cat", "dog", "犬"), "BSD")
    assert run(arguments) == 2, "it is not written over"
    assert "there is such a file already" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["pickle", "torch.save"])
def test_a_program_in_place_of_weights_is_told_and_not_run(tmp_path, monkeypatch, capsys, kind):
    monkeypatch.setenv("GRADUS_CACHE", str(tmp_path / "cache"))
    content = {"features.0.weight": Evil(f"touch {tmp_path / 'ran'}")}
    if kind == "pickle":
        (tmp_path / "evil.pth").write_bytes(pickle.dumps(content, 2))
    else:
        torch.save(content, tmp_path / "evil.pth")
    assert run(["import", str(tmp_path / "evil.pth"), "--model", "squeezenet1_0"]) == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1 and "it asks for posix.system" in told.err and told.out == ""
    assert not (tmp_path / "ran").exists() and not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.socket()",
        "import os; os.system('true')",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.fork()",
        "open('written', 'w')",
        "import os; os.open('written', os.O_CREAT | os.O_WRONLY)",
        "import os; os.remove(__file__)",
        "import os; os.execv('/bin/true', ['true'])",
        "import ctypes; ctypes.CDLL('libm.so.6')",
        "import ctypes; ctypes.pythonapi.system(b'touch written')",
    ],
)
def test_should_a_program_run_all_the_same_it_can_do_nothing(tmp_path, code):
    program = tmp_path / "program.py"
    program.write_text(
        "import ctypes, os, socket, subprocess, sys\n"
        "from gradus.models.unpickle import Refused, forbid\n"
        f"sys.addaudithook(forbid)\ntry:\n    {code}\nexcept Refused as refused:\n    print('refused:', refused)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.stdout.startswith("refused: it tries"), done.stderr
    assert not (tmp_path / "written").exists() and program.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
def test_the_process_that_reads_can_write_no_file_and_start_no_program(tmp_path):
    acts = {
        "torch.save({}, 'written')": "RuntimeError",  # by the C++ of PyTorch, which asks no hook of Python's
        "torch.from_file('written', shared=True, size=4)": "RuntimeError",
        "os.mkfifo('written')": "PermissionError",
        "os.truncate('own', 0)": "PermissionError",
        "os.remove('own')": "PermissionError",
        "subprocess.run(['/bin/true'])": "PermissionError",
        "os.execv('/bin/true', ['true'])": "PermissionError",
    }
    program = (
        "import os, subprocess, torch\nfrom gradus.models.unpickle import leave_files\n"
        "file = open('own', 'w')\nprint(leave_files(), flush=True)\n"
        f"for act in {list(acts)}:\n"
        "    try:\n        exec(act)\n        print('done', flush=True)\n"
        "    except Exception as error:\n        print(type(error).__name__, flush=True)\n"
        "file.write('what is open is written')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    if done.stdout.startswith("False"):
        pytest.skip("this kernel has no Landlock: the audit hook alone refuses files and programs")
    assert done.stdout.split() == ["True", *acts.values()], done.stderr
    assert not (tmp_path / "written").exists()
    assert (tmp_path / "own").read_text() == "what is open is written"


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
def test_the_process_that_reads_has_no_network(tmp_path):
    program = (
        "import os, socket\nfrom gradus.models.unpickle import leave_network\n"
        "before = os.readlink('/proc/self/ns/net')\nleave_network()\n"
        "print(before != os.readlink('/proc/self/ns/net'))\n"
        "try:\n    socket.create_connection(('127.0.0.1', 9), 1)\nexcept OSError as error:\n    print(error.errno)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    apart, error = done.stdout.split()
    if apart == "False":
        pytest.skip("this kernel gives no namespaces to ordinary users: the audit hook alone refuses sockets")
    assert error == "101", "the network is unreachable, its own machine included"


def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path):
    save_file(weights_of(squeezenet(3)), tmp_path / "own.safetensors")
    out = tmp_path / "out" / "x.safetensors"
    for network, classes, name, sentence in (
        ("squeezenet1_1", (), out, "not weights of squeezenet1_1.*its layout is that of squeezenet1_0"),
        ("squeezenet1_0", ("a",), out, "--classes: 1 names for 3 outputs"),
        ("squeezenet1_0", ("a", "b", "c"), out, r"own\.json is missing.*write .*own\.json first"),
        ("squeezenet1_0", (), tmp_path / "x.pth", r"expected a name that ends with \.safetensors"),
        ("squeezenet", (), out, "unknown model 'squeezenet'; did you mean"),
    ):
        with pytest.raises(UserError, match=sentence):
            import_weights(tmp_path / "own.safetensors", network, name, classes)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.safetensors"]
    made = import_weights(tmp_path / "own.safetensors", "squeezenet1_0", out)
    assert made.record is None and out.exists() and not out.with_suffix(".json").exists()


def test_a_file_in_the_place_of_the_record_is_not_written_over(tmp_path):
    save_file(weights_of(squeezenet(3)), tmp_path / "own.safetensors")
    (tmp_path / "own.json").write_text('{"image_size": 64}')
    (tmp_path / "package.json").write_text("of somebody else")
    with pytest.raises(UserError, match=r"package\.json: there is such a file already"):
        import_weights(tmp_path / "own.safetensors", "squeezenet1_0", tmp_path / "package.safetensors")
    assert (tmp_path / "package.json").read_text() == "of somebody else"
    assert not (tmp_path / "package.safetensors").exists()
    torch.save(weights_of(squeezenet(3)), tmp_path / "own.pth")
    (tmp_path / "own.safetensors").unlink()
    import_weights(tmp_path / "own.pth", "squeezenet1_0", tmp_path / "own.safetensors", ("a", "b", "c"))
    assert json.loads((tmp_path / "own.json").read_text())["classes"] == ["a", "b", "c"], "its own record is completed"


def test_networks_for_tables_have_weights_too(tmp_path):
    model = create_model("mlp", in_features=3, num_classes=2)
    assert outputs_of("mlp", model.state_dict()) is None
    save_file(model.state_dict(), tmp_path / "mlp.safetensors")
    with pytest.raises(UserError, match="mlp needs in_features and num_classes"):
        import_weights(tmp_path / "mlp.safetensors", "mlp", tmp_path / "out.safetensors")


def test_old_names_of_densenet_are_those_of_today():
    from gradus.models.importing import _renamed

    old = "features.denseblock1.denselayer2.norm.1.running_mean"
    assert _renamed(old) == "features.denseblock1.denselayer2.norm1.running_mean"
    assert _renamed("features.denseblock1.denselayer2.conv.2.weight").endswith("denselayer2.conv2.weight")
    assert _renamed("features.norm0.weight") == "features.norm0.weight"
