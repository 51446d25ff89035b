"""Attention: how much a network looked at each word or sentence, hop by hop and head by head.

A network that offers `attention(inputs)` is asked: (B, T), or (B, hops, T). Of others every scaled dot-product attention,
PyTorch's function or module, is listened to: (heads, questions, places) for each layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from gradus.errors import UserError
from gradus.look.inside.gates import name_steps
from gradus.look.inside.painting import chart
from gradus.look.inside.passages import Passage, PassageSubject
from gradus.look.inside.scores import rank_correlation
from gradus.look.inside.sight import Panel, Sight
from gradus.look.inside.word_credit import left_out
from gradus.look.inside.words import as_html, as_pixels
from gradus.look.network.trace import in_mode
from gradus.look.text import brief, number, percent

FIRST = "<first>"  # what a network puts before the text and reads its answer from


def attention(
    subject: PassageSubject, pictures: Sequence[Passage], *, layer: int = -1, step: str = "", agreement: bool = True
) -> Sight:
    """Where a network looked: its words coloured by their weight; of layers that look from every step, a map of each head.

    layer: of a network with several, counted from 0; -1 is the last
    step:  the step that looks, by its place; where none is given the last one of a language model, else the mean of all
    agreement: measures, where each word has one weight, how far the weights order the words as leaving them out does

    Arrays: `weights-0` of the first passage, as the network has them, ...; `received-0` (T,), what is coloured.
    """
    sight = Sight("attention", f"Where {subject.name} looks")
    for index, passage in enumerate(pictures):
        found = weights_of(subject, passage)
        if isinstance(found, np.ndarray):
            _by_hop(sight, subject, passage, found, index)
            received = np.atleast_2d(found).mean(axis=0)
        else:
            received = _by_head(sight, subject, passage, found, index, layer, step)
        sight.arrays[f"received-{index}"] = received
        _tell(sight, subject, passage, received, agreement)
    sight.said.append("Weights tell where it looked, not why it answered so: compare them with `why`.")
    return sight


def weights_of(subject: PassageSubject, passage: Passage) -> np.ndarray | list[np.ndarray]:
    """(T,) or (hops, T) where the network tells them; else a list of (heads, questions, places), one a layer.

    Raises `UserError` where the network attends to nothing.
    """
    told = getattr(subject.model, "attention", None)
    given = subject.batch([passage])
    with torch.no_grad(), in_mode(subject.model, training=False):
        if callable(told) and not isinstance(told, nn.Module):
            return told(given)[0].double().cpu().numpy()
        with listening(subject.model) as heard:
            subject.model(given)
    if not heard:
        raise UserError(f"{subject.name} has no attention to look at; `why` tells of any network")
    return [weights[0].double().cpu().numpy() for weights in heard]


@contextmanager
def listening(model: nn.Module) -> Iterator[list[Tensor]]:
    """While it lasts, the weights (B, heads, questions, places) of every attention, in their order."""
    heard: list[Tensor] = []

    class Mode(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is functional.scaled_dot_product_attention:
                heard.append(dot_product_weights(*args, **(kwargs or {})))
            return func(*args, **(kwargs or {}))

    def ask(module: nn.Module, args: Any, keywords: dict[str, Any]) -> Any:
        return args, {**keywords, "need_weights": True, "average_attn_weights": False}

    def hear(module: nn.Module, args: Any, result: Any) -> None:
        heard.append(result[1] if result[1].ndim == 4 else result[1][None])

    handles = []
    for module in model.modules():
        if isinstance(module, nn.MultiheadAttention):
            handles.append(module.register_forward_pre_hook(ask, with_kwargs=True))
            handles.append(module.register_forward_hook(hear))
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with Mode():
            yield heard
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for handle in handles:
            handle.remove()


def dot_product_weights(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    **ignored: Any,
) -> Tensor:
    """softmax(q k / sqrt(d)) of `scaled_dot_product_attention` with these arguments: (B, heads, questions, places)."""
    scores = query @ key.transpose(-2, -1) * (scale or 1 / math.sqrt(query.shape[-1]))
    if is_causal:
        before = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        scores = scores.masked_fill(~before, -torch.inf)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    return scores.softmax(dim=-1).nan_to_num()


def _by_hop(sight: Sight, subject: PassageSubject, passage: Passage, weights: np.ndarray, index: int) -> None:
    sight.arrays[f"weights-{index}"] = weights
    hops = np.atleast_2d(weights.reshape(-1, weights.shape[-1]))
    for hop, one in enumerate(hops):
        if one.shape[-1] != len(passage):
            raise UserError(f"attention: {subject.name} gives {one.shape[-1]} weights for {len(passage)} steps")
        title = f"{brief(passage.name)}: where it looked" + (f", hop {hop + 1}" if len(hops) > 1 else "")
        sight.panels.append(_coloured(subject, f"hop-{hop}-{index}", title, passage.steps, one))


def _coloured(subject: PassageSubject, name: str, title: str, steps: Sequence[str], weights: np.ndarray) -> Panel:
    note = f"The strongest colour is a weight of {number(float(weights.max(initial=0)), 3)}."
    drawing = as_html(steps, weights, joined=subject.joined)
    return Panel(name, title, as_pixels(steps, weights, joined=subject.joined), note, titled=True, drawing=drawing)


def _by_head(
    sight: Sight, subject: PassageSubject, passage: Passage, layers: list[np.ndarray], index: int, layer: int, step: str
) -> np.ndarray:
    """Adds the maps of a layer's heads; (T,), the weights that the words are coloured by."""
    if not -len(layers) <= layer < len(layers):
        raise UserError(f"attention: {subject.name} has layers 0 to {len(layers) - 1}, received {layer}")
    weights = layers[layer]  # (heads, questions, places)
    for number_of, one in enumerate(layers):
        sight.arrays[f"weights-{index}-layer-{number_of}"] = one
    before = weights.shape[2] - len(passage)
    steps = (*[FIRST] * before, *passage.steps) if before in (0, 1) else tuple(map(str, range(weights.shape[2])))
    shown = Passage(passage.name, steps, passage.inputs)
    which = layer % len(layers)
    heads = [("mean", weights.mean(axis=0)), *((str(head), one) for head, one in enumerate(weights[:8]))]
    for head, one in heads:
        sight.panels.append(_head_map(shown, one, which, head, index, len(weights)))
    if step:
        if not step.isdigit() or int(step) >= weights.shape[1]:
            raise UserError(f"attention: step is 0 to {weights.shape[1] - 1}, received '{step}'")
        asked, from_ = weights.mean(axis=0)[int(step)], f"from “{brief(steps[int(step)], 20)}”"
    elif subject.answers == "next":
        asked, from_ = weights.mean(axis=0)[-1], "from the last step"
    elif before == 1:
        asked, from_ = weights.mean(axis=0)[0], f"from {FIRST}, where the answer is read"
    else:
        asked, from_ = weights.mean(axis=(0, 1)), "from all steps, their mean"
    title = f"{brief(passage.name)}: where layer {which} looked {from_}, mean of its heads"
    sight.panels.insert(len(sight.panels) - len(heads), _coloured(subject, f"seen-{index}", title, steps, asked))
    return asked[before:] if before in (0, 1) else asked


def _head_map(passage: Passage, weights: np.ndarray, layer: int, head: str, index: int, heads: int) -> Panel:
    def paint(axes, colours) -> None:
        axes.imshow(weights, cmap="viridis", vmin=0, interpolation="nearest", aspect="auto")
        axes.grid(False)
        axes.set_ylabel("the step that looks")
        name_steps(axes, passage)

    side = 3.4 + 0.1 * min(len(passage.steps), 60)
    of = f"mean of its {heads} heads" if head == "mean" else f"head {head}"
    title = f"{brief(passage.name)}: layer {layer}, {of}"
    note = "A row looks at the columns; bright is much, each row adds up to 1."
    return chart(f"map-{head}-{index}", title, paint, note, size=(side + 0.6, side))


def _tell(sight: Sight, subject: PassageSubject, passage: Passage, weights: np.ndarray, agreement: bool) -> None:
    most = np.argsort(-weights, kind="stable")[:5]
    total = max(float(weights.sum()), 1e-12)
    entropy = -float(sum(share * math.log(share) for share in weights / total if share > 0))
    named = ", ".join(f"“{brief(passage.steps[place], 20)}” {percent(float(weights[place]))}" for place in most)
    sight.said.append(
        f"{brief(passage.name)}: it looked most at {named}; as widely as if at {number(math.exp(entropy), 3)} of "
        f"{len(passage)} steps alike."
    )
    sight.numbers[f"steps looked at, {brief(passage.name)}"] = math.exp(entropy)
    if agreement and subject.answers == "classes" and len(passage) > 2:
        answer = int(subject.certainties([passage])[0].argmax())
        without = np.abs(left_out(subject, passage, answer))
        sight.numbers[f"rank correlation with leaving words out, {brief(passage.name)}"] = rank_correlation(
            weights, without
        )
