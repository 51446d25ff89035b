"""Figures as PNG files, with the colours of the report's light theme."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradus.files import write_atomic
from gradus.look.charts import ROLES, SETTINGS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, LINE, MODEL, SECOND, PAGE = (ROLES[role][1] for role in ("ink", "muted", "line", "model", "second", "page"))
DOTS_PER_INCH = 144


def write_picture(path: Path, size: tuple[float, float], paint: Callable[[Figure], None]) -> None:
    """Draws a figure of `size` inches and replaces `path` by it in one step."""
    import matplotlib
    from matplotlib.figure import Figure

    shown = dict(ROLES.values())
    themed: dict[Any, Any] = {key: shown.get(value, value) for key, value in SETTINGS.items()}
    with matplotlib.rc_context(themed), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(size, layout="constrained", facecolor=PAGE)
        paint(figure)
        written = BytesIO()
        figure.savefig(written, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    write_atomic(path, written.getvalue())
