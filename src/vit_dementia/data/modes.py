"""What the pixels of a decoded picture mean, whichever mode Pillow has them in.

Shapes: c channels, h rows, w columns.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image
from PIL.ImageFile import ImageFile

from vit_dementia.errors import ScanError

log = logging.getLogger(__name__)

_GRAY_16 = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
DEEP = _GRAY_16 | {"I", "F"}
"""modes of more than 8 bits"""
_ALPHA = frozenset({"LA", "PA", "La", "RGBA", "RGBa"})
_WHITE_IS_ZERO = 0  # TIFF's PhotometricInterpretation
_UNSIGNED, _SIGNED = 1, 2  # TIFF's SampleFormat


def pixels_of(
    path: Path, upright: Image.Image, image: ImageFile, channels: int
) -> Float32[np.ndarray, "c h w"]:
    """Turn a decoded image of any mode into floating-point channels.

    Args:
        path: of the file, for messages.
        upright: the image as it is to be seen.
        image: the same as it was opened, which knows the tags of the file.
        channels: 1 or 3.

    Raises:
        ScanError: if white is 0 in a TIFF of numbers of which none is black.
    """
    if upright.mode in DEEP:
        return _deep(path, upright, image)[None]
    if upright.mode == "L" and _tag(image, 339) == _SIGNED:
        return np.asarray(upright).view(np.int8).astype(np.float32)[None]
    if upright.mode == "1":
        upright = upright.convert("L")
    if "transparency" in upright.info or upright.mode in _ALPHA:
        upright = _on_black(path, upright)
    # Luma of an image whose channels are equal is exactly that channel.
    return _planes(np.asarray(upright.convert("L" if channels == 1 else "RGB")))


def num_colors(image: ImageFile) -> int:
    """Return how many colors the palette of a PNG has; 256 where there is none."""
    if image.format != "PNG" or image.mode != "P" or image.palette is None:
        return 256
    return len(image.palette.palette) // 3


def check_colors(path: Path, image: Image.Image, colors: int) -> None:
    """Refuse pixels of a color that the palette does not have.

    Raises:
        ScanError: if there is one; Pillow would take it for black.
    """
    if image.mode != "P":
        return
    highest = int(np.asarray(image).max())
    if highest >= colors:
        raise ScanError(
            f"{path}: damaged PNG file (a pixel of color {highest}; its palette has "
            f"{colors})"
        )


def _deep(
    path: Path, upright: Image.Image, image: ImageFile
) -> Float32[np.ndarray, "h w"]:
    """Return gray values of 16 or 32 bits, as the file means them."""
    log.info("%s: gray values of more than 8 bits, scaled by their own range", path)
    stored = np.asarray(upright)
    if upright.mode == "I" and _tag(image, 339) == _UNSIGNED and _tag(image, 258) == 32:
        stored = stored.view(np.uint32)  # Pillow has no mode for them
    gray = stored.astype(np.float32)
    see_through = upright.info.get("transparency")
    if isinstance(see_through, int) and (gray == see_through).any():
        gray[gray == see_through] = 0
        log.info("%s: transparent pixels were put on black", path)
    if _tag(image, 262) == _WHITE_IS_ZERO:  # Pillow undoes it for 8 bits only
        if upright.mode not in _GRAY_16:
            raise ScanError(
                f"{path}: says that 0 is white, of numbers of 32 bits; black is not "
                "known: save it with black as 0"
            )
        gray = 65535 - gray
    return gray


def _tag(image: ImageFile, number: int) -> int | None:
    """Return a number among the tags of a TIFF; None if it is not there."""
    value = getattr(image, "tag_v2", {}).get(number)
    if isinstance(value, tuple):
        value = value[0] if value else None
    return int(value) if value is not None else None


def _on_black(path: Path, image: Image.Image) -> Image.Image:
    """Composite transparent pixels on black, the color of air in MRI."""
    straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode)
    layer = (image.convert(straight) if straight else image).convert("RGBA")
    if layer.getchannel("A").getextrema() != (255, 255):
        log.info("%s: transparent pixels were put on black", path)
    black = Image.new("RGBA", layer.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, layer)


def _planes(array: UInt8[np.ndarray, "*axes"]) -> Float32[np.ndarray, "c h w"]:
    planes = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    return planes.astype(np.float32)
