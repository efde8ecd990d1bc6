"""Pictures of a registration: three cuts of a scan with the template's outlines on it.

Letters: ``x y z`` voxels of 2 mm, to the right, to the front, up; ``h w`` pixels.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from scipy import ndimage

from vit_dementia.quality.aligned import Reference

Picture = UInt8[np.ndarray, "h w 3"]

_CUTS_MM = (4.0, -20.0, 8.0)  # right of the middle; through the hippocampi; ventricles
_ORIGIN_MM = (-83.5, -118.5, -77.5)
_STEP_MM = 2.0
_OUTLINE = (255, 196, 0)  # of the brain
_INNER = (0, 210, 255)  # of white matter
_BRIGHT_PERCENTILE = 99.5


def overlay(shown: Float32[np.ndarray, "x y z"], reference: Reference) -> Picture:
    """Return the three cuts side by side: from the side, from the front, from below."""
    bright = shown[shown > 0]
    white = np.percentile(bright, _BRIGHT_PERCENTILE) if bright.size else 1.0
    gray = np.rint(np.clip(shown / white, 0, 1) * 255).astype(np.uint8)
    cuts = []
    for axis, place in enumerate(_CUTS_MM):
        index = round((place - _ORIGIN_MM[axis]) / _STEP_MM)
        picture = np.repeat(_upright(gray.take(index, axis))[..., None], 3, axis=2)
        for mask, color in (
            (reference.white > 0.5, _INNER),
            (reference.inside, _OUTLINE),
        ):
            cut = _upright(np.take(mask, index, axis))
            picture[_edge(cut)] = color
        cuts.append(picture)
    height = max(cut.shape[0] for cut in cuts)
    return np.concatenate([_padded(cut, height) for cut in cuts], axis=1)


def _upright(cut: np.ndarray) -> np.ndarray:
    """Return the cut with its second axis, up or to the front, upward."""
    return np.ascontiguousarray(cut.T[::-1])


def _edge(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    return mask & ~ndimage.binary_erosion(mask)


def _padded(picture: Picture, height: int) -> UInt8[np.ndarray, "_ w 3"]:
    """Return the picture with black above and below."""
    above = (height - picture.shape[0]) // 2
    below = height - picture.shape[0] - above
    return np.pad(picture, ((above, below), (0, 0), (0, 0)))
