"""Networks, one a file, made by name.

`MODELS` is a literal table, and a network's file is imported when it is first asked for. All networks are plain
`torch.nn.Module`s and share a few argument names: `num_classes` (outputs: classes, or numbers to predict), and `in_channels` and
`image_size` (side in pixels, where the layers depend on it) for pictures or `in_features` for vectors. A class that takes
certain sizes only lists them in `image_sizes`, the usual one first; one that needs room for its layers says
`smallest_image_size`; one that its authors trained on another size than its data's says `usual_image_size`. Networks for
pictures are chains of stages (`stages.py`).
"""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gradus.errors import UserError, did_you_mean, unknown_name

if TYPE_CHECKING:
    from torch import nn

MODELS: dict[str, tuple[str, str]] = {
    # name: (module:class, what it is)
    "logistic_regression": ("logistic_regression:LogisticRegression", "one linear layer: vectors or pictures"),
    "mlp": ("mlp:MultilayerPerceptron", "fully connected layers of any widths: vectors or pictures"),
    "lenet5": ("vision.lenet5:LeNet5", "LeCun 1998, today's form: ReLU, max pooling; grey 28x28 or 32x32"),
    "lenet5_1998": (
        "vision.lenet5:LeNet5Of1998",
        "LeCun 1998, as printed: scaled tanh, trainable subsampling, sparse C3",
    ),
    "lenet5_dropout": (
        "vision.lenet5:LeNet5Dropout",
        "the wider LeNet-5 with dropout of Principles and Practice, listing 4-5",
    ),
    "squeezenet1_0": (
        "vision.squeezenet:SqueezeNet1_0",
        "Iandola 2016: AlexNet's accuracy with 50 times fewer parameters",
    ),
    "squeezenet1_1": ("vision.squeezenet:SqueezeNet1_1", "the same with 2.4 times fewer multiplications"),
    "mnist_convnet": ("vision.mnist_convnet:MnistConvnet", "three 3x3 convolutions (Deep Learning with Python §5.1)"),
}


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Which network. `options` are its arguments; those that follow from the data are filled in when None is given."""

    name: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    weights: str = (
        ""  # to begin with: a safetensors file, a run's folder, or a name such as imagenet; empty: random ones
    )


def model_class(name: str) -> type[nn.Module]:
    """The class behind a name of `MODELS`; imports its file."""
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    module, _, attribute = MODELS[name][0].partition(":")
    return getattr(importlib.import_module(f"gradus.models.{module}"), attribute)


def accepted_options(name: str) -> list[str]:
    """The names of a network's arguments."""
    return [parameter for parameter in inspect.signature(model_class(name)).parameters if parameter != "self"]


def image_sizes(model: str | nn.Module, options: dict[str, Any]) -> tuple[int, ...] | None:
    """The picture sides that a network takes, where they are fixed: by its options, its instance or its kind."""
    if not isinstance(model, str):
        size = getattr(model, "image_size", None)
        return (size,) if isinstance(size, int) else None
    if isinstance(options.get("image_size"), int):
        return (options["image_size"],)
    return getattr(model_class(model), "image_sizes", None)


def smallest_image_size(model: str | nn.Module) -> int:
    """The smallest picture side that a network can take: its `smallest_image_size`, else 1."""
    return getattr(model_class(model) if isinstance(model, str) else model, "smallest_image_size", 1)


def create_model(name: str, **options: Any) -> nn.Module:
    """Makes a network by name, with fresh weights from the global random state.

    Raises `UserError` for an unknown name or option (naming the nearest), or a size the network cannot take.
    """
    made_by = model_class(name)
    accepted = accepted_options(name)
    for option in options:
        if option not in accepted:
            raise UserError(
                f"{name} has no option '{option}'{did_you_mean(option, accepted) or '; options: ' + ', '.join(accepted)}"
            )
    missing = [
        parameter.name
        for parameter in inspect.signature(made_by).parameters.values()
        if parameter.default is inspect.Parameter.empty and parameter.name not in options
    ]
    if missing:
        raise UserError(f"{name} needs {' and '.join(missing)}; options: {', '.join(accepted)}")
    for option in ("in_features", "in_channels", "image_size", "num_classes"):
        value = options.get(option, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(f"{name}: {option} must be a whole number above 0, received {value!r}")
    try:
        model = made_by(**options)
    except TypeError as error:
        raise UserError(f"{name}: {error}") from None
    plain = {
        key: list(value) if isinstance(value, tuple) else value for key, value in options.items()
    }  # as TOML has it
    model.created_as = ModelSettings(name=name, options=plain)  # type: ignore[assignment]
    return model
