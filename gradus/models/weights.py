"""Published weights: from a safetensors file into a network of the table, every name and shape compared.

What tells classes may differ, where these are others: then its layers are new, which is told. So may a head that is made in
another way; auxiliary heads may be missing on one side, too. Whatever else differs is refused.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from gradus.errors import UserError, quoted
from gradus.models import MODELS, ModelSettings, create_model, model_class
from gradus.models.stages import head_of, stages_of

UNPICKLED = (".pth", ".pt", ".pkl", ".bin", ".ckpt", ".tar")  # endings of files that may hold code
COUNTER = "num_batches_tracked"  # of batch normalisation; old files have none, and nothing depends on it


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU. Raises `UserError` naming the file."""
    if path.suffix.lower() in UNPICKLED:
        raise UserError(
            f"{path}: weights are read from safetensors files; bring it over first: gradus import {quoted(path)} --model NAME"
        )
    try:
        return load_tensors(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: not a safetensors file ({error})") from None


def outputs_of(network: str, tensors: Mapping[str, Tensor]) -> int | None:
    """How many outputs the weights have for a network of that name; None where they hold no such head, or where the network
    cannot be made without options (one for tables needs the number of columns)."""
    try:
        head = tensors.get(f"{head_of(_on_meta(network))}.weight")
    except UserError:
        return None
    return None if head is None else len(head)


def put_weights(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    where: str,
    *,
    new_head: bool = True,
    other_classes: bool = False,
) -> list[str]:
    """Puts `tensors` into `model`, and returns notes on what is new in it or was left out.

    where:         the file or run, for messages
    new_head:      whether the head (not those that are auxiliary) may differ
    other_classes: whether the outputs stand for other classes, so that the layers that tell them begin anew in any case

    Raises `UserError` naming the first tensor that is missing, unexpected or misshaped
    outside of the heads, and, where the layout is that of another network of the table, that network.
    """
    wanted = model.state_dict()
    differing = _differing(wanted, tensors)
    of_classes = class_layers(model)
    notes, fresh = [], set[str]()
    for part in _parts(model, of_classes) if new_head else _parts(model, of_classes)[1:]:
        layers = tuple(layer for layer in of_classes if _within(layer, part))
        mine = {name for name in differing if _within(name, part)}
        mine |= {name for name in wanted if other_classes and _within(name, layers)}
        if not mine:
            continue
        only_classes = all(_within(name, layers) for name in mine)
        names = {name for name in wanted if _within(name, layers if only_classes else part)}
        differing -= mine
        fresh |= names
        numbers = sum(wanted[name].numel() for name in names)
        what = _named(layers) if only_classes else ", ".join(part)
        if names:
            why = f": {_why(layers[0], wanted, tensors)}" if only_classes else ""
            begins = "begin" if only_classes and len(layers) > 1 else "begins"
            notes.append(f"{what} {begins} anew ({numbers:,} weights){why}")
        else:
            notes.append(f"{where}: its {what} is left out")
    if differing:
        raise _mismatch(model, wanted, tensors, differing, where)
    kept = {name: tensor for name, tensor in tensors.items() if name in wanted and name not in fresh}
    model.load_state_dict(kept, strict=False)  # every difference was gone through above
    return notes


def _within(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def class_layers(model: nn.Module) -> tuple[str, ...]:
    """The layers whose sizes go with the number of classes, in all heads: a network of one class more, made without memory, has
    others there. The last layer of the last stage where the network was not made by name, or has no such option."""
    made = getattr(model, "created_as", None)
    usual = inspect.signature(model_class(made.name)).parameters.get("num_classes") if made is not None else None
    if made is None or usual is None:
        return _last_layer(model)
    classes = made.options.get("num_classes", usual.default)
    try:
        with torch.device("meta"):
            more = create_model(made.name, **{**made.options, "num_classes": classes + 1}).state_dict()
    except (UserError, TypeError, RuntimeError, NotImplementedError):  # it cannot be made without memory
        return _last_layer(model)
    found = [
        name for name, tensor in model.state_dict().items() if name not in more or more[name].shape != tensor.shape
    ]
    return tuple(dict.fromkeys(name.rpartition(".")[0] for name in found))


def _last_layer(model: nn.Module) -> tuple[str, ...]:
    try:
        return (head_of(model),)
    except IndexError:  # weights of its own and no layers, as a Boltzmann machine has them
        return ()


def _parts(model: nn.Module, of_classes: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The parts of a network that may differ, each the names of its modules: its head, each auxiliary head, and what tells
    classes outside of these (the fully convolutional networks have scores of earlier stages)."""
    stages = stages_of(model)
    if not stages:
        return []
    found = [tuple(stages.values())[-1]]
    heads = getattr(model, "auxiliary_heads", None)
    if heads is not None:
        made = getattr(model, "created_as", None)
        # a head that this network was made without may still be in the file
        whole = model if heads or made is None else _on_meta(made.name)
        found += [(name,) for name in whole.auxiliary_heads.values()]  # type: ignore[operator]
    elsewhere = tuple(layer for layer in of_classes if not any(_within(layer, part) for part in found))
    return [*found, elsewhere] if elsewhere else found


def _named(layers: tuple[str, ...]) -> str:
    return ", ".join(layers) if len(layers) <= 3 else f"{layers[0]} and {len(layers) - 1} more layers"


def _why(layer: str, wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> str:
    name = f"{layer}.weight"
    if name in wanted and name in tensors and len(wanted[name]) != len(tensors[name]):
        return f"{len(wanted[name])} outputs in place of {len(tensors[name])}"
    return "its classes are others"


def _differing(wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> set[str]:
    names = {name for name in [*wanted, *tensors] if not name.endswith(COUNTER)}
    return {
        name for name in names if name not in wanted or name not in tensors or wanted[name].shape != tensors[name].shape
    }


def _mismatch(
    model: nn.Module,
    wanted: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    differing: set[str],
    where: str,
) -> UserError:
    """The sentence for weights of another network, or for something that is none."""
    made = getattr(model, "created_as", None) or ModelSettings(name=type(model).__name__)
    first = next(name for name in [*wanted, *tensors] if name in differing)
    if first not in tensors:
        reason = f"it has no '{first}'"
    elif first not in wanted:
        reason = f"its '{first}' is not in the network"
    else:
        held, asked = ("x".join(map(str, t[first].shape)) or "one number" for t in (tensors, wanted))
        reason = f"its '{first}' has shape {held}, the network's {asked}"
    other = network_with(tensors, but=made.name)
    hint = f"; its layout is that of {other}" if other else ""
    return UserError(f"{where}: these are not weights of {made.name}: {reason}{hint}")


def network_with(tensors: Mapping[str, Tensor], but: str = "") -> str:
    """The first network of the table, made with its usual options, that these tensors fit apart from the head; else ""."""
    for name in MODELS:
        if name == but:
            continue
        layout, heads = _layout(name)
        differing = _differing(layout, tensors)
        if layout and all(any(_within(tensor, part) for part in heads) for tensor in differing):
            return name
    return ""


@cache
def _layout(network: str) -> tuple[dict[str, Tensor], list[tuple[str, ...]]]:
    """The tensors of a network with its usual options, without memory, and the modules of its heads."""
    try:
        model = _on_meta(network)
    except Exception:  # it needs options, or cannot be made without memory: then it is not found by its layout
        return {}, []
    return model.state_dict(), _parts(model, class_layers(model))


def _on_meta(network: str) -> nn.Module:
    """A network of the table with its usual options, without memory for its weights."""
    with torch.device("meta"):
        return create_model(network)
