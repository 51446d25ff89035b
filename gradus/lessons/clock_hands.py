"""Reading a clock from pixels, from the tips of its hands, or from their angles: the better the numbers, the less to learn."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import MODEL, SECOND

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

SIDE = 24  # pixels
LONG, SHORT = 1.0, 0.6  # lengths of the minute and hour hand
COUNTS = (25, 100, 400, 1600)
# tips (x, y) of both hands, and the printed angles in degrees
PRINTED = (((0.7, 0.7), (0.5, 0.0), (45, 0)), ((0.0, 1.0), (-0.38, 0.32), (90, 140)))


def angles(minutes: np.ndarray) -> np.ndarray:
    """Of the minute and the hour hand, radians anticlockwise from three o'clock. minutes (N,) after twelve -> (N, 2)."""
    clockwise = np.stack([minutes % 60 / 60, minutes / 720], axis=1) * 2 * np.pi
    return np.pi / 2 - clockwise


def tips(turned: np.ndarray) -> np.ndarray:
    """(N, 2) angles -> (N, 4): x, y of the minute hand's tip, x, y of the hour hand's."""
    long, short = turned.T
    return np.stack([LONG * np.cos(long), LONG * np.sin(long), SHORT * np.cos(short), SHORT * np.sin(short)], axis=1)


def pictures(ends: np.ndarray) -> np.ndarray:
    """(N, 4) tips -> (N, SIDE, SIDE) in 0..1: two strokes from the middle, the hour hand twice as thick, on a round face."""
    across = np.linspace(-1.15, 1.15, SIDE)
    pixels = np.stack(np.meshgrid(across, -across), axis=-1).reshape(1, -1, 2)
    drawn = np.zeros((len(ends), SIDE * SIDE))
    for first, thick in ((0, 0.05), (2, 0.11)):
        tip = ends[:, None, first : first + 2]
        along = np.clip((pixels * tip).sum(-1) / (tip**2).sum(-1), 0, 1)
        distance = np.linalg.norm(pixels - along[..., None] * tip, axis=-1)
        drawn = np.maximum(drawn, np.clip(1 - (distance - thick) / 0.09, 0, 1))
    rim = np.clip(1 - np.abs(np.hypot(*pixels[0].T) - 1.1) / 0.06, 0, 1)
    return np.maximum(drawn, 0.5 * rim).reshape(-1, SIDE, SIDE)


def read_angles(turned: np.ndarray) -> np.ndarray:
    """The time by rounding, with nothing to learn: the whole hour from the short hand, the minutes from the long one."""
    clockwise = (np.pi / 2 - turned) / (2 * np.pi) % 1
    minute = clockwise[:, 0] * 60
    hour = np.round((clockwise[:, 1] * 720 - minute) / 60) % 12
    return hour * 60 + minute


def read_tips(ends: np.ndarray) -> np.ndarray:
    """Two arc tangents, then as above."""
    return read_angles(np.stack([np.arctan2(ends[:, 1], ends[:, 0]), np.arctan2(ends[:, 3], ends[:, 2])], axis=1))


def error(found: np.ndarray, minutes: np.ndarray) -> np.ndarray:
    """Minutes off, the short way round the face of twelve hours."""
    apart = np.abs(found - minutes) % 720
    return np.minimum(apart, 720 - apart)


def learn(inputs: np.ndarray, minutes: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """A network of 64 hidden neurons learns the directions of both hands; the time is then read off. -> minutes."""
    from sklearn.neural_network import MLPRegressor

    turned = angles(minutes)
    wanted = np.hstack([np.cos(turned), np.sin(turned)])  # cos of both, sin of both
    epochs = int(np.clip(30_000 / len(inputs), 20, 400))
    network = MLPRegressor(
        hidden_layer_sizes=(64,),
        max_iter=epochs,
        learning_rate_init=3e-3,
        batch_size=min(50, len(inputs)),
        random_state=0,
        tol=0,
        n_iter_no_change=10**6,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it stopped at max_iter, which is meant
        said = network.fit(inputs, wanted).predict(tested)
    return read_angles(np.arctan2(said[:, 2:], said[:, :2]))


def show(page: LessonPage) -> None:
    generator = np.random.default_rng(0)
    minutes, tested = (generator.integers(0, 720, size=count).astype(np.float64) for count in (max(COUNTS), 500))
    turned = angles(np.array([15.0, 190, 425, 600]))
    faces = pictures(tips(turned))
    page.text(
        "What time is it? The answer can be had from the picture (576 pixels here), from the places of the two "
        "tips (four numbers), or from the two angles. All three hold the same. But the first needs a network and "
        "hundreds of examples, the last a rounding and no example at all."
    )
    captions = ("12:15", "3:10", "7:05", "10:00")
    page.pictures([(255 * (1 - face)).astype(np.uint8)[:, :, None] for face in faces], captions)
    page.text(
        "Tips are counted from the middle, in lengths of the long hand; angles from three o'clock, against the clock."
    )
    page.table(
        ("time", "long tip", "short tip", "angles, degrees"),
        [
            [
                caption,
                *(f"({x:.2f}, {y:.2f})".replace("-", "−") for x, y in (ends[:2], ends[2:])),
                f"{long:.0f} and {short:.1f}",
            ]
            for caption, ends, (long, short) in zip(captions, tips(turned), np.degrees(turned) % 360, strict=True)
        ],
        title="The same four clocks",
    )
    by_angle = error(read_angles(angles(tested)), tested)
    page.number(
        "angle_error", round(float(by_angle.mean()), 9), "mean error from the angles, minutes, no example learnt from"
    )
    _learning(page, minutes, tested)
    _printed(page)
    page.try_it("gradus lesson coordinate-change")


def _learning(page: LessonPage, minutes: np.ndarray, tested: np.ndarray) -> None:
    page.heading("What each must learn")
    page.text(
        "The same small network (64 hidden neurons) learns the directions of the hands, from pixels and from tips, "
        "and is asked for 500 new clocks. An error in the hour counts fully, so a network that knows nothing is "
        "off by three hours on average."
    )
    make = {
        "pixels": lambda when: pictures(tips(angles(when))).reshape(len(when), -1),
        "tips": lambda when: tips(angles(when)),
    }
    errors = {
        name: [
            float(error(learn(shown(minutes[:count]), minutes[:count], shown(tested)), tested).mean())
            for count in COUNTS
        ]
        for name, shown in make.items()
    }
    page.table(
        ("clocks learnt from", "error from pixels, min", "from tips, min", "from angles, min"),
        [[f"{count:,}", *(round(errors[name][i], 2) for name in make), 0] for i, count in enumerate(COUNTS)],
    )

    def curves(axes):
        for name, colour in (("pixels", MODEL), ("tips", SECOND)):
            axes.plot(COUNTS, errors[name], "o-", color=colour, markersize=4)
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="clocks learnt from",
            ylabel="mean error, minutes",
            xticks=COUNTS,
            xticklabels=[str(count) for count in COUNTS],
        )
        axes.minorticks_off()

    page.figure(
        curves,
        "Error by number of examples",
        keys=[("model", "pixels"), ("second", "tips")],
    )
    for name, values in errors.items():
        page.number(f"{name}_few", values[0], f"mean error from {name} after {COUNTS[0]} clocks, minutes")
        page.number(f"{name}_many", values[-1], f"mean error from {name} after {COUNTS[-1]:,} clocks, minutes")
    page.text(
        "Finding better numbers by hand is **feature engineering**. Deep networks make it less needed, not "
        "useless: good features solve a task with less data and less computing."
    )


def _printed(page: LessonPage) -> None:
    page.heading("Can these clocks be?")
    for number, (long, short, printed) in enumerate(PRINTED, start=1):
        found = [np.degrees(np.arctan2(y, x)) % 360 for x, y in (long, short)]
        minute = (90 - found[0]) % 360 / 6
        shown = (90 - found[1]) % 360 * 2 % 60  # the minutes that the hour hand shows, past its hour
        page.number(
            f"long_angle_{number}",
            found[0],
            f"angle of the first hand of the book's clock {number}",
            printed=printed[0],
        )
        page.number(f"short_angle_{number}", found[1], "angle of its second hand", printed=printed[1])
        page.number(
            f"disagreement_{number}", abs((minute - shown + 30) % 60 - 30), "minutes by which its two hands disagree"
        )
    page.correction(
        "Deep Learning with Python §4.3.2, figure 4-3",
        "the two clocks have hands at 45 and 0, and at 90 and 140 degrees",
        "the angles follow from the tips (the last is 139.9), but no clock stands so: the hour hand moves on with "
        "the minutes, and its place past the hour must agree with the long hand",
    )
