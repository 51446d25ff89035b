"""A kernel of one pixel: a dense layer across the channels, at every pixel; what it saves, and the global average."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradus.lessons.drawing import paint_field, paint_picture, photograph
from gradus.look.charts import INK, MODEL
from gradus.reference.convolution import convolution2d

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage


def per_pixel(picture: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """A dense layer (out, in) on the channels of every pixel. (H, W, in) -> (H, W, out)."""
    return picture @ weight.T


def one_by_one(picture: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The same by a convolution with kernels of 1 x 1."""
    return convolution2d(picture.transpose(2, 0, 1)[None], weight[:, :, None, None])[0].transpose(1, 2, 0)


def multiplications(side: int, inputs: int, outputs: int, kernel: int) -> int:
    """Of a convolution that keeps the size `side` x `side`."""
    return side * side * outputs * kernel * kernel * inputs


def show(page: LessonPage) -> None:
    page.text(
        "What can a kernel of **one** pixel see? In a grey picture nothing: it multiplies every pixel by the same number. But "
        "a layer's input has many channels, and the kernel reads all channels of its pixel. It is a dense layer from channels "
        "to channels, applied at every pixel with the same weights. Names: 1 × 1 convolution, network in network."
    )
    page.formula(r"y_{o}(i,j)=\sum_c w_{oc}\,x_c(i,j)+b_o")
    page.correction(
        "Course notes §4.2.7",
        "the example, a 6 × 6 picture of one channel, doubles every value",
        "true of one channel in and out; with several channels it is a matrix, not a number",
    )
    generator = np.random.default_rng(0)
    picture, weight = generator.normal(size=(6, 6, 32)), generator.normal(size=(5, 32))
    gap = np.abs(per_pixel(picture, weight) - one_by_one(picture, weight)).max()
    page.number("equality_gap", gap, "largest difference of the two ways, 32 channels to 5")
    page.number("weights", weight[0].size, "weights of one kernel", printed=32)
    page.number("positions", picture[..., 0].size, "positions at which it is used", printed=36)
    grey_level = generator.normal(size=(6, 6, 1))
    page.number(
        "one_channel",
        float((one_by_one(grey_level, np.array([[2.0]])) / grey_level).max()),
        "one channel, weight 2: every value times",
    )

    _colours(page)
    _bottleneck(page)
    _average(page)


def _colours(page: LessonPage) -> None:
    page.heading("New channels from old")
    page.text(
        "On a colour picture three weights mix red, green and blue into one new channel: brightness, or one colour set against "
        "another. Followed by ReLU, two such layers are a small network at every pixel."
    )
    picture = photograph("flower", 120)
    weight = np.array([[0.299, 0.587, 0.114], [1.0, -0.5, -0.5], [-0.5, 1.0, -0.5]])
    mixed = one_by_one(picture, weight)

    def paint(every):
        paint_picture(every[0], picture, "three channels")
        paint_picture(every[1], mixed[..., 0], "brightness")
        paint_field(every[2], mixed[..., 1], "red − others")
        paint_field(every[3], mixed[..., 2], "green − others")

    page.figure(
        paint,
        "Nine weights, three new channels",
        panels=(2, 2),
        size=(5.2, 3.8),
        note="Below: red is positive, blue negative, white zero.",
    )
    red = mixed[..., 1].argmax()
    page.number(
        "reddest_red", picture[..., 0].ravel()[red], "red at the pixel that answers most to red − others", digits=3
    )
    page.number("reddest_green", picture[..., 1].ravel()[red], "green there", digits=3)


def _bottleneck(page: LessonPage) -> None:
    page.heading("Fewer channels first")
    page.text(
        "Inception has a 5 × 5 convolution from 192 to 32 channels on 28 × 28 pixels. First cutting 192 channels to 16 by a "
        "1 × 1 convolution makes it ten times cheaper. The thin layer is called a **bottleneck**; what it saves, "
        "it may lose in detail."
    )
    direct = multiplications(28, 192, 32, 5)
    reduced = multiplications(28, 192, 16, 1), multiplications(28, 16, 32, 5)
    page.number("direct", direct, "multiplications directly", digits=10)
    page.number("reduced", sum(reduced), "through 16 channels", digits=10)
    page.number("saving", direct / sum(reduced), "times fewer", digits=4)

    def bars(axes):
        axes.barh(["direct", "1×1, then 5×5"], [direct / 1e6, sum(reduced) / 1e6], color=MODEL, height=0.5)
        axes.set(xlabel="multiplications, millions", xlim=(0, 132))
        axes.invert_yaxis()
        axes.tick_params(axis="y", labelcolor=INK)
        axes.grid(visible=False, axis="y")

    page.figure(bars, "The price of 28 × 28 × 32 values", size=(4.4, 1.9))
    before = (
        multiplications(28, 192, 64, 1) + multiplications(28, 192, 128, 3) + direct + multiplications(28, 192, 32, 1)
    )
    after = (
        multiplications(28, 192, 64, 1) + multiplications(28, 192, 96, 1) + multiplications(28, 96, 128, 3)
        + sum(reduced) + multiplications(28, 192, 32, 1)
    )  # fmt: skip
    page.number(
        "module_direct", before, "the whole module without bottlenecks (64 + 128 + 32 + 32 channels)", digits=10
    )
    page.number("module_reduced", after, "with 96 before the 3 × 3, 16 before the 5 × 5", digits=10)


def _average(page: LessonPage) -> None:
    page.heading("The mean of a whole map")
    page.text(
        "At the end of a network a dense layer on the flattened maps needs a weight for every pixel of every map. **Global "
        "average pooling** keeps one number a map, its mean, and a small dense layer does the rest. It also takes pictures of "
        "any size. As both steps are sums, the order can be turned: weigh the maps first (a 1 × 1 convolution), average then."
    )
    generator = np.random.default_rng(1)
    maps, weight = generator.normal(size=(7, 7, 64)), generator.normal(size=(10, 64))
    gap = np.abs(weight @ maps.mean(axis=(0, 1)) - one_by_one(maps, weight).mean(axis=(0, 1))).max()
    page.number("order_gap", gap, "largest difference of the two orders")
    page.table(
        ("head for 1000 classes, maps of 7 × 7", "512 channels", "1024 channels"),
        [
            ("flatten, dense 4096, 4096, 1000", dense_head(512), dense_head(1024)),
            ("flatten, dense 1000", (49 * 512 + 1) * 1000, (49 * 1024 + 1) * 1000),
            ("average, dense 1000", 513 * 1000, 1025 * 1000),
        ],
    )
    page.number("head_flat", dense_head(512), "parameters of VGG16's head", digits=10)
    page.number("head_average", 513 * 1000, "with the average instead", digits=10)


def dense_head(channels: int) -> int:
    """Parameters of flatten, 4096, 4096, 1000 on maps of 7 x 7, as in VGG16."""
    return (49 * channels + 1) * 4096 + 4097 * 4096 + 4097 * 1000
