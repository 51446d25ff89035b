"""Likeness of pictures by what a network sees: of content, layer by layer; of style, by Gram matrices. And their colours.

The texts scale the two losses in several ways (`reference/image_losses.py`); weights tuned for one are wrong for another:

relative: each layer's difference over the square of what is wanted, for Gram matrices averaged over the positions: a share, the
          same for every network and size. The default.
gatys:    1/2 sum (F - P)^2 and sum (G - A)^2 / (4 C^2 M^2), the C and M of the layer (*Principles and Practice* eq. 6-6, 6-8)
keras:    sum (F - P)^2 and sum (G - A)^2 / (4 * 3^2 (H W)^2), H W the pixels of the whole picture for every layer, and
          smoothness as a sum over pixels of 0..255 (Keras; *Deep Learning with Python* 8-17 to 8-20, *Principles and
          Practice* 6-19)

A style that was seen at another size has Gram matrices of another number of positions: they are brought to that of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from gradus.look.inside.hooks import collect
from gradus.look.inside.layer_choice import Layer
from gradus.look.inside.pixels import as_inputs
from gradus.look.inside.subject import Subject
from gradus.nn.losses import content_loss, gram_matrix, style_loss, total_variation

Scale = Literal["relative", "gatys", "keras"]

# of content, style, smoothness: ours for "relative"; Gatys et al. 2016 figure 3, without smoothness; Keras' example
USUAL_WEIGHTS: dict[str, tuple[float, float, float]] = {
    "relative": (1.0, 60.0, 20.0),
    "gatys": (1.0, 1000.0, 0.0),
    "keras": (0.025, 1.0, 1e-4),
}
MARGIN = 8  # pixels
LUMINANCE = (0.299, 0.587, 0.114)  # of R, G, B: ITU-R BT.601


def features_of(subject: Subject, layers: Sequence[Layer], picture: Tensor, margin: str = "") -> dict[str, Tensor]:
    """Name -> features (1, C, H, W) of a picture of 0..1.

    margin: "reflect" or "circular" goes on that way beyond the edges, which the network would else see less of than of the rest
            and leave as they were; a texture whose margin is circular fits to itself as a tile
    """
    if margin:
        down, right = (min(MARGIN, side - 1) for side in picture.shape[2:])
        picture = functional.pad(picture, (right, right, down, down), margin)
    return collect(subject.model, {layer.name: layer.module for layer in layers}, as_inputs(subject, picture))


def content_difference(features: Tensor, wanted: Tensor, scale: Scale) -> Tensor:
    if scale == "relative":
        return content_loss(features, wanted, "sum") / wanted.square().sum().clamp(min=1e-12)
    return content_loss(features, wanted, "gatys" if scale == "gatys" else "sum")


def style_difference(features: Tensor, wanted_gram: Tensor, scale: Scale, picture: tuple[int, int]) -> Tensor:
    """wanted_gram: mean over the positions of the products of channels (1, C, C); picture: (height, width) of the picture."""
    if scale == "relative":
        gram = gram_matrix(features) / features[0, 0].numel()
        return (gram - wanted_gram).square().sum() / wanted_gram.square().sum().clamp(min=1e-12)
    return style_loss(features, wanted_gram * features[0, 0].numel(), picture if scale == "keras" else None)


@torch.no_grad()
def wanted_grams(
    subject: Subject, layers: Sequence[Layer], pictures: Sequence[Tensor], weights: Sequence[float], margin: str = ""
) -> dict[str, list[tuple[float, Tensor]]]:
    """Layer -> for each style picture of weight above 0 (its share, the mean products of channels (1, C, C))."""
    total = sum(weights)
    wanted: dict[str, list[tuple[float, Tensor]]] = {layer.name: [] for layer in layers}
    for picture, weight in zip(pictures, weights, strict=True):
        if weight > 0:
            for name, features in features_of(subject, layers, picture, margin).items():
                wanted[name].append((weight / total, gram_matrix(features) / features[0, 0].numel()))
    return wanted


def style_sum(
    features: dict[str, Tensor],
    layers: Sequence[Layer],
    wanted: dict[str, list[tuple[float, Tensor]]],
    scale: Scale,
    picture: tuple[int, int],
) -> Tensor:
    """The mean over the layers, by their weights, of the mean over the styles, by theirs."""
    whole = sum(layer.weight for layer in layers)
    return torch.stack(
        [
            layer.weight / whole * share * style_difference(features[layer.name], gram, scale, picture)
            for layer in layers
            for share, gram in wanted[layer.name]
        ]
    ).sum()


def smoothness(picture: Tensor, scale: Scale) -> Tensor:
    """Total variation: the sum over pixels of 0..255 for "keras", the mean over the values of 0..1 for the others."""
    return total_variation(255 * picture) if scale == "keras" else total_variation(picture) / picture[0].numel()


def luminance(picture: Tensor) -> Tensor:
    """(1, 3, H, W) -> (1, 1, H, W)."""
    return (picture * picture.new_tensor(LUMINANCE)[:, None, None]).sum(1, keepdim=True)


def with_colours_of(coloured: Tensor, light: Tensor) -> Tensor:
    """The picture of 0..1 with this luminance (1, 1, H, W) and exactly the chroma (R - Y, B - Y) of the coloured one.

    Where a pixel would leave 0..1, its luminance is brought to the nearest that its chroma allows; there always is one.
    """
    chroma = coloured - luminance(coloured)
    low, high = -chroma.amin(1, keepdim=True), 1 - chroma.amax(1, keepdim=True)
    return chroma + torch.minimum(torch.maximum(light, low), high)


def matched_luminance(style: Tensor, content: Tensor) -> Tensor:
    """The style's luminance with the mean and deviation of the content's (Gatys et al. 2016, *Preserving Color*, eq. 10)."""
    theirs, ours = luminance(style), luminance(content)
    return (theirs - theirs.mean()) * (ours.std() / theirs.std().clamp(min=1e-6)) + ours.mean()


def matched_colours(style: Tensor, content: Tensor) -> Tensor:
    """The style (1, 3, H, W) with the mean and covariance of the content's colours, by x -> L_C L_S^-1 (x - mean) + mean, with
    the Cholesky factors L of the covariances (Gatys et al. 2016, *Preserving Color*, section 3.2)."""
    theirs, ours = style[0].flatten(1).double(), content[0].flatten(1).double()
    little = 1e-6 * torch.eye(3, dtype=torch.float64, device=style.device)
    factors = [torch.linalg.cholesky(torch.cov(colours) + little) for colours in (theirs, ours)]
    spread = factors[1] @ torch.linalg.solve_triangular(factors[0], theirs - theirs.mean(1, keepdim=True), upper=False)
    return (spread + ours.mean(1, keepdim=True)).reshape(style.shape).to(style.dtype)
