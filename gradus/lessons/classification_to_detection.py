"""From "what is it?" to "what is where?": a vector for one object, windows in one pass, and one box an object."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from gradus.look.charts import INK, MODEL, MUTED, SECOND, TEXT_SIZE
from gradus.reference.overlap import box_iou

if TYPE_CHECKING:
    from gradus.lessons.page import LessonPage

CAR = (1, 0.5, 0.7, 0.3, 0.4, 0, 1, 0)  # course notes §4.3.1: presence, centre x, y, height, width, classes
# boxes of two cars, by the probabilities of course notes §4.3.9: left, top, right, bottom, probability
BOXES = np.array(
    [
        [52, 52, 130, 112, 0.8],
        [64, 60, 142, 120, 0.7],
        [200, 60, 280, 116, 0.9],
        [188, 52, 268, 108, 0.6],
        [212, 68, 292, 124, 0.7],
        [136, 24, 170, 46, 0.3],
    ],
    dtype=float,
)
LEAST, OVERLAP = 0.6, 0.5


def steps(boxes: np.ndarray, least: float = LEAST, overlap: float = OVERLAP) -> list[tuple[str, list[int], list[int]]]:
    """What happens to boxes (N, 5): (words, indices kept for good, indices left) after each step."""
    order = np.argsort(-boxes[:, 4], kind="stable")
    left = [int(index) for index in order if boxes[index, 4] >= least]
    kept: list[int] = []
    found: list[tuple[str, list[int], list[int]]] = [
        ("all boxes", [], [int(index) for index in order]),
        (f"probability {least} or more", [], list(left)),
    ]
    while left:
        best, others = left[0], left[1:]
        shares = box_iou(boxes[[best], :4], boxes[others, :4])[0] if others else np.zeros(0)
        kept = [*kept, best]
        left = [index for index, share in zip(others, shares, strict=True) if share < overlap]
        found.append((f"keep {boxes[best, 4]:g}, drop what overlaps it", kept, list(left)))
    return found


def show(page: LessonPage) -> None:
    page.text(
        "A classifier says what a picture shows. Ask it for four more numbers and it says where; apply it to windows and it "
        "finds several things; let the windows share their work and it is fast; keep one box for each thing and it is a detector."
    )
    _vector(page)
    _windows(page)
    _suppression(page)
    page.try_it(
        "gradus train bccd-localization", "gradus train bccd-sliding-window", "gradus lesson dense-as-convolution"
    )


def _vector(page: LessonPage) -> None:
    import torch

    from gradus.boxes.one_object import boxes_of_vectors, squared_loss

    page.heading("One object: eight numbers")
    page.formula(
        r"y=(p_c,\;b_x,\;b_y,\;b_h,\;b_w,\;c_1,\;c_2,\;c_3)",
        "Presence, centre, height and width in shares of the picture, from its upper left corner; then the classes.",
    )
    page.correction(
        "course notes §4.3.1",
        "$b_h$, $h_w$, and height and width in changing order",
        "one order everywhere; here height, then width",
    )
    vector = torch.tensor([CAR], dtype=torch.float64)
    left, top, right, bottom = boxes_of_vectors(vector, (100, 100))[0].tolist()
    for name, value in (("left", left), ("top", top), ("right", right), ("bottom", bottom)):
        page.number(name, value, f"{name} of the notes' car (0.5, 0.7, 0.3, 0.4), in per cent of the picture")
    page.text(
        "The loss is the squared difference of **all** numbers where there is an object, and of $p_c$ **alone** where there is "
        "none: then the others mean nothing and may be anything."
    )
    nothing = torch.zeros(1, 8, dtype=torch.float64)
    answer = torch.tensor([[0.2, *(0.9,) * 7]], dtype=torch.float64)
    page.number(
        "loss_nothing", float(squared_loss(answer, nothing)), "loss of presence 0.2 and wild other numbers, for nothing"
    )
    page.number("loss_car", float(squared_loss(answer, vector)), "loss of the same answer for the car")


def _windows(page: LessonPage) -> None:
    import torch

    from gradus.models import create_model
    from gradus.models.as_convolution import as_convolution

    page.heading("Several objects: windows, in one pass")
    page.text(
        "Cut out every window, classify each: that works, and most of the work is done many times over, since windows overlap. "
        "With its dense layers written as convolutions (5 × 5, then 1 × 1) the same network takes the whole picture, and gives "
        "an answer for every window at once, every 2 pixels, since it pools by 2."
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create_model("window_convnet").eval()
        pictures = {side: torch.rand(1, 3, side, side) for side in (14, 16, 28)}
    network = as_convolution(model, 14)
    shapes, gap = {}, 0.0
    with torch.no_grad():
        for side, picture in pictures.items():
            sizes, value = [tuple(picture.shape[1:])], picture
            for layer in network:
                value = layer(value)
                if tuple(value.shape[1:]) != sizes[-1]:
                    sizes.append(tuple(value.shape[1:]))
                elif isinstance(layer, torch.nn.Conv2d):
                    sizes.append(sizes[-1])  # 1 x 1 of 400 to 400
            shapes[side] = sizes
            for row in range(value.shape[2]):
                for column in range(value.shape[3]):
                    crop = picture[:, :, 2 * row : 2 * row + 14, 2 * column : 2 * column + 14]
                    gap = max(gap, float((model(crop) - value[:, :, row, column]).abs().max()))
            page.number(f"answers_{side}", value.shape[2] * value.shape[3], f"windows of a picture of {side} × {side}")
    page.number("gap", gap, "largest difference to classifying every crop by itself")
    _draw_shapes(page, shapes)


def _draw_shapes(page: LessonPage, shapes: dict[int, list[tuple[int, ...]]]) -> None:
    words = ["picture", "conv 5 × 5", "pool 2", "5 × 5 (dense)", "1 × 1 (dense)", "1 × 1 (answer)"]

    def paint(axes):
        from matplotlib.patches import Rectangle

        for line, sizes in enumerate(shapes.values()):
            middle = -3.2 * line
            for place, (channels, side, _) in enumerate(sizes):
                reach = 0.2 + 0.85 * side / 28
                colour = SECOND if place == len(sizes) - 1 else MODEL
                corner = (2.6 * place - reach, middle - reach)
                axes.add_patch(Rectangle(corner, 2 * reach, 2 * reach, facecolor=colour, alpha=0.25, lw=0))
                axes.add_patch(Rectangle(corner, 2 * reach, 2 * reach, fill=False, edgecolor=colour, lw=1.2))
                axes.text(
                    *(2.6 * place, middle - 1.3),
                    f"{side}×{side}×{channels}",
                    ha="center",
                    va="center",
                    color=INK,
                    fontsize=TEXT_SIZE,
                )
                if not line:
                    axes.text(2.6 * place, 1.6, words[place], ha="center", color=MUTED, fontsize=TEXT_SIZE)
            for start, end in pairwise(range(len(sizes))):
                axes.annotate(
                    "",
                    (2.6 * end - 1.1, middle),
                    (2.6 * start + 1.1, middle),
                    arrowprops={"arrowstyle": "->", "color": MUTED},
                )
        axes.set(xlim=(-1.6, 14.6), ylim=(-8.4, 2.1), aspect="equal")
        axes.axis("off")

    page.figure(paint, "The notes' network on a crop and on larger pictures (§4.3.4)", size=(8.6, 5.4))


def _suppression(page: LessonPage) -> None:
    page.heading("One box for each object")
    page.text(
        f"Many windows see the same car. Drop boxes below {LEAST}; keep the most probable one, drop those whose intersection "
        f"over union with it is {OVERLAP} or more; go on with what is left. Each class by itself."
    )
    page.correction(
        "course notes §4.3.9",
        "no number is given from which on boxes overlap",
        f"{OVERLAP} is the usual one, and a setting; {LEAST} is the notes' own threshold of the probability",
    )
    happened = steps(BOXES)
    kept = happened[-1][1]
    page.number("dropped", len(BOXES) - len(happened[1][2]), "box below the threshold")
    page.number("boxes_left", len(kept), "boxes left, one a car", printed=2)
    page.number("first_kept", BOXES[kept[0], 4], "kept first", printed=0.9)
    page.number("second_kept", BOXES[kept[1], 4], "kept second", printed=0.8)

    def paint(every):
        from matplotlib.patches import Rectangle

        for axes, (words, chosen, left) in zip(every, happened, strict=True):
            for index in [*left, *chosen]:
                x, y, right, bottom, score = BOXES[index]
                colour = SECOND if index in chosen else MODEL
                axes.add_patch(Rectangle((x, y), right - x, bottom - y, fill=False, edgecolor=colour, lw=1.6))
                axes.text(x + 2, y - 3, f"{score:g}", color=colour, fontsize=TEXT_SIZE)
            axes.set(xlim=(40, 300), ylim=(135, 10), aspect="equal", xticks=[], yticks=[])
            axes.set_title(words, fontsize=TEXT_SIZE, color=INK)
            axes.grid(visible=False)

    page.figure(paint, "Two cars", panels=(2, 2), size=(7.4, 4.6), note="Orange: kept for good.")
