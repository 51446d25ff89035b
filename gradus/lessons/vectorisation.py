"""One call instead of a loop: how much faster it is here; and what the shapes of tensors mean."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, SECOND
from gradus.reference.tensors import (
    broadcast_shape,
    logistic_gradients,
    logistic_gradients_loops,
    naive_add,
    naive_add_matrix_and_vector,
    naive_matrix_dot,
    naive_matrix_vector_dot,
    naive_relu,
    naive_vector_dot,
    rotation,
)

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

LENGTH = 200_000
SAMPLES, FEATURES = 500, 20


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """The shortest of some times."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def show(page: LessonPage) -> None:
    _speed(page)
    _operations(page)
    _rotation(page)
    _shapes(page)
    _picture(page)


def _speed(page: LessonPage) -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, LENGTH))
    inputs = generator.normal(size=(SAMPLES, FEATURES))
    labels, weights = (inputs[:, 0] > 0).astype(float), generator.normal(size=FEATURES) / 5
    dot_factor = seconds(lambda: naive_vector_dot(x, y), 2) / seconds(lambda: x @ y)
    step_factor = seconds(lambda: logistic_gradients_loops(inputs, labels, weights, 0.1), 2) / seconds(
        lambda: logistic_gradients(inputs, labels, weights, 0.1)
    )
    loops, vector = (step(inputs, labels, weights, 0.1) for step in (logistic_gradients_loops, logistic_gradients))

    page.text(
        "A loop in Python handles one number at a time and looks up its type and its method each time. `x @ y`, "
        "the **dot product** (entry times entry, all added), hands both vectors "
        "to a compiled routine that works on several numbers in one instruction. This is "
        "**vectorisation**. Both give the same result."
    )
    page.number(
        "small_dot",
        naive_vector_dot(np.array([1, 2, 3]), np.array([1, 2, 3])),
        "dot product of [1, 2, 3] with itself",
        printed=14,
    )
    page.number(
        "dot_factor",
        round(dot_factor),
        f"how many times faster, dot product of two vectors of {LENGTH:,}",
        printed="several hundred",
        digits=3,
    )
    page.number(
        "step_factor",
        round(step_factor),
        f"how many times faster, a step of logistic regression, {SAMPLES} × {FEATURES}",
        digits=3,
    )
    page.number(
        "step_difference",
        max(abs(loops[0] - vector[0]), np.abs(loops[1] - vector[1]).max(), abs(loops[2] - vector[2])),
        "largest difference between loop and vectors",
    )
    page.text(
        "The factors are measured while this page is written: they depend on the machine and on the sizes, and "
        "differ a little each time."
    )
    page.correction(
        "Course notes §1.2.9",
        "the vectorised program writes `dZ.t`, and the loop's running sum is not reset for each sample",
        "`dZ.T`; the sum starts at the bias again for every sample",
    )


def _operations(page: LessonPage) -> None:
    generator = np.random.default_rng(1)
    matrix, other, vector = generator.normal(size=(32, 10)), generator.normal(size=(32, 10)), generator.normal(size=10)
    wide = generator.normal(size=(10, 4))
    pairs = {
        "relu": (naive_relu(matrix), np.maximum(matrix, 0)),
        "add": (naive_add(matrix, other), matrix + other),
        "add row": (naive_add_matrix_and_vector(matrix, vector), matrix + vector),
        "matrix · vector": (naive_matrix_vector_dot(matrix, vector), matrix @ vector),
        "matrix · matrix": (naive_matrix_dot(matrix, wide), matrix @ wide),
    }
    page.heading("What the one call does")
    rows = [
        [name, str(right.shape), float(f"{np.abs(left - right).max():.0e}")] for name, (left, right) in pairs.items()
    ]
    page.table(["operation", "shape of the result", "largest difference from the loop"], rows)
    page.number(
        "operations_difference",
        max(np.abs(left - right).max() for left, right in pairs.values()),
        "largest of them all",
    )
    page.text(
        "**Broadcasting**: a vector of 10 is added to a matrix of 32 rows by 10 columns as if it stood beside each "
        "of the 32 rows. Axes are added in front until both have as many, then the new axis is repeated, in "
        "thought only: no number is copied."
    )
    spread = np.broadcast_to(vector, (32, 10))
    page.number("repeats", spread.shape[0], "how often the vector is used", printed=10)
    page.number("stride", spread.strides[0], "bytes from one of its copies to the next: they are one and the same")
    shape = broadcast_shape((64, 3, 32, 10), (32, 10))
    page.text(f"The larger of (64, 3, 32, 10) and (32, 10), entry by entry, has the shape {shape}.")
    page.correction(
        "Deep Learning with Python, 1st ed. §2.3.2",
        "the vector is repeated 10 times",
        "32 times, once a row; 10 is its length",
    )
    page.correction(
        "same, §2.3.1",
        "`relu(dot(W, input) + b)`",
        "with one sample a row, (N, n), and weights of shape (n, m), only `dot(input, W) + b` fits",
    )


def _rotation(page: LessonPage) -> None:
    angle = np.pi / 6
    arrow = np.array([1.0, 0.25])
    right, wrong = rotation(angle) @ arrow, rotation(angle).T @ arrow
    turned = [np.degrees(np.arctan2(v[1], v[0]) - np.arctan2(arrow[1], arrow[0])) for v in (right, wrong)]
    page.heading("A product that turns")
    page.text(
        r"A matrix moves vectors. With the columns $(\cos\theta,\sin\theta)$ and $(-\sin\theta,\cos\theta)$ it "
        "turns them by θ."
    )

    def paint(axes):
        for vector, colour in ((arrow, INK), (right, MODEL), (wrong, SECOND)):
            axes.annotate("", vector, (0, 0), arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 2})
        axes.set(xlim=(-0.1, 1.3), ylim=(-0.5, 1), aspect="equal", xticks=[0, 0.5, 1], yticks=[-0.5, 0, 0.5, 1])

    page.figure(
        paint, "Turned by 30°", keys=[("ink", "the vector"), ("model", "columns"), ("second", "as rows: turned back")]
    )
    page.number("turned", turned[0], "degrees, columns")
    page.number("turned_wrong", turned[1], "degrees, the same pairs as rows")
    page.correction(
        "Deep Learning with Python, 1st ed. §2.3.5",
        "`R = [u, v]`, which as an array has u and v in its rows",
        "they are its columns: `np.column_stack([u, v])`",
    )


def _shapes(page: LessonPage) -> None:
    page.heading("Shapes")
    rows = [
        ["0, a scalar", "()", "12"],
        ["1, a vector", "(5,)", "12, 3, 6, 14, 7: five entries, one axis"],
        ["2, a matrix", "(100000, 3)", "people × (age, postcode, income)"],
        ["3", "(250, 390, 3)", "days × minutes × prices; time is axis 1"],
        ["3", "(1000000, 280, 128)", "messages × characters × one-hot symbols"],
        ["4", "(128, 256, 256, 3)", "pictures, channels last; (128, 3, 256, 256) channels first"],
        ["5", "(4, 240, 144, 256, 3)", "clips × frames × height × width × channels"],
    ]
    page.text(
        "The number of axes is a tensor's **rank**. Axis 0 counts samples: batch number n of 128 is "
        "`x[128*n:128*(n+1)]`."
    )
    page.table(["rank", "shape", "for example"], rows)
    digits = np.zeros((60_000, 28, 28), np.uint8)
    slices = {
        "x[10:100]": digits[10:100],
        "x[:, 14:, 14:]": digits[:, 14:, 14:],
        "x[:, 7:-7, 7:-7]": digits[:, 7:-7, 7:-7],
        "x[128:256]": digits[128:256],
    }
    says = ("ninety pictures", "the lower right corners", "the middles", "the second batch of 128")
    page.table(
        ["slice of 60,000 digits", "shape", "what it is"],
        [[f"`{name}`", str(part.shape), words] for (name, part), words in zip(slices.items(), says, strict=True)],
    )
    values = int(np.prod((4, 240, 144, 256, 3)))
    page.number(
        "video_values", values, "numbers in four clips of a minute at 4 frames a second", printed=106_168_320, digits=9
    )
    page.number("video_mebibytes", values * 4 / 2**20, "MiB as float32", printed=405)
    page.correction(
        "Plain Talk §5.2",
        "a tensor of rank n has the shape [D0, D1, …, Dn]",
        "[D0, …, D(n−1)]: counting from 0, the last axis is n−1",
    )


def _picture(page: LessonPage) -> None:
    from sklearn.datasets import load_sample_image

    picture = np.ascontiguousarray(load_sample_image("flower.jpg")[40:424:6, 130:514:6])
    vector = picture.reshape(-1)
    back = vector.reshape(64, 64, 3)
    page.heading("A picture as a vector")
    page.text(
        "A colour picture of 64 × 64 is three tables of brightness. Written out pixel by pixel, red, green and blue of "
        "each, they are one long vector, and the way back is exact."
    )
    page.pictures([picture, *(picture[:, :, [c]] for c in range(3))], ["64 × 64 × 3", "red", "green", "blue"])
    page.number("vector_length", len(vector), "length of the vector", printed=12288)
    page.number(
        "picture_difference", np.abs(back.astype(int) - picture).max(), ("largest difference after the way back")
    )
    other = picture.transpose(2, 0, 1).reshape(-1)
    page.number(
        "order_difference",
        (other != vector).mean(),
        "share of entries that differ if the channels come first: both sides must agree on the order",
    )
