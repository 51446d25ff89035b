"""What activations take: at the worst moment of a forward pass, and kept by a training step for the backward pass."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from gradus.look.network.graph import Graph
from gradus.look.network.trace import in_mode, on_device


def peak_memory(graph: Graph) -> int:
    """The most bytes that inputs and activations of one row take together, each freed after its last use.

    Inputs and outputs stay to the end, as their owner keeps them. What a convolution needs beside them is left out.
    """
    last = len(graph.nodes) - 1
    sizes = {place: size for node in graph.nodes for place, size in node.memory.items() if size}
    until = {place: number for number, node in enumerate(graph.nodes) for place in node.memory}
    for number, node in enumerate(graph.nodes):
        held = [edge.source for edge in node.inputs]
        until |= {place: max(until[place], number) for source in held for place in graph.nodes[source].memory}
    ends = [edge.source for edge in graph.outputs] + [n for n, node in enumerate(graph.nodes) if node.kind == "input"]
    until |= {place: last for number in ends for place in graph.nodes[number].memory}
    freed: list[list[int]] = [[] for _ in graph.nodes]
    for place, number in until.items():
        freed[number].append(sizes.get(place, 0))
    now = most = 0
    for node, gone in zip(graph.nodes, freed, strict=True):
        now += node.bytes
        most = max(most, now)
        now -= sum(gone)
    return most


def kept_for_training(module: nn.Module, inputs: Sequence[Tensor], real: bool) -> int | None:
    """Bytes of what autograd keeps a row in training mode: measured with two rows on the meta device, parameters left out.

    real: whether the network needs numbers to run. None where the network cannot run so.
    """
    device = torch.device("meta")
    if real:
        module = copy.deepcopy(module)  # its running statistics would change
        device = next((one.device for one in module.parameters()), torch.device("cpu"))
    kept: dict[int, tuple[Any, int]] = {}  # with the memory itself, so that its identity is not given out again

    def keep(tensor: Tensor) -> Tensor:
        memory = tensor.untyped_storage()
        if memory._cdata not in owned:
            kept[memory._cdata] = memory, memory.nbytes()
        return tensor

    try:
        with in_mode(module, training=True), on_device(module, device), device, torch.random.fork_rng(devices=[]):
            owned = {one.untyped_storage()._cdata for one in (*module.parameters(), *module.buffers())}
            rows = [torch.cat([one, one]).to(device) for one in inputs]
            with torch.enable_grad(), saved_tensors_hooks(keep, lambda tensor: tensor):
                module(*rows)
    except Exception:
        return None  # such as a network that was written for evaluation only
    return sum(size for _, size in kept.values()) // 2
