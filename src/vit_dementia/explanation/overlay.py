"""A map drawn on the picture it explains, with a scale and what was measured.

Shapes: h w pixels.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Float32, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_WHITE = 99.5  # percentile of the picture that is drawn white
_STRONGEST = 0.75  # opacity of the most relevant place
_STYLE: dict[Any, Any] = {"font.size": 9, "text.parse_math": False}
_COLORS = "inferno"
_DPI = 120
_LETTERS_PER_INCH = 11
_IN_A_ROW = 6  # tiles


@dataclass(frozen=True)
class View:
    """One plane of a scan and its map.

    Attributes:
        picture: in any unit, as it should be seen.
        relevance: of the class that is explained; what is below zero is not drawn.
        name: written above, such as ``axial``.
    """

    picture: Float32[np.ndarray, "h w"]
    relevance: Float32[np.ndarray, "h w"]
    name: str = ""


def draw(views: Sequence[View], *, title: str, note: str) -> bytes:
    """Return a PNG: each plane as it is, and once more with its map on it.

    All planes share one scale, from nothing to the largest relevance of the scan.

    Args:
        title: what is explained, by which method.
        note: what was measured, or why the map is not to be believed.
    """
    top = max((float(view.relevance.max()) for view in views), default=0.0)
    count = len(views)
    shape = (1, 2) if count == 1 else (2, count)
    size = (3 * shape[1] + 0.9, 3.3 * shape[0] + 1.1)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(*shape, squeeze=False)
        for first, second, view in zip(
            axes.flat[:count], axes.flat[count:], views, strict=True
        ):
            _plain(first, view)
            first.set_title(view.name)
            _plain(second, view)
            share = np.clip(view.relevance, 0, None) / (top or 1.0)
            second.imshow(share, cmap=_COLORS, vmin=0, vmax=1, alpha=_STRONGEST * share)
        scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, 1), _COLORS)
        bar = figure.colorbar(scale, ax=axes, shrink=0.7, ticks=[0, 1])
        bar.ax.set_yticklabels(["none", "most"])
        bar.set_label("relevance for the class")
        figure.suptitle(title)
        figure.supxlabel("\n".join(wrap(note, round(size[0] * _LETTERS_PER_INCH))))
        return _png(figure)


@dataclass(frozen=True)
class Tile:
    """A scan and what stands above it.

    Attributes:
        picture: in any unit; None: there is none to show.
        caption: of a line or a few.
    """

    picture: Float32[np.ndarray, "h w"] | None
    caption: str


def draw_tiles(tiles: Sequence[Tile], *, title: str, note: str) -> bytes:
    """Return a PNG of scans side by side, the first of which the others are like.

    Args:
        tiles: from left to right, at most six in a row.
        title: what they are.
        note: in what they are alike.
    """
    columns = min(len(tiles), _IN_A_ROW)
    shape = (-(-len(tiles) // columns), columns)
    size = (max(1.9 * columns + 0.4, 4.0), 2.6 * shape[0] + 0.9)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(*shape, squeeze=False)
        for place in axes.flat:
            place.set_axis_off()
        for place, tile in zip(axes.flat, tiles, strict=False):  # empty ones at the end
            place.set_title(tile.caption, fontsize=8)
            if tile.picture is not None:
                white = _white(tile.picture)
                place.imshow(tile.picture, cmap="gray", vmin=0, vmax=white)
        figure.suptitle(title)
        figure.supxlabel("\n".join(wrap(note, round(size[0] * _LETTERS_PER_INCH))))
        return _png(figure)


def blend(view: View) -> UInt8[np.ndarray, "h w 3"]:
    """Return a plane with its map on it, pixel for pixel, in the colors of ``draw``.

    >>> view = View(np.array([[0.0, 1.0]], np.float32), np.zeros((1, 2), np.float32))
    >>> blend(view).tolist()
    [[[0, 0, 0], [255, 255, 255]]]
    """
    gray = np.clip(view.picture / _white(view.picture), 0, 1)[..., None]
    positive = np.clip(view.relevance, 0, None)
    share = positive / (float(positive.max()) or 1.0)
    opacity = _STRONGEST * share[..., None]
    colors = mpl.colormaps[_COLORS](share)[..., :3]
    return np.round(255 * ((1 - opacity) * gray + opacity * colors)).astype(np.uint8)


def planes(
    picture: Float32[np.ndarray, "x y z"],
    relevance: Float32[np.ndarray, "x y z"],
    spacing_mm: Float[np.ndarray, " 3"] | tuple[float, float, float],
) -> list[View]:
    """Return the three planes through the most relevant voxel, nose or top up.

    Voxels are drawn square: a plane of other sides is repeated along the longer one.
    """
    x, y, z = np.unravel_index(int(np.argmax(relevance)), relevance.shape)
    cuts = (("axial", 2, z, 0, 1), ("coronal", 1, y, 0, 2), ("sagittal", 0, x, 1, 2))
    views = []
    for name, axis, place, across, up in cuts:
        shown = [
            _square(
                np.take(volume, place, axis=axis).T[::-1],
                spacing_mm[up] / spacing_mm[across],
            )
            for volume in (picture, relevance)
        ]
        views.append(View(shown[0], shown[1], name))
    return views


def _square(
    plane: Float32[np.ndarray, "h w"], ratio: float
) -> Float32[np.ndarray, "_ _"]:
    """Return a plane whose rows are as high as its columns are wide."""
    count = max(1, round(plane.shape[0] * ratio))
    rows = np.minimum((np.arange(count) / ratio).astype(int), plane.shape[0] - 1)
    return plane[rows]


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DPI, metadata={"Software": None})
    return out.getvalue()


def _plain(axes: Axes, view: View) -> None:
    axes.imshow(view.picture, cmap="gray", vmin=0, vmax=_white(view.picture))
    axes.set_axis_off()


def _white(picture: Float32[np.ndarray, "h w"]) -> float:
    """Return the value that is drawn white."""
    bright = picture[picture > 0]
    return float(np.percentile(bright, _WHITE)) if bright.size else 1.0
