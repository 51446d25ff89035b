"""What recurrent layers hold at every step: their gates, cells and hidden states, computed again from the layer's own weights.

T steps, n numbers in, m units. An LSTM has the gates input, forget and output, a candidate and a cell; a GRU reset, update and a
candidate, h = (1 - update) candidate + update h' as PyTorch has it: an update gate of 1 keeps. All of them have `hidden`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradus.errors import UserError, unknown_name
from gradus.look.inside.passages import Passage, PassageSubject
from gradus.look.network.trace import in_mode
from gradus.nn.recurrent import PeepholeLSTM, ResetBeforeGRU

LAYERS = (nn.RNN, nn.LSTM, nn.GRU, PeepholeLSTM, ResetBeforeGRU)
GATES = {"lstm": ("input", "forget", "output"), "gru": ("reset", "update"), "simple": ()}
Held = dict[str, np.ndarray]  # name -> (T, m)


@dataclass(frozen=True)
class Call:
    """One call of a recurrent layer on one sequence. inputs: (T, n); state: what it began from, (1, 1, m) each; backwards:
    whether the inputs stand in reverse order."""

    module: nn.Module
    inputs: Tensor
    state: tuple[Tensor, ...]
    outputs: Tensor
    backwards: bool


def kind_of(module: nn.Module) -> str:
    if isinstance(module, nn.LSTM | PeepholeLSTM):
        return "lstm"
    return "gru" if isinstance(module, nn.GRU | ResetBeforeGRU) else "simple"


def recurrent_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Name -> every recurrent layer, in the order of registration."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LAYERS)}


def chosen_layer(subject: PassageSubject, name: str) -> str:
    """The layer of a name, or the last one that reads forwards. Raises `UserError` where there is none."""
    layers = recurrent_layers(subject.model)
    if not layers:
        raise UserError(f"{subject.name} has no recurrent layer whose state could be looked at")
    if name:
        if name not in layers:
            raise unknown_name(f"recurrent layer of {subject.name}", name, layers)
        return name
    forwards = [layer for layer in layers if not _is_backwards(layer)]
    return (forwards or list(layers))[-1]


def _is_backwards(name: str) -> bool:
    return "backward" in name


@contextmanager
def calls_of(model: nn.Module) -> Iterator[dict[str, Call]]:
    """While it lasts, name -> the last call of each recurrent layer. The network is to be called on one sequence."""
    seen: dict[str, Call] = {}

    def keeper(name: str):
        def keep(module: nn.Module, given: tuple[Any, ...], keywords: dict[str, Any], result: Any) -> None:
            inputs, outputs = (_plain(one) for one in (given[0], result[0]))
            state = given[1] if len(given) > 1 else keywords.get("state", keywords.get("hx"))
            states = () if state is None else tuple(state) if isinstance(state, tuple) else (state,)
            first = 0 if getattr(module, "batch_first", True) else 1
            seen[name] = Call(module, inputs.select(first, 0), states, outputs.select(first, 0), _is_backwards(name))

        return keep

    handles = [
        module.register_forward_hook(keeper(name), with_kwargs=True) for name, module in recurrent_layers(model).items()
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _plain(value: Any) -> Tensor:
    if isinstance(value, nn.utils.rnn.PackedSequence):
        return nn.utils.rnn.pad_packed_sequence(value, batch_first=True)[0]
    return value


@torch.no_grad()
def held_by(subject: PassageSubject, layer: str, passages: list[Passage], *, carried: bool = False) -> list[Held]:
    """What a layer holds at each step of each passage, in the order of the steps.

    carried: each passage begins with the state that the one before it ended with (language models)
    """
    found, state = [], None
    with in_mode(subject.model, training=False):
        for passage in passages:
            given = subject.batch([passage])
            with calls_of(subject.model) as calls:
                if carried:
                    _, state = subject.model.continued(given, state)  # type: ignore[operator]
                else:
                    subject.model(given)
            if layer not in calls:
                raise UserError(f"{subject.name}: layer {layer} is not used for this")
            found.append(_held(calls[layer], len(passage)))
    return found


def _held(call: Call, steps: int) -> Held:
    inputs = call.inputs[:steps]
    held = unrolled(call.module, inputs, call.state)
    return {name: (values[::-1] if call.backwards else values).copy() for name, values in held.items()}


def unrolled(module: nn.Module, inputs: Tensor, state: tuple[Tensor, ...] = ()) -> Held:
    """A layer step by step on one sequence (T, n): what it holds, float64 (T, m) each.

    Of a layer of PyTorch's with several layers in it the last one's; of one with two directions both, side by side.
    """
    if isinstance(module, PeepholeLSTM | ResetBeforeGRU):
        return _own(module, inputs.double(), [part[0, 0].double() for part in state])
    assert isinstance(module, nn.RNN | nn.LSTM | nn.GRU)
    given, ways = inputs.double(), ("", "_reverse") if module.bidirectional else ("",)
    held: Held = {}
    for layer in range(module.num_layers):
        parts = []
        for way, suffix in enumerate(ways):
            begun = [part[layer * len(ways) + way, 0].double() for part in state]
            turned = _torch_layer(module, f"l{layer}{suffix}", given.flip(0) if way else given, begun)
            parts.append({name: values[::-1] if way else values for name, values in turned.items()})
        held = {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}
        given = torch.from_numpy(held["hidden"].copy())
    return {name: np.ascontiguousarray(values) for name, values in held.items()}


def _torch_layer(module: nn.RNNBase, which: str, inputs: Tensor, begun: list[Tensor]) -> Held:
    weights = [getattr(module, f"{part}_{which}").detach().double().cpu() for part in ("weight_ih", "weight_hh")]
    zeros = torch.zeros(len(weights[0]), dtype=torch.float64)
    biases = [
        getattr(module, f"{part}_{which}").detach().double().cpu() if module.bias else zeros
        for part in ("bias_ih", "bias_hh")
    ]
    from_inputs = inputs.cpu() @ weights[0].T + biases[0]
    hidden = begun[0].cpu() if begun else torch.zeros(module.hidden_size, dtype=torch.float64)
    cell = begun[1].cpu() if len(begun) > 1 else torch.zeros_like(hidden)
    rows: list[dict[str, Tensor]] = []
    for given in from_inputs:
        back = hidden @ weights[1].T + biases[1]
        if isinstance(module, nn.LSTM):
            entry, forget, candidate, output = (given + back).chunk(4)
            entry, forget, output, candidate = entry.sigmoid(), forget.sigmoid(), output.sigmoid(), candidate.tanh()
            cell = forget * cell + entry * candidate
            hidden = output * cell.tanh()
            rows.append({"input": entry, "forget": forget, "output": output, "candidate": candidate, "cell": cell})
        elif isinstance(module, nn.GRU):
            parts, backs = given.chunk(3), back.chunk(3)
            reset, update = (parts[0] + backs[0]).sigmoid(), (parts[1] + backs[1]).sigmoid()
            candidate = (parts[2] + reset * backs[2]).tanh()
            hidden = (1 - update) * candidate + update * hidden
            rows.append({"reset": reset, "update": update, "candidate": candidate})
        else:
            hidden = (given + back).tanh() if module.mode == "RNN_TANH" else (given + back).relu()
            rows.append({})
        rows[-1]["hidden"] = hidden
    return _stacked(rows)


def _own(module: PeepholeLSTM | ResetBeforeGRU, inputs: Tensor, begun: list[Tensor]) -> Held:
    """The loops of `gradus.nn`, their gates kept."""
    size = module.hidden_size
    into, back, bias = (one.detach().double().cpu() for one in (module.input_weight, module.hidden_weight, module.bias))
    hidden = begun[0].cpu() if begun else torch.zeros(size, dtype=torch.float64)
    cell = begun[1].cpu() if len(begun) > 1 else torch.zeros_like(hidden)
    rows: list[dict[str, Tensor]] = []
    for given in inputs.cpu() @ into + bias:
        if isinstance(module, PeepholeLSTM):
            peep = module.peepholes.detach().double().cpu()
            first, second, third, fourth = (given + hidden @ back).chunk(4)
            entry, forget = (first + peep[0] * cell).sigmoid(), (second + peep[1] * cell).sigmoid()
            candidate = third.tanh()
            cell = forget * cell + entry * candidate
            output = (fourth + peep[2] * cell).sigmoid()
            hidden = output * cell.tanh()
            rows.append({"input": entry, "forget": forget, "output": output, "candidate": candidate, "cell": cell})
        else:
            reset, update = (given[: 2 * size] + hidden @ back[:, : 2 * size]).sigmoid().chunk(2)
            candidate = (given[2 * size :] + (reset * hidden) @ back[:, 2 * size :]).tanh()
            hidden = (1 - update) * candidate + update * hidden
            rows.append({"reset": reset, "update": update, "candidate": candidate})
        rows[-1]["hidden"] = hidden
    return _stacked(rows)


def _stacked(rows: list[dict[str, Tensor]]) -> Held:
    return {name: torch.stack([row[name] for row in rows]).numpy() for name in rows[0]}
