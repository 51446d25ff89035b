"""Small changes of a picture, followed through the layers of a trained network: does the change die out with depth?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gradus.lessons.dense_as_convolution import digits
from gradus.lessons.drawing import paint_field, paint_picture
from gradus.look.charts import SERIES

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

LAYERS = ("input", "conv 1", "conv 2", "pool", "conv 3", "pool", "dense", "shares")


def two_pixels(pictures: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Two pixels of each picture turned from dark to bright or back."""
    changed = pictures.copy().reshape(len(pictures), -1)
    for row in changed:
        places = generator.choice(row.size, 2, replace=False)
        row[places] = 1 - row[places]
    return changed.reshape(pictures.shape)


def doodle(pictures: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A bright line of four pixels, level or upright."""
    changed = pictures.copy()
    for picture in changed:
        row, column = generator.integers(0, 8), generator.integers(0, 5)
        line = picture if generator.random() < 0.5 else picture.T
        line[row, column : column + 4] = 1
    return changed


def dimmed(pictures: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """All pixels at seven tenths: another ink."""
    return 0.7 * pictures


def noisy(pictures: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Normal noise of standard deviation 0.1 on every pixel."""
    return pictures + generator.normal(0, 0.1, pictures.shape)


def turned(pictures: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Turned by ten degrees."""
    from PIL import Image

    bilinear = Image.Resampling.BILINEAR
    return np.stack(
        [np.asarray(Image.fromarray(one.astype(np.float32)).rotate(10, bilinear)) for one in pictures]
    ).astype(float)


def moved(pictures: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Moved by one pixel to the right."""
    return np.pad(pictures, ((0, 0), (0, 0), (1, 0)))[:, :, :-1]


CHANGES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "two pixels": two_pixels,
    "a line": doodle,
    "dimmer": dimmed,
    "noise": noisy,
    "turned 10°": turned,
    "moved 1 pixel": moved,
}


def make_network(seed: int) -> Any:
    """Three convolutions, two pools, two dense layers, as a list of stages: what comes after each is looked at."""
    import torch
    from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, Softmax

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Sequential(
            Sequential(Conv2d(1, 16, 3, padding=1), ReLU()),
            Sequential(Conv2d(16, 32, 3, padding=1), ReLU()),
            MaxPool2d(2),
            Sequential(Conv2d(32, 32, 3, padding=1), ReLU()),
            MaxPool2d(2),
            Sequential(Flatten(), Linear(128, 64), ReLU()),
            Sequential(Linear(64, 10), Softmax(dim=1)),
        )


def train(network: Any, pictures: np.ndarray, labels: np.ndarray, epochs: int = 12) -> None:
    """Adam on the cross-entropy, in place."""
    import torch
    from torch.nn import functional

    inputs, targets = torch.tensor(pictures[:, None], dtype=torch.float32), torch.tensor(labels)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    order = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs), generator=order).split(64):
            optimizer.zero_grad()
            functional.nll_loss(torch.log(network(inputs[rows]) + 1e-12), targets[rows]).backward()
            optimizer.step()


def stages(network: Any, pictures: np.ndarray) -> list[np.ndarray]:
    """The pictures and what comes after every stage, (N, ...) each; `LAYERS` names them."""
    import torch

    values = torch.tensor(pictures[:, None], dtype=torch.float32)
    found = [values.numpy()]
    with torch.no_grad():
        for stage in network:
            values = stage(values)
            found.append(values.numpy())
    return found


def fooled(network: Any, pictures: np.ndarray, labels: np.ndarray, size: float) -> np.ndarray:
    """Every pixel moved by `size`, up or down, whichever raises the loss (Goodfellow et al. 2015): an adversarial change."""
    import torch
    from torch.nn import functional

    values = torch.tensor(pictures[:, None], dtype=torch.float32, requires_grad=True)
    functional.nll_loss(torch.log(network(values) + 1e-12), torch.tensor(labels)).backward()
    return pictures + size * np.sign(values.grad[:, 0].numpy())  # type: ignore[index]


def distance_apart(layers: list[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """The same measure between pictures of different digits, for every layer: each against the next one of another digit."""
    partner = np.array(
        [
            next(k % len(labels) for k in range(row + 1, 2 * len(labels)) if labels[k % len(labels)] != label)
            for row, label in enumerate(labels)
        ]
    )
    return relative_changes(layers, [layer[partner] for layer in layers])


def relative_changes(before: list[np.ndarray], after: list[np.ndarray]) -> np.ndarray:
    """|after - before| / |before| of every layer, lengths over a whole picture's values, averaged over pictures."""
    rows = []
    for one, other in zip(before, after, strict=True):
        flat, far = one.reshape(len(one), -1), (other - one).reshape(len(one), -1)
        rows.append((np.linalg.norm(far, axis=1) / np.linalg.norm(flat, axis=1)).mean())
    return np.array(rows)


def show(page: LessonPage) -> None:
    pictures, labels = digits()
    unseen, truth = pictures[1500:], labels[1500:]
    network = make_network(0)
    train(network, pictures[:1500], labels[:1500])
    before = stages(network, unseen)
    generator = np.random.default_rng(0)
    edited = {name: change(unseen, generator) for name, change in CHANGES.items()}
    after = {name: stages(network, changed) for name, changed in edited.items()}
    curves = {name: relative_changes(before, values) for name, values in after.items()}

    page.text(
        "Change a few pixels of a digit, scribble on it, turn it a little: a person still reads it, and so, mostly, does a "
        "network. The book says why: the **feature maps** change little, and the deeper the layer the less. We measure it: "
        "297 unseen digits, six changes, and for every layer how far its values move, as a share of their length."
    )
    page.formula(
        r"\mathrm{change}=\frac{\lVert a(x')-a(x)\rVert}{\lVert a(x)\rVert}",
        "$x$: the picture, with a stroke the changed one; $a$: all values of a layer.",
    )
    right = float((before[-1].argmax(axis=1) == truth).mean())
    page.number("accuracy", right, "share of unseen digits read rightly, unchanged", digits=4)

    def gallery(every):
        paint_picture(every[0], 1 - unseen[7], "unchanged")
        for axes, (name, changed) in zip(every[1:], edited.items(), strict=False):
            paint_picture(axes, 1 - changed[7], name)
        for axes in every[7:]:
            axes.set_axis_off()

    page.figure(gallery, "Six changes", panels=(3, 3), size=(5.0, 5.4))

    def paint(axes):
        for curve, colour in zip(curves.values(), SERIES.values(), strict=True):
            axes.plot(np.arange(len(LAYERS)), curve, "o-", color=colour, markersize=3.5)
        axes.set_xticks(range(len(LAYERS)), LAYERS, rotation=45, ha="right")
        axes.set(ylabel="relative change", ylim=(0, None))

    page.figure(paint, "Change by layer", keys=list(zip(SERIES, CHANGES, strict=True)), size=(4.4, 3.5))
    page.table(
        ("change", "input", "conv 1", "last pool", "shares", "still read rightly"),
        [
            (
                name,
                *(f"{curve[k]:.2f}" for k in (0, 1, 5, 7)),
                f"{(after[name][-1].argmax(axis=1) == truth).mean():.1%}",
            )
            for name, curve in curves.items()
        ],
    )
    _verdict(page, curves)
    _fooled(page, network, unseen, truth, before)
    _untrained(page, unseen, truth, edited, before, curves)
    _maps(page, before, after["a line"])


def _verdict(page: LessonPage, curves: dict[str, np.ndarray]) -> None:
    page.heading("Is the book right?")
    falls = sum(curve[5] < curve[0] for curve in curves.values())
    steady = sum(bool((np.diff(curve[:7]) < 0).all()) for curve in curves.values())
    page.number("falls", falls, f"of {len(curves)} changes, those smaller in the last pool than in the picture")
    page.number("steady", steady, "those that shrink in **every** layer up to the dense one")
    for key, name in (("pixels_ratio", "two pixels"), ("moved_ratio", "moved 1 pixel")):
        page.number(key, curves[name][5] / curves[name][0], f"last pool against picture, {name}", digits=3)
    page.text(
        "Partly. The change is smaller in the last pool than in the picture for the changes counted above, but it does not "
        "shrink layer by layer: the second convolution often enlarges it, the pools make it smaller. And small "
        "changes of the maps can "
        "matter: moved by one pixel, many digits are misread."
    )
    page.correction(
        "Plain Talk §6.7",
        "the feature map changes little, and the deeper, the less",
        "a tendency, not a law: see the numbers above",
    )


def _fooled(page: LessonPage, network: Any, unseen: np.ndarray, truth: np.ndarray, before: list[np.ndarray]) -> None:
    page.heading("A change made to fool")
    size = 0.15
    signs = np.random.default_rng(1).choice([-1.0, 1.0], unseen.shape)
    changes = {"at random": unseen + size * signs, "to fool": fooled(network, unseen, truth, size)}
    page.text(
        f"Every pixel is moved by {size}, up or down: once by the toss of a coin, once in the direction that "
        "raises the loss. The "
        "pictures differ from the original by the same length. This second kind is called **adversarial**."
    )
    rows = []
    for key, (name, changed) in zip(("random", "fooled"), changes.items(), strict=True):
        after = stages(network, changed)
        curve, right = relative_changes(before, after), float((after[-1].argmax(axis=1) == truth).mean())
        rows.append((name, *(f"{curve[k]:.2f}" for k in (0, 1, 5, 7)), f"{right:.1%}"))
        page.number(f"{key}_right", right, f"share read rightly, moved {name}", digits=3)
        page.number(f"{key}_pool", curve[5] / curve[0], "change at the last pool against the picture", digits=3)
    page.table(("moved", "input", "conv 1", "last pool", "shares", "still read rightly"), rows)
    page.text(
        "So it is not depth that makes the change die out. Most directions of change are ones the network does not look at."
    )


def _untrained(
    page: LessonPage,
    unseen: np.ndarray,
    truth: np.ndarray,
    edited: dict[str, np.ndarray],
    before: list[np.ndarray],
    curves: dict[str, np.ndarray],
) -> None:
    page.heading("Is it learned?")
    fresh = make_network(0)
    start = stages(fresh, unseen)
    raw = {name: relative_changes(start, stages(fresh, changed)) for name, changed in edited.items()}
    apart = distance_apart(start, truth)[5], distance_apart(before, truth)[5]
    page.text(
        "The same network with its first, random weights, beside the trained one, at the last pool. Its maps move **less**. But "
        "they also tell digits apart less: the maps of two different digits lie nearer to each other. Measured against that "
        "distance the trained maps move less. That is what is learned: not stillness, but what to be still about."
    )
    page.table(
        ("change", "random", "trained", "random, of the distance", "trained, of the distance"),
        [
            (
                name,
                *(f"{value:.2f}" for value in (raw[name][5], curve[5], raw[name][5] / apart[0], curve[5] / apart[1])),
            )
            for name, curve in curves.items()
        ],
    )
    means = np.mean([curve[5] for curve in raw.values()]), np.mean([curve[5] for curve in curves.values()])
    for key, mean, far in zip(("random", "trained"), means, apart, strict=True):
        page.number(f"{key}_mean", float(mean), f"mean change at the last pool, {key} weights", digits=3)
        page.number(f"{key}_apart", float(far), "distance between two different digits there", digits=3)
        page.number(f"{key}_share", float(mean / far), "change as a share of it", digits=3)


def _maps(page: LessonPage, before: list[np.ndarray], after: list[np.ndarray]) -> None:
    page.heading("Maps, before and after a line")
    loudest = [int(layer[7].mean(axis=(1, 2)).argmax()) for layer in (before[1], before[4])]

    def paint(every):
        for row, (values, word) in enumerate(((before, "before"), (after, "after"))):
            paint_picture(every[3 * row], 1 - values[0][7, 0], word)
            paint_field(every[3 * row + 1], values[1][7, loudest[0]], "conv 1", signed=False)
            paint_field(every[3 * row + 2], values[4][7, loudest[1]], "conv 3", signed=False)

    page.figure(paint, "One map of an early and of a late layer", panels=(2, 3), size=(5.2, 3.8))
