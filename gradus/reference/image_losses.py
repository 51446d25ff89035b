"""Losses of style transfer: content, style, smoothness. Features and pictures are (N, C, H, W); each loss is the mean over N.

Gatys et al. 2016 (*A Neural Algorithm of Artistic Style*) flatten a layer to F (C, M), M = H W positions. The texts scale the
three terms in several ways; weights tuned for one are wrong for another, so each scale has its name.
"""

from __future__ import annotations

import numpy as np

from gradus.reference.catalogue import Entry


def content(features: np.ndarray, wanted: np.ndarray, scale: str = "gatys") -> float:
    """Squared difference of one layer's features, times 1/2 (*Principles and Practice* eq. 6-8; "gatys").

    scale: "sum": times 1, as listing 6-21 has it (its 1/2 reappears as a weight in 6-22); "course": times 1/(4 C H W)
    """
    return float(_content_scale(features, scale) * ((features - wanted) ** 2).sum() / len(features))


def content_backward(features: np.ndarray, wanted: np.ndarray, scale: str = "gatys") -> np.ndarray:
    """F - P for "gatys". That it is 0 where F is 0 (*Plain Talk* §13.3) is the derivative of the ReLU before it."""
    return 2 * _content_scale(features, scale) * (features - wanted) / len(features)


def _content_scale(features: np.ndarray, scale: str) -> float:
    return {"gatys": 1 / 2, "sum": 1.0, "course": 1 / (4 * features[0].size)}[scale]


def gram(features: np.ndarray) -> np.ndarray:
    """G = F F^T (eq. 6-5): (N, C, H, W) -> (N, C, C). Where things stand in the picture is lost; which occur together stays."""
    rows = _rows(features)
    return rows @ rows.transpose(0, 2, 1)


def gram_backward(features: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """(g + g^T) F."""
    return ((gradient + gradient.transpose(0, 2, 1)) @ _rows(features)).reshape(features.shape)


def _rows(features: np.ndarray) -> np.ndarray:
    """(N, C, M)."""
    return features.reshape(*features.shape[:2], -1)


def style(
    features: np.ndarray, wanted: np.ndarray, scale: str = "gatys", picture: tuple[int, int] | None = None
) -> float:
    """Squared difference of one layer's Gram matrices, over 4 C^2 M^2 (eq. 6-6), the C and M of this layer.

    scale: "gatys"; the course notes' (2 C H W)^2 is the same number. "keras": C = 3 and M the pixels of the whole picture
           (height, width), for every layer, as listing 6-19 and the Keras example have it
    """
    gap = gram(features) - gram(wanted)
    return float((gap**2).sum() / _style_divisor(features, scale, picture) / len(features))


def style_backward(
    features: np.ndarray, wanted: np.ndarray, scale: str = "gatys", picture: tuple[int, int] | None = None
) -> np.ndarray:
    """(G - A) F / (C^2 M^2) for "gatys"."""
    gap = gram(features) - gram(wanted)
    return gram_backward(features, 2 * gap) / _style_divisor(features, scale, picture) / len(features)


def _style_divisor(features: np.ndarray, scale: str, picture: tuple[int, int] | None) -> float:
    _, channels, height, width = features.shape
    if scale == "keras":
        if picture is None:
            raise ValueError('scale="keras" needs the height and width of the picture')
        channels, (height, width) = 3, picture
    return 4.0 * channels**2 * (height * width) ** 2


def total_variation(pictures: np.ndarray, form: str = "power") -> float:
    """How much neighbouring pixels differ: small for smooth pictures, 0 for a constant one.

    power:    sum of (down^2 + right^2)^1.25 over all pixels but the last row and column (listing 6-25, Keras)
    squared:  sum of all squared differences
    absolute: sum of all absolute differences
    mean:     mean of the squared vertical differences plus that of the horizontal ones (*Plain Talk* §13.3)
    """
    down, right = _steps(pictures)
    number = len(pictures)
    if form == "power":
        return float(((down[..., :-1] ** 2 + right[..., :-1, :] ** 2) ** 1.25).sum() / number)
    if form == "squared":
        return float(((down**2).sum() + (right**2).sum()) / number)
    if form == "absolute":
        return float((np.abs(down).sum() + np.abs(right).sum()) / number)
    return float((down**2).mean() + (right**2).mean())


def total_variation_backward(pictures: np.ndarray, form: str = "power") -> np.ndarray:
    """What each difference hands to its two pixels: + to the later, - to the earlier."""
    down, right = _steps(pictures)
    by_down, by_right = np.zeros_like(down), np.zeros_like(right)
    if form == "power":
        short_down, short_right = down[..., :-1], right[..., :-1, :]
        slope = 2.5 * (short_down**2 + short_right**2) ** 0.25
        by_down[..., :-1], by_right[..., :-1, :] = slope * short_down, slope * short_right
    elif form == "absolute":
        by_down, by_right = np.sign(down), np.sign(right)
    else:
        by_down, by_right = 2 * down, 2 * right
    if form == "mean":
        by_down, by_right = by_down / down.size * len(pictures), by_right / right.size * len(pictures)
    gradient = np.zeros_like(pictures)
    gradient[..., 1:, :] += by_down
    gradient[..., :-1, :] -= by_down
    gradient[..., 1:] += by_right
    gradient[..., :-1] -= by_right
    return gradient / len(pictures)


def _steps(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Differences to the pixel below (N, C, H - 1, W) and to the right (N, C, H, W - 1)."""
    return np.diff(pictures, axis=-2), np.diff(pictures, axis=-1)


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name="content",
        function="image_losses.content",
        backward="image_losses.content_backward",
        formula=r"L=\frac{1}{2}\sum_{ij}(F_{ij}-P_{ij})^2",
        derivative=r"\frac{\partial L}{\partial F_{ij}}=F_{ij}-P_{ij}",
        range=r"[0,\infty)",
        fast="gradus.nn.content_loss",
        source="Gatys et al. 2016, eq. 1; *Principles and Practice* eq. 6-8; *Plain Talk* §13.3; course notes §4.4.9",
        note="Listing 6-21 omits the 1/2; the course notes scale by 1/(4 C H W).",
    ),
    Entry(
        name="Gram matrix",
        function="image_losses.gram",
        backward="image_losses.gram_backward",
        formula=r"G_{ij}=\sum_k F_{ik}F_{jk}",
        derivative=r"\frac{\partial L}{\partial F}=(g+g^T)F,\quad g=\frac{\partial L}{\partial G}",
        fast="gradus.nn.gram_matrix",
        source="Gatys et al. 2016, eq. 3; *Principles and Practice* eq. 6-5; course notes §4.4.11",
    ),
    Entry(
        name="style",
        function="image_losses.style",
        backward="image_losses.style_backward",
        formula=r"E=\frac{1}{4C^2M^2}\sum_{ij}(G_{ij}-A_{ij})^2",
        derivative=r"\frac{\partial E}{\partial F}=\frac{1}{C^2M^2}(G-A)F",
        range=r"[0,\infty)",
        fast="gradus.nn.style_loss",
        source="Gatys et al. 2016, eq. 4, 6; *Principles and Practice* eq. 6-6; *Plain Talk* §13.3; course notes §4.4.11",
        note="Listing 6-19 takes C = 3 and the picture's own size for every layer.",
    ),
    Entry(
        name="total variation",
        function="image_losses.total_variation",
        backward="image_losses.total_variation_backward",
        formula=r"L=\sum_{ij}((x_{i+1,j}-x_{ij})^2+(x_{i,j+1}-x_{ij})^2)^{1.25}",
        range=r"[0,\infty)",
        fast="gradus.nn.total_variation",
        source="*Principles and Practice* listing 6-25; *Plain Talk* §13.3; Mahendran and Vedaldi 2015, eq. 6 (power beta/2)",
        note="Also as the sum or mean of squares, or of absolute values.",
    ),
)
