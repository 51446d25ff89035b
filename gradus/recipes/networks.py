"""From a run, a name or a file of one's own to a network and the shapes that it takes, without data or weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from gradus.errors import UserError, did_you_mean
from gradus.look.inside.structure import Network
from gradus.look.network.summary import example_inputs
from gradus.look.subject import own_module, small_model
from gradus.models import MODELS, create_model, model_class
from gradus.recipes.run import load_run

USUAL = {"num_classes": 10, "in_features": 784, "in_channels": 1}  # where neither the user nor the network says
USUAL_TOKENS, USUAL_LENGTH = 10_000, 100  # of networks for texts: kinds of tokens, and how many are read


T = TypeVar("T")
Given = list[tuple[tuple[int, ...], bool]]  # the shape of each input, and whether it holds whole numbers


def network_of(
    name: str, options: dict[str, Any] | None = None, shapes: Sequence[str] | None = None, own: bool = False
) -> Network:
    """The network of a run's folder, of the table, or behind FILE.py:CLASS (`own`).

    options: arguments of the network; shapes: a text for each input, of one row: "3,32,32", or "8:int" for token numbers

    Raises `UserError` for what cannot be found or made.
    """
    given = [_shape(text) for text in shapes] if shapes else None
    if own:
        return _own_network(name, options or {}, given)
    if (Path(name) / "recipe.toml").exists() or (name not in MODELS and Path(name).is_dir()):
        return _network_of_run(name, options or {}, given)
    if name not in MODELS:
        raise UserError(f"{name}: neither a run nor a network{did_you_mean(name, list(MODELS))}")
    return _network_by_name(name, options or {}, given)


def _own_network(path: str, options: dict[str, Any], given: Given | None) -> Network:
    module = own_module(path, options, seed=0)
    return Network(path.rpartition(":")[2], module, _rows(module, given), lambda: module)


def _network_of_run(path: str, options: dict[str, Any], given: Given | None) -> Network:
    run = load_run(path)
    if options:
        raise UserError(f"{path}: the network of a run is as it was trained; model.options are for a network by name")
    if run.is_custom:
        raise UserError(f"{path}: this run trained a module of your own; look at it with --file FILE.py:CLASS")
    found = run.task.model_options()
    vectors = "in_features" in run.recipe.model.options  # of pictures too, where the network takes them so
    if given is None and "picture_size" in found:
        given = [((found["in_channels"], *found["picture_size"]), False)]
    elif given is None and "image_size" in found and not vectors:
        given = [((found["in_channels"], found["image_size"], found["image_size"]), False)]
    elif given is None and "in_features" in found:
        steps = (found["length"],) if "length" in found else ()
        given = [((*steps, found["in_features"]), False)]
    elif given is None and "num_tokens" in found:
        length = found.get("length") or getattr(getattr(run.task, "inputs", None), "longest", None) or USUAL_LENGTH
        texts = 2 if "separator" in found else 1
        given = [((length,), True)] * texts

    def make() -> nn.Module:
        return create_model(run.recipe.model.name, **run.recipe.model.options)

    module = _without_numbers(make)
    return Network(run.path.name, module, _rows(module, given), make, folder=run.path)


def _network_by_name(name: str, options: dict[str, Any], given: Given | None) -> Network:
    parameters = inspect.signature(model_class(name)).parameters
    if "num_tokens" in parameters:
        return _network_for_texts(name, options, given)
    shape = given[0][0] if given else None
    assumed = {
        option: value
        for option, value in USUAL.items()
        if option in parameters and option not in options and parameters[option].default is inspect.Parameter.empty
        if shape is None or option == "num_classes"  # the others follow from the shape
    }

    def build() -> tuple[nn.Module, tuple[int, ...] | None]:
        return small_model(name, assumed | options, shape, seed=0)

    module, found = _without_numbers(build)
    if given is None and "in_channels" in parameters and "image_size" not in parameters:  # pictures of any size
        side = getattr(module, "usual_image_size", 32)
        given = [(((assumed | options).get("in_channels", parameters["in_channels"].default), side, side), False)]
    words = " and ".join(f"{option}={value}" for option, value in assumed.items())
    notes = (f"taken for granted: {words} (others with --set model.options.NAME=value)",) if assumed else ()
    rows = _rows(module, given or [(found or (), False)])
    return Network(name, module, rows, lambda: build()[0], notes=notes)


def _network_for_texts(name: str, options: dict[str, Any], given: Given | None) -> Network:
    """Of token ids where the options do not give `in_features`: then of numbers (length, in_features)."""
    parameters = inspect.signature(model_class(name)).parameters
    length = given[0][0][0] if given else int(options.get("length", USUAL_LENGTH))
    reads_numbers = "in_features" in options
    assumed: dict[str, Any] = {} if reads_numbers else {"num_tokens": USUAL_TOKENS}
    assumed |= {"length": length} if "length" in parameters else {}
    assumed = {option: value for option, value in assumed.items() if option not in options}
    shape = (length, int(options["in_features"])) if reads_numbers else (length,)

    def make() -> nn.Module:
        return create_model(name, **assumed, **options)

    torch.manual_seed(0)
    module = _without_numbers(make)
    words = " and ".join([f"{option}={value}" for option, value in assumed.items()] + [f"texts of {length} tokens"])
    notes = () if reads_numbers else (f"taken for granted: {words} (others with --set model.options.NAME=value)",)
    rows = _rows(module, [(sizes, whole or not reads_numbers) for sizes, whole in given or [(shape, False)]])
    return Network(name, module, rows, make, notes=notes)


def _without_numbers(make: Callable[[], T]) -> T:
    """What is made on the meta device: at once, and without memory for weights. With numbers where it cannot do without."""
    try:
        with torch.device("meta"):
            return make()
    except UserError:
        raise
    except Exception:
        return make()  # such as one that draws its weights with NumPy; a fault of its own is raised again


def _rows(module: nn.Module, given: Given | None) -> list[Tensor]:
    """One row of random numbers for each input; the module's first layer tells where nothing is given."""
    if given is None:
        return example_inputs(module, None)
    return example_inputs(
        module, [shape for shape, _ in given], [place for place, (_, whole) in enumerate(given) if whole]
    )


def _shape(text: str) -> tuple[tuple[int, ...], bool]:
    sizes, _, kind = text.lower().replace("x", ",").partition(":")
    parts = sizes.split(",")
    if kind not in ("", "int") or not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise UserError(
            f"--input-shape: expected sizes above 0 such as 3,32,32, or 8:int for token numbers, received '{text}'"
        )
    return tuple(int(part) for part in parts), kind == "int"
