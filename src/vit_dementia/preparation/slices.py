"""One preparation of slices, saved with the model and replayed at prediction.

A slice is cleared of its scanner's intensity unit, brought to one size with its
proportions kept, and stored as 8-bit values; on the device these become the numbers
the network was trained on.

Shapes: ``b`` slices, ``c`` channels, ``h w`` as read, ``H W`` as prepared.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from vit_dementia.data.images import read_slice
from vit_dementia.errors import ScanError
from vit_dementia.preparation.stored import Stored

BRIGHT_PERCENTILE = 99.5  # of the pixels above zero: white, whatever the file's unit
COLDEST = -0.1  # of white; what is darker is no air in MRI


@dataclass(frozen=True, kw_only=True)
class SlicePreprocessing(Stored):
    """How a slice becomes the input of one model.

    Attributes:
        size: height and width in pixels given to the network.
        channels: 1 (gray) or 3 (red, green, blue).
        fit: ``pad`` scales to fit and fills up with black, ``stretch`` scales sides.
    """

    what: ClassVar[str] = "slice"
    size: tuple[int, int]
    channels: Literal[1, 3] = 1
    fit: Literal["pad", "stretch"] = "pad"

    @property
    def recipe(self) -> list[Any]:
        """What the 8-bit values depend on beside the file."""
        return [self.size, self.channels, self.fit]

    def read(self, path: Path) -> UInt8[np.ndarray, "c H W"]:
        """Return the slice of a file, prepared.

        Raises:
            ScanError: if it cannot be read, or holds nothing but one value.
        """
        return self(read_slice(path, channels=self.channels))

    def __call__(
        self, image: Float32[np.ndarray, "c h w"]
    ) -> UInt8[np.ndarray, "c H W"]:
        """Return the slice in 8 bit at the size of the model.

        Raises:
            ScanError: if the slice holds nothing but one value, or much below 0.
        """
        if image.min() == image.max():
            raise ScanError(
                "every pixel has the same value; needs a picture of a brain"
            )
        bright = image[image > 0]
        white = np.percentile(bright, BRIGHT_PERCENTILE) if bright.size else 0.0
        if image.min() < COLDEST * white:
            raise ScanError(
                f"dark pixels down to {image.min():g} beside bright ones of {white:g}, "
                "as in CT or in an image that was normalized; needs black as 0"
            )
        scaled = np.clip(image / white, 0.0, 1.0).astype(np.float32)
        return np.stack([self._resize(channel) for channel in scaled])

    def _resize(self, channel: Float32[np.ndarray, "h w"]) -> UInt8[np.ndarray, "H W"]:
        rows, columns = channel.shape
        if (rows, columns) == self.size:
            return _to_8_bit(channel)
        down, across = self.place(rows, columns)
        resized = Image.fromarray(channel).resize(
            (across.stop - across.start, down.stop - down.start),
            Image.Resampling.BICUBIC,  # Pillow's low-passes when it shrinks
        )
        framed = np.zeros(self.size, dtype=np.float32)
        framed[down, across] = np.asarray(resized)
        return _to_8_bit(framed)

    def place(self, rows: int, columns: int) -> tuple[slice, slice]:
        """Return which rows and columns of the model's input a slice fills.

        >>> SlicePreprocessing(size=(8, 8)).place(100, 50)
        (slice(0, 8, None), slice(2, 6, None))
        """
        height, width = self.size
        if self.fit == "stretch":
            return slice(0, height), slice(0, width)
        zoom = min(height / rows, width / columns)
        rows, columns = max(1, round(rows * zoom)), max(1, round(columns * zoom))
        top, left = (height - rows) // 2, (width - columns) // 2
        return slice(top, top + rows), slice(left, left + columns)


def _to_8_bit(values: Float32[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    return np.rint(np.clip(values, 0.0, 1.0) * 255.0).astype(np.uint8)
