"""Published weights: from a safetensors file into a network of the table, every name and shape compared.

Only the head may differ, where the classes are others or the head is made in another way: then its weights are new, which is
told. Auxiliary heads may differ too, or be missing on one side. Whatever else differs is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from gradus.errors import UserError, quoted
from gradus.models import MODELS, ModelSettings, create_model
from gradus.models.stages import head_of, last_layer, stages_of

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
    other_classes: whether the outputs stand for other classes, so that the last layers of all heads begin anew in any case

    Raises `UserError` naming the first tensor that is missing, unexpected or misshaped
    outside of the heads, and, where the layout is that of another network of the table, that network.
    """
    wanted = model.state_dict()
    differing = _differing(wanted, tensors)
    notes, fresh = [], set[str]()
    for number, (part, layer) in enumerate(_heads(model).items()):
        mine = {name for name in differing if _within(name, part)}
        mine |= {name for name in wanted if other_classes and _within(name, (layer,))}
        if not mine or (number == 0 and not new_head):
            continue
        only_layer = all(_within(name, (layer,)) for name in mine)
        names = {name for name in wanted if _within(name, (layer,) if only_layer else part)}
        differing -= mine
        fresh |= names
        numbers = sum(wanted[name].numel() for name in names)
        what = layer if only_layer else ", ".join(part)
        held = tensors.get(f"{layer}.weight")
        if not names:
            notes.append(f"{where}: its {what} is left out")
        elif only_layer and held is not None and f"{layer}.weight" in wanted:
            outputs = len(wanted[f"{layer}.weight"])
            why = f"{outputs} outputs in place of {len(held)}" if outputs != len(held) else "its classes are others"
            notes.append(f"{what} begins anew ({numbers:,} weights): {why}")
        else:
            notes.append(f"{what} begins anew ({numbers:,} weights)")
    if differing:
        raise _mismatch(model, wanted, tensors, differing, where)
    kept = {name: tensor for name, tensor in tensors.items() if name in wanted and name not in fresh}
    model.load_state_dict(kept, strict=False)  # every difference was gone through above
    return notes


def _within(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def _heads(model: nn.Module) -> dict[tuple[str, ...], str]:
    """The parts of a network that may differ: the modules of its head and of each auxiliary head -> the last layer in them."""
    try:
        found = {tuple(stages_of(model).values())[-1]: head_of(model)}
    except IndexError:  # weights of its own and no layers, as a Boltzmann machine has them
        return {}
    heads = getattr(model, "auxiliary_heads", None)
    if heads is None:
        return found
    made = getattr(model, "created_as", None)
    # a head that this network was made without may still be in the file
    whole = model if heads or made is None else _on_meta(made.name)
    return found | {(name,): last_layer(whole, (name,)) for name in whole.auxiliary_heads.values()}  # type: ignore


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
    return model.state_dict(), list(_heads(model))


def _on_meta(network: str) -> nn.Module:
    """A network of the table with its usual options, without memory for its weights."""
    with torch.device("meta"):
        return create_model(network)
