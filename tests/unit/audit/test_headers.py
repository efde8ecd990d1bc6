from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vit_dementia.audit.headers import read_header

GRAY = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))


@pytest.mark.parametrize("quality", [1, 10, 30, 41, 45, 49, 50, 51, 75, 90, 95, 99])
def test_quality_is_what_pillow_was_told(tmp_path, quality) -> None:
    GRAY.save(tmp_path / "a.jpg", quality=quality)
    GRAY.convert("RGB").save(tmp_path / "b.jpg", quality=quality)
    assert read_header(tmp_path / "a.jpg").jpeg_quality == quality
    assert read_header(tmp_path / "b.jpg").jpeg_quality == quality


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.png", "PNG"), ("a.tif", "TIFF"), ("a.webp", "WebP"), ("a.bmp", "BMP")],
)
def test_the_content_says_which_format_it_is(tmp_path, name, kind) -> None:
    image = GRAY.convert("RGB") if kind == "WebP" else GRAY
    image.save(tmp_path / name)
    (tmp_path / name).rename(tmp_path / "a.jpg")
    header = read_header(tmp_path / "a.jpg")
    assert (header.format, header.mode, header.bits) == (kind, image.mode, 8)
    assert header.bytes == (tmp_path / "a.jpg").stat().st_size
    assert header.jpeg_quality is None


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_are_told(tmp_path, name) -> None:
    Image.fromarray(np.full((4, 4), 4000, np.uint16)).save(tmp_path / name)
    assert read_header(tmp_path / name).bits == 16
