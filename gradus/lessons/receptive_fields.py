"""How much of the picture one unit sees, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import bare, photograph
from gradus.look.charts import FIFTH, FOURTH, INK, MODEL, MUTED, SECOND, TEXT_SIZE, THIRD
from gradus.reference.geometry import Window, receptive_field

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

BLOCKS = (2, 2, 3, 3, 3)  # VGG16: 3 x 3 convolutions before each of its five pools


def vgg16() -> tuple[list[str], list[Window]]:
    """Names and windows of VGG16, its first dense layer as a convolution of 7 x 7."""
    names, layers = [], []
    for block, count in enumerate(BLOCKS, 1):
        for place in range(1, count + 1):
            names.append(f"conv{block}_{place}")
            layers.append(Window(3, padding=1))
        names.append(f"pool{block}")
        layers.append(Window(2, 2))
    return [*names, "fc6"], [*layers, Window(7)]


def influence(layers: int) -> np.ndarray:
    """How strongly, as a root mean square, each input of a row moves the middle output of `layers` random kernels of 3.

    (2 layers + 1,), largest 1. Weights that are independent and of one size add their squares, way by way; so it is the
    number of ways from an input to the output, and its root.
    """
    ways = np.ones(1)
    for _ in range(layers):
        ways = np.convolve(ways, np.ones(3))
    return np.sqrt(ways / ways.max())


def show(page: LessonPage) -> None:
    page.text(
        "A unit of the first convolution sees 3 × 3 pixels. A unit of the second sees 3 × 3 units of the first, whose windows "
        "overlap: 5 × 5 pixels. What a unit can see of the picture is its **receptive field**. Every layer adds its kernel's "
        "reach, counted in steps between neighbours; a stride makes those steps longer for **all** layers after it."
    )
    page.formula(
        r"r_l=r_{l-1}+(k_l-1)\,d_l\,j_{l-1},\qquad j_l=j_{l-1}\,s_l",
        "$r$: field; $j$: pixels between neighbours; both are 1 in the picture. $k$: side of the kernel; $s$: stride; "
        "$d$: dilation, how far its weights stand apart (1 is the usual kernel).",
    )
    stack = [sight.field for sight in receptive_field([Window(3)] * 5)]
    for layer, field in enumerate(stack[:3], 1):
        page.number(
            f"stack_{layer}",
            field,
            f"{layer} convolution{'s' * (layer > 1)} of 3 × 3 see{'s' * (layer == 1)}",
            printed=(3, 6, 9)[layer - 1],
        )
    page.correction(
        "Principles and Practice §6.1.1", "stacked 3 × 3 convolutions see 3, 6, 9", "their windows overlap: 3, 5, 7"
    )
    _cone(page)
    _growth(page)
    _vgg(page)
    _influence(page)


def _cone(page: LessonPage) -> None:
    def paint(axes):
        for layer in range(4):
            reach = 3 - layer
            axes.plot(np.arange(-5, 6), np.full(11, layer), "o", color=MUTED, markersize=5, alpha=0.6)
            inside = np.arange(-reach, reach + 1)
            axes.plot(inside, np.full(len(inside), layer), "o", color=MODEL, markersize=7)
            for place in np.arange(-reach + 1, reach) if layer < 3 else []:
                for offset in (-1, 0, 1):
                    axes.plot([place, place + offset], [layer + 1, layer], color=MODEL, lw=0.7)
        axes.set_yticks(range(4), ["input", "layer 1", "layer 2", "layer 3"])
        axes.set(xticks=[-3, 0, 3], ylim=(-0.4, 3.4), xlabel="pixels from the middle")
        axes.grid(visible=False)
        axes.tick_params(axis="y", labelcolor=INK)

    page.figure(paint, "Three layers of kernels of three", keys=[("model", "seen from the top")], size=(4.4, 2.7))


def _growth(page: LessonPage) -> None:
    page.heading("Three ways to see farther")
    stacks = {
        "model": ("3 × 3", [Window(3)] * 8),
        "second": ("every second with stride 2", [Window(3, 2 if layer % 2 else 1) for layer in range(8)]),
        "third": ("dilation 1, 2, 4, 8, then 16", [Window(3, dilation=2 ** min(layer, 4)) for layer in range(8)]),
    }
    fields = {role: [sight.field for sight in receptive_field(layers)] for role, (_, layers) in stacks.items()}

    def paint(axes):
        for (role, values), colour in zip(fields.items(), (MODEL, SECOND, THIRD), strict=True):
            axes.plot(np.arange(1, 9), values, "o-", color=colour, markersize=4, label=role)
        axes.set(yscale="log", xlabel="layer", ylabel="pixels seen", xticks=[1, 2, 4, 6, 8])
        axes.set_yticks([3, 10, 30, 100], ["3", "10", "30", "100"])
        axes.minorticks_off()

    page.figure(paint, "Field by layer", keys=[(role, name) for role, (name, _) in stacks.items()])
    page.text(
        "Plain layers add the same each time. Strides double what every later layer adds, but the map becomes coarse. Dilation "
        "doubles as well, while it is doubled itself, and keeps the map's size; it is used where every pixel needs an answer."
    )
    for role, key in (("model", "plain"), ("second", "strided"), ("third", "dilated")):
        page.number(key, fields[role][4], f"after five layers, {stacks[role][0]}")


def _vgg(page: LessonPage) -> None:
    page.heading("VGG16 on a photograph")
    names, layers = vgg16()
    sights = dict(zip(names, receptive_field(layers), strict=True))
    pools = {f"pool{block}": sights[f"pool{block}"].field for block in range(1, 6)}
    picture = photograph("china", 300)
    middle = (180, 225)  # row, column

    def paint(axes):
        from matplotlib.patches import Rectangle

        axes.imshow(picture, alpha=0.75)
        for (_, field), colour in zip(pools.items(), (INK, MODEL, SECOND, FOURTH, FIFTH), strict=True):
            corner = middle[1] - field / 2, middle[0] - field / 2
            axes.add_patch(Rectangle(corner, field, field, fill=False, edgecolor=colour, lw=2))
        bare(axes)

    keys = list(zip(("ink", "model", "second", "fourth", "fifth"), pools, strict=True))
    page.figure(
        paint,
        "What a unit behind each pool sees",
        keys=keys,
        size=(4.4, 3.1),
        note="The photograph is 450 × 300 pixels.",
    )
    page.table(
        ("behind", "sees", "pixels between neighbours"),
        [(name, sights[name].field, sights[name].jump) for name in (*pools, "fc6")],
    )
    page.number("pool5", sights["pool5"].field, "behind the last pool")
    page.number("fc6", sights["fc6"].field, "behind the first dense layer")
    page.text(
        "The first dense layer's field is larger than the picture of 224 × 224 it is given: at the rim it sees padding."
    )


def _influence(page: LessonPage) -> None:
    page.heading("The middle counts most")
    page.text(
        "The field says what a unit **can** see. Many more ways lead from the middle than from the rim, so the middle has more "
        "weight: with random weights the influence is a bell, much narrower than the field."
    )
    layers = 10
    curve = influence(layers)
    places = np.arange(len(curve)) - layers

    def paint(axes):
        axes.fill_between(places, curve, color=MODEL, alpha=0.35, lw=0)
        axes.plot(places, curve, color=MODEL)
        axes.axvline(-layers, color=MUTED, lw=1)
        axes.axvline(layers, color=MUTED, lw=1)
        axes.text(layers - 0.3, 1.04, "field", ha="right", color=MUTED, fontsize=TEXT_SIZE)
        axes.set(xlabel="pixels from the middle", ylabel="influence", ylim=(0, 1.12), yticks=[0, 0.5, 1])

    page.figure(paint, f"Influence on one unit behind {layers} layers", size=(4.4, 2.7))
    page.number("field", len(curve), f"field of {layers} layers")
    page.number("half_width", float((curve > 0.5).sum()), "pixels with more than half of the largest influence")
