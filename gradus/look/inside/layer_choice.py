"""Layers by name and weight, as `features.3=0.2, features.8`; the names the texts use; what is good where none is given.

VGG:       `block4_conv2` (Keras), `conv4_2` and `relu4_2` (Gatys et al. 2016) all mean the second convolution of block 4
           after its ReLU; `block4_pool` and `pool4` its pool.
Inception: `mixed0` to `mixed10` (Keras) are torchvision's `Mixed_5b` to `Mixed_7c`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from gradus.errors import UserError, unknown_name
from gradus.look.inside.hooks import outputs_of
from gradus.look.inside.subject import Subject
from gradus.models.stages import stages_of

INCEPTION = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")


@dataclass(frozen=True)
class Layer:
    """A layer with its weight in the sum over layers."""

    name: str
    module: nn.Module
    weight: float


# network -> look -> its layers, where looking at results has shown what is good
USUAL: dict[str, dict[str, str]] = {
    "squeezenet1_0": {
        "content": "features.8",
        "style": "features.1=4, features.3=2, features.5, features.8, features.10",
        "texture": "features.1, features.3, features.5, features.8, features.10",
        "dream": "features.10",
    },
    "vgg": {
        "content": "conv4_2",
        "style": "conv1_1, conv2_1, conv3_1, conv4_1, conv5_1",
        "texture": "conv1_1, pool1, pool2, pool3, pool4",
        "dream": "conv4_1=1, conv5_1=1",
    },
    "inception_v3": {"dream": "mixed2=0.2, mixed3=3, mixed4=2, mixed5=1.5"},
}


def chosen_layers(subject: Subject, given: str | Mapping[str, float], purpose: str) -> list[Layer]:
    """The layers that are named; else the usual ones for the purpose ("content", "style", "texture", "dream").

    given: `name=weight, name, ...` (a weight that is left out is 1), or a mapping. Raises `UserError` for an unknown layer,
    naming the nearest, and for a weight that is no number.
    """
    chosen = given or _usual(subject, purpose)
    weights = _parse(chosen, purpose) if isinstance(chosen, str) else dict(chosen)
    for name, weight in weights.items():
        if not math.isfinite(weight):
            raise UserError(f"{purpose} layers: the weight of {name} must be a finite number, received {weight}")
    if not any(weights.values()):
        raise UserError(f"{purpose} layers: every weight is 0; nothing is asked of the picture")
    return [Layer(name, named_layer(subject, name), float(weight)) for name, weight in weights.items()]


def _parse(text: str, purpose: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name in weights:
            raise UserError(f"{purpose} layers: {name} is named twice")
        try:
            weights[name] = float(value) if equals else 1.0
        except ValueError:
            raise UserError(f"{purpose} layers: expected name=weight, received '{part}'") from None
    return weights


def named_layer(subject: Subject, name: str) -> nn.Module:
    """The module of a name: the network's own, a stage's, or one that the texts use."""
    texts = textbook_names(subject.model)
    modules = dict(subject.model.named_modules())
    if name in texts:
        return modules[texts[name]]
    stages = stages_of(subject.model)
    if name not in stages and (not name or name not in modules):
        raise unknown_name(f"layer of {subject.name}", name, [*stages, *texts, *filter(None, modules)])
    return subject.layer(name)


def textbook_names(model: nn.Module) -> dict[str, str]:
    """Name in the texts -> name of the module, for networks built like VGG and for Inception v3; empty for others."""
    names = dict(model.named_modules())
    if "Mixed_5b" in names:
        return {f"mixed{index}": f"Mixed_{part}" for index, part in enumerate(INCEPTION)}
    features = getattr(model, "features", None)
    parts = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d)
    if not isinstance(features, nn.Sequential) or not all(isinstance(module, parts) for module in features):
        return {}
    found, block, convolution = {}, 1, 0
    for index, module in features.named_children():
        if isinstance(module, nn.Conv2d):
            convolution += 1
        elif isinstance(module, nn.ReLU):
            for name in (f"block{block}_conv{convolution}", f"conv{block}_{convolution}", f"relu{block}_{convolution}"):
                found[name] = f"features.{index}"
        elif isinstance(module, nn.MaxPool2d):
            found[f"block{block}_pool"] = found[f"pool{block}"] = f"features.{index}"
            block, convolution = block + 1, 0
    return found


def _usual(subject: Subject, purpose: str) -> str:
    created = getattr(subject.model, "created_as", None)
    family = created.name if created is not None else subject.name
    family = "vgg" if family.startswith("vgg") else family
    if purpose in USUAL.get(family, {}):
        return USUAL[family][purpose]
    outputs = outputs_of(
        subject.model, {name: subject.layer(name) for name in stages_of(subject.model)}, subject.blank()
    )
    before = [name for name in list(outputs)[:-1] if outputs[name].ndim == 4]  # maps, which pictures of any size have
    stages = before or list(outputs)[:-1]  # all but the head
    if not stages:
        raise UserError(f"{subject.name}: which layers? Name them as LAYER=WEIGHT, LAYER=WEIGHT")
    if purpose in ("content", "dream"):
        return stages[min(len(stages) - 1, 2 * len(stages) // 3)]
    return ", ".join(stages)
