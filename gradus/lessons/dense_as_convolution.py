"""A dense layer is a convolution whose kernel is as large as its input: a digit classifier reads a whole canvas."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import bare, paint_picture
from gradus.look.charts import INK, SECOND, TEXT_SIZE
from gradus.reference.activations import softmax
from gradus.reference.convolution import convolution2d

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

SIDE, NOTHING = 8, 10  # a digit is 8 x 8 pixels; the class of windows that hold none, or only part of one
CANVAS = (24, 40)
PLACES = ((2, 3), (1, 15), (4, 29), (14, 8), (13, 20), (15, 31))  # upper left corners of the digits on the canvas


@dataclass(frozen=True)
class Network:
    """Convolution 3 x 3 to 8 maps, ReLU, dense to 32, ReLU, dense to 11. Weights as PyTorch has them."""

    kernel: np.ndarray  # (8, 1, 3, 3)
    kernel_bias: np.ndarray
    first: np.ndarray  # (32, 8 * 6 * 6)
    first_bias: np.ndarray
    second: np.ndarray  # (11, 32)
    second_bias: np.ndarray

    def read_window(self, window: np.ndarray) -> np.ndarray:
        """The scores of one window (8, 8) by dense layers. (11,)"""
        maps = np.maximum(convolution2d(window[None, None], self.kernel, self.kernel_bias), 0)
        hidden = np.maximum(self.first @ maps.ravel() + self.first_bias, 0)
        return self.second @ hidden + self.second_bias

    def read_canvas(self, canvas: np.ndarray) -> np.ndarray:
        """The scores of all windows, the dense layers being convolutions. (H, W) -> (11, H - 7, W - 7)"""
        maps = np.maximum(convolution2d(canvas[None, None], self.kernel, self.kernel_bias), 0)
        hidden = np.maximum(convolution2d(maps, self.first.reshape(32, 8, 6, 6), self.first_bias), 0)
        return convolution2d(hidden, self.second[:, :, None, None], self.second_bias)[0]


def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits: (1797, 8, 8) of values 0..1, and their labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.images / 16.0, data.target


def beside(pictures: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Windows that lie three to seven pixels off a digit, on one axis or both; they hold a part of it."""
    count = len(pictures)
    far = generator.integers(3, 8, (count, 2)) * generator.choice([-1, 1], (count, 2))
    far[np.arange(count), generator.integers(0, 2, count)] *= generator.integers(
        0, 2, count
    )  # half of them on one axis only
    padded = np.pad(pictures, ((0, 0), (7, 7), (7, 7)))
    return np.stack([one[7 + dy : 15 + dy, 7 + dx : 15 + dx] for one, (dy, dx) in zip(padded, far, strict=True)])


def train(pictures: np.ndarray, labels: np.ndarray, epochs: int = 12) -> Network:
    """Adam on digits, parts of digits and emptiness."""
    import torch
    from torch.nn import Conv2d, Flatten, Linear, ReLU, Sequential, functional

    generator = np.random.default_rng(0)
    parts = np.concatenate([*(beside(pictures, generator) for _ in range(2)), np.zeros((200, SIDE, SIDE))])
    every = np.concatenate([pictures, parts])[:, None]
    inputs = torch.tensor(every, dtype=torch.float32)
    targets = torch.tensor(np.concatenate([labels, np.full(len(parts), NOTHING)]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Sequential(Conv2d(1, 8, 3), ReLU(), Flatten(), Linear(288, 32), ReLU(), Linear(32, 11))
        optimizer = torch.optim.Adam(network.parameters(), lr=4e-3)
        for _ in range(epochs):
            for rows in torch.randperm(len(inputs)).split(100):
                optimizer.zero_grad()
                functional.cross_entropy(network(inputs[rows]), targets[rows]).backward()
                optimizer.step()
    return Network(*(parameter.detach().double().numpy() for parameter in network.parameters()))


def canvas_of(pictures: np.ndarray) -> np.ndarray:
    """A canvas with one picture at each of `PLACES`."""
    canvas = np.zeros(CANVAS)
    for (row, column), picture in zip(PLACES, pictures, strict=True):
        canvas[row : row + SIDE, column : column + SIDE] = picture
    return canvas


def spots(chances: np.ndarray, threshold: float = 0.5) -> list[tuple[int, int, int]]:
    """(row, column, digit) of the windows that are surest of a digit, none closer than 5 pixels to a surer one."""
    sure = chances[:NOTHING].max(axis=0).copy()
    found = []
    while sure.max() > threshold:
        row, column = np.unravel_index(sure.argmax(), sure.shape)
        found.append((int(row), int(column), int(chances[:NOTHING, row, column].argmax())))
        sure[max(0, row - 4) : row + 5, max(0, column - 4) : column + 5] = 0
    return found


def show(page: LessonPage) -> None:
    pictures, labels = digits()
    network = train(pictures[:1500], labels[:1500])
    chosen = 1500 + np.array([np.flatnonzero(labels[1500:] == digit)[2] for digit in (2, 0, 7, 4, 9, 6)])
    canvas = canvas_of(pictures[chosen])
    scores = network.read_canvas(canvas)
    chances = np.moveaxis(softmax(np.moveaxis(scores, 0, -1)), -1, 0)

    page.text(
        "A dense layer on an $f\\times f$ map multiplies every value by a weight and adds. So does a convolution whose kernel "
        "is $f\\times f$, at the one place where it fits. **They are the same**, with the same weights, only laid out "
        "otherwise; the dense layers after it become 1 × 1 convolutions. What is gained: the convolution also accepts larger "
        "pictures, and then gives an answer for every place."
    )
    read = np.array([network.read_window(picture)[:NOTHING].argmax() for picture in pictures[1500:]])
    page.number(
        "accuracy", float((read == labels[1500:]).mean()), "share of 297 unseen digits that are read rightly", digits=4
    )
    page.text(
        f"The classifier below was trained on single digits of 8 × 8 pixels, and on windows that hold only part of one, which "
        f'are class "nothing". Now it reads a canvas of {CANVAS[0]} × {CANVAS[1]} at once.'
    )
    _canvas(page, canvas, chances)
    found = spots(chances)
    wanted = {(row, column, int(labels[index])) for (row, column), index in zip(PLACES, chosen, strict=True)}
    page.number(
        "found", len(wanted & set(found)), f"of {len(wanted)} digits, those found at their pixel and read rightly"
    )
    page.number("extra", len(set(found) - wanted), "other spots")

    page.heading("Equal, number for number")
    windows = [(row, column) for row in range(scores.shape[1]) for column in range(scores.shape[2])]
    one_by_one = np.array([network.read_window(canvas[r : r + SIDE, c : c + SIDE]) for r, c in windows])
    page.number("windows", len(windows), "windows on the canvas")
    page.number(
        "gap",
        np.abs(one_by_one.T.reshape(scores.shape) - scores).max(),
        "largest difference, window by window against at once",
    )
    page.text(
        "Equality needs convolutions **without padding**: with padding, a window cut out alone sees zeros at its rim where on "
        "the canvas there are pixels."
    )
    _price(page)


def _canvas(page: LessonPage, canvas: np.ndarray, chances: np.ndarray) -> None:
    def paint(every):
        from matplotlib.patches import Rectangle

        paint_picture(every[0], 1 - canvas, "the canvas, and what is read")
        for row, column, digit in spots(chances):
            every[0].add_patch(Rectangle((column - 0.5, row - 0.5), SIDE, SIDE, fill=False, edgecolor=SECOND, lw=1.6))
            every[0].text(column - 0.2, row - 0.8, str(digit), color=INK, fontsize=TEXT_SIZE)
        every[0].set_ylim(23.5, -3)
        heat = np.full(CANVAS, np.nan)
        heat[4 : 4 + chances.shape[1], 4 : 4 + chances.shape[2]] = 1 - chances[NOTHING]
        every[1].imshow(heat, cmap="Oranges", vmin=0, vmax=1)
        bare(every[1], "chance that a digit is centred here")
        every[1].set(xlim=(-0.5, 39.5), ylim=(23.5, -0.5))

    page.figure(paint, "One pass over the canvas", panels=(2, 1), size=(4.4, 5.5), note="Pale: chance 0; dark: 1.")


def _price(page: LessonPage) -> None:
    page.heading("What it saves, and what not")
    page.text(
        "Cut window by window, the convolutions are computed over and over where windows overlap; at once, only one time. But "
        "the dense part is computed for every place in both ways. How much is saved depends on where the work lies."
    )
    ours = multiplications(SIDE, 24, 40, 1, 3, 8, 1, (288, 32, 11))
    notes = multiplications(14, 28, 28, 2, 5, 16, 3, (400, 400, 400, 4))
    page.table(
        ("network", "windows", "one by one", "at once", "times fewer"),
        [
            ("this one, 24 × 40", *(f"{value:,.0f}" for value in ours), f"{ours[1] / ours[2]:.2f}"),
            ("course notes §4.3.4, 28 × 28", *(f"{value:,.0f}" for value in notes), f"{notes[1] / notes[2]:.2f}"),
        ],
    )
    page.number("saving", ours[1] / ours[2], "times fewer multiplications here", digits=3)
    page.number("notes_windows", notes[0], "answers of the notes' network on 28 × 28 (8 × 8)")


def multiplications(
    side: int, height: int, width: int, step: int, kernel: int, maps: int, colours: int, dense: tuple[int, ...]
) -> tuple[int, int, int]:
    """Windows of `side` every `step` pixels; multiplications of one convolution and dense layers: one by one, and at once."""
    windows = ((height - side) // step + 1) * ((width - side) // step + 1)
    dense_part = sum(before * after for before, after in pairwise(dense))
    each = kernel * kernel * colours * maps
    alone = (side - kernel + 1) ** 2 * each
    whole = (height - kernel + 1) * (width - kernel + 1) * each
    return windows, windows * (alone + dense_part), whole + windows * dense_part
