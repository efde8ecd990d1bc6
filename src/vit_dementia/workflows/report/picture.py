"""A picture of a report: its bytes, its words, and the style that all share."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

MODEL, FLOOR, QUIET = "#0b5fa5", "#8a5a00", "#6b7280"  # 4.5:1 on white or better
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.titlesize": 11,
    "legend.frameon": False,
    "text.parse_math": False,  # a class may be named $x$
    "svg.hashsalt": "vit-dementia",  # the same figure gives the same bytes
}
_DPI = 160


@dataclass(frozen=True)
class Picture:
    """A picture as PNG and SVG, the words for who does not see it, its caption."""

    name: str
    png: bytes
    svg: bytes
    alt: str
    caption: str


@contextmanager
def styled(width: float, height: float) -> Iterator[Figure]:
    """Yield an empty figure of this size in inches, in the style of the report."""
    with mpl.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def saved(figure: Figure) -> tuple[bytes, bytes]:
    """Return a figure as PNG and SVG; the same figure gives the same bytes."""
    with warnings.catch_warnings():
        # A class name in a script that the font lacks still reads in the tables.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        engine = figure.get_layout_engine()
        if engine is not None:
            # Laid out once, not once for each kind of file: that is half of the work.
            engine.execute(figure)
            figure.set_layout_engine("none")
        return _saved(figure, "png"), _saved(figure, "svg")


def _saved(figure: Figure, kind: str) -> bytes:
    out = io.BytesIO()
    unset = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    figure.savefig(out, format=kind, dpi=_DPI, metadata=unset)
    return out.getvalue()


def short(name: str, most: int = 24) -> str:
    """Cut a long name for an axis; the tables have it whole.

    >>> short("a" * 30)
    'aaaaaaaaaaaaaaaaaaaaaaa…'
    """
    return name if len(name) <= most else name[: most - 1] + "…"
