from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.unit.data.pictures import tiff

from vit_dementia.data.images import probe_size, read_slice
from vit_dementia.errors import ScanError
from vit_dementia.limits import Limits

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (20, 13), dtype=np.uint8)
GRAY_16 = RNG.integers(0, 65536, (20, 13), dtype=np.uint16)
FLOAT = RNG.normal(size=(20, 13)).astype(np.float32)
TURN_THAT_EXIF_UNDOES = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def png(width: int, height: int, depth: int, color: int, rows: bytes) -> bytes:
    """Encode a PNG by hand, in kinds that Pillow does not write."""

    def chunk(name: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + checksum

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_the_same_gray_comes_from_every_mode(tmp_path, mode, suffix) -> None:
    path = tmp_path / f"slice.{suffix}"
    Image.fromarray(GRAY).convert(mode).save(path)
    np.testing.assert_array_equal(read_slice(path)[0], GRAY)
    assert probe_size(path) == GRAY.shape


def test_cmyk_bmp_and_lossless_webp_give_the_same_gray(tmp_path) -> None:
    image = Image.fromarray(GRAY)
    image.convert("RGB").convert("CMYK").save(tmp_path / "cmyk.tif")
    image.save(tmp_path / "x.bmp")
    image.save(tmp_path / "x.webp", lossless=True)
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal(read_slice(path)[0], GRAY)


def test_one_bit_is_black_and_white(tmp_path) -> None:
    Image.fromarray(GRAY > 128).save(tmp_path / "b.png")
    expected = np.where(GRAY > 128, 255, 0)
    np.testing.assert_array_equal(read_slice(tmp_path / "b.png")[0], expected)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate"])
def test_sixteen_bits_stay_sixteen_bits(tmp_path, suffix, compression) -> None:
    path = tmp_path / f"x.{suffix}"
    options = {"compression": compression} if suffix == "tif" and compression else {}
    Image.fromarray(GRAY_16).save(path, **options)
    np.testing.assert_array_equal(read_slice(path)[0], GRAY_16)


def test_float_tiff_is_read_and_nan_is_refused(tmp_path) -> None:
    Image.fromarray(FLOAT).save(tmp_path / "f.tif")
    np.testing.assert_array_equal(read_slice(tmp_path / "f.tif")[0], FLOAT)
    Image.fromarray(np.where(FLOAT > 1, np.nan, FLOAT)).save(tmp_path / "n.tif")
    with pytest.raises(ScanError, match="not finite"):
        read_slice(tmp_path / "n.tif")


def test_sixteen_bits_with_white_as_zero_are_inverted(tmp_path) -> None:
    Image.fromarray(GRAY_16).save(tmp_path / "x.tif", tiffinfo={262: 0})
    np.testing.assert_array_equal(read_slice(tmp_path / "x.tif")[0], 65535 - GRAY_16)


@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4"], ids=lambda dtype: dtype
)
def test_a_tiff_of_any_numbers_gives_those_numbers(tmp_path, dtype) -> None:
    ends = (-3, 4) if dtype == "f4" else np.iinfo(dtype)
    low, high = ends if dtype == "f4" else (ends.min, ends.max)
    pixels = np.linspace(low, high, 260).reshape(20, 13).astype(dtype)
    (tmp_path / "x.tif").write_bytes(tiff(pixels))
    np.testing.assert_array_equal(
        read_slice(tmp_path / "x.tif")[0], pixels.astype(np.float32)
    )


@pytest.mark.parametrize("dtype", ["u4", "i4", "f4"])
def test_a_tiff_of_32_bits_whose_black_is_not_known_is_refused(tmp_path, dtype) -> None:
    content = tiff(GRAY.astype(dtype), white_is_zero=True)
    (tmp_path / "x.tif").write_bytes(content)
    with pytest.raises(ScanError, match=r"black is not known|pixel mode"):
        read_slice(tmp_path / "x.tif")


def test_the_transparent_gray_of_sixteen_bits_becomes_black(tmp_path) -> None:
    white = np.where(GRAY_16 > 9999, GRAY_16, 65535)
    Image.fromarray(white).save(tmp_path / "x.png", transparency=65535)
    expected = np.where(white < 65535, white, 0)
    np.testing.assert_array_equal(read_slice(tmp_path / "x.png")[0], expected)


def test_a_color_that_the_palette_does_not_have_is_refused(tmp_path) -> None:
    Image.fromarray(GRAY).convert("P").save(tmp_path / "x.png")
    content = (tmp_path / "x.png").read_bytes()
    at = content.index(b"PLTE")
    (length,) = struct.unpack(">I", content[at - 4 : at])
    body = b"PLTE" + content[at + 4 : at + 10]
    short = struct.pack(">I", 6) + body + struct.pack(">I", zlib.crc32(body))
    rest = content[at + 4 + length + 4 :]
    (tmp_path / "x.png").write_bytes(content[: at - 4] + short + rest)
    with pytest.raises(ScanError, match="its palette has 2"):
        read_slice(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("kind", "named"),
    [("GIF", "GIF"), ("JPEG2000", "JPEG 2000"), ("AVIF", "AVIF"), ("PDF", "PDF")],
)
def test_a_format_that_is_not_read_is_called_by_its_name(tmp_path, kind, named) -> None:
    Image.fromarray(GRAY).convert("RGB").save(tmp_path / "x.png", kind)
    with pytest.raises(ScanError, match=f"found .*{named}.*; a PNG"):
        read_slice(tmp_path / "x.png")


@pytest.mark.parametrize("orientation", TURN_THAT_EXIF_UNDOES)
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_exif_orientation_is_undone(tmp_path, orientation, suffix) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    turn = TURN_THAT_EXIF_UNDOES[orientation]
    for values in (GRAY, GRAY_16):
        if suffix == "webp" and values is GRAY_16:
            continue
        image = Image.fromarray(values)
        path = tmp_path / f"x.{suffix}"
        options = {"lossless": True} if suffix == "webp" else {}
        (image.transpose(turn) if turn is not None else image).save(
            path, exif=exif, **options
        )
        np.testing.assert_array_equal(read_slice(path)[0], values)
        assert probe_size(path) == values.shape


def test_transparent_pixels_become_black(tmp_path) -> None:
    alpha = np.where(GRAY > 100, 255, 0).astype(np.uint8)
    Image.fromarray(np.dstack([GRAY, GRAY, GRAY, alpha])).save(tmp_path / "a.png")
    Image.fromarray(GRAY).save(tmp_path / "key.png", transparency=7)
    expected = np.where(GRAY > 100, GRAY, 0)
    np.testing.assert_array_equal(read_slice(tmp_path / "a.png")[0], expected)
    key = np.where(GRAY == 7, 0, GRAY)
    np.testing.assert_array_equal(read_slice(tmp_path / "key.png")[0], key)


def test_three_channels_repeat_gray_and_keep_color(tmp_path) -> None:
    color = RNG.integers(0, 256, (5, 4, 3), dtype=np.uint8)
    Image.fromarray(color).save(tmp_path / "c.png")
    Image.fromarray(GRAY_16).save(tmp_path / "g.png")
    rgb = read_slice(tmp_path / "c.png", channels=3)
    np.testing.assert_array_equal(rgb, np.moveaxis(color, -1, 0))
    gray = read_slice(tmp_path / "g.png", channels=3)
    assert gray.shape == (3, 20, 13)
    np.testing.assert_array_equal(gray[2], GRAY_16)


def test_jpeg_equals_pillows_own_reading(tmp_path) -> None:
    path = tmp_path / "x.jpg"
    Image.fromarray(GRAY).save(path, quality=90, progressive=True)
    with Image.open(path) as image:
        np.testing.assert_array_equal(read_slice(path)[0], np.asarray(image))
    path.write_bytes(path.read_bytes() + b"trailing bytes")
    assert read_slice(path).shape == (1, 20, 13)


def test_content_and_not_the_name_chooses_the_decoder(tmp_path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "x.png")
    (tmp_path / "x.png").rename(tmp_path / "X.JPG")
    np.testing.assert_array_equal(read_slice(tmp_path / "X.JPG")[0], GRAY)


def encoded(tmp_path: Path, suffix: str) -> bytes:
    path = tmp_path / f"good.{suffix}"
    Image.fromarray(GRAY).save(path)
    return path.read_bytes()


def damaged_files(tmp_path: Path) -> dict[str, tuple[bytes, str]]:
    jpg, good = encoded(tmp_path, "jpg"), encoded(tmp_path, "png")
    checksum_at = good.index(b"IEND") - 8  # of the pixel data, which Pillow skips
    lying = bytes([good[checksum_at] ^ 1])
    return {
        "cut.jpg": (jpg[: len(jpg) // 2], "cut off"),
        "no_end.jpg": (jpg[:-2], "cut off"),
        "header.jpg": (jpg[:40], "cut off"),
        "cut.png": (good[:-20], "cut off"),
        "no_end.png": (good[:-12], "cut off"),
        "checksum.png": (
            good[:checksum_at] + lying + good[checksum_at + 1 :],
            "wrong checksum in b'IDAT'",
        ),
        "no_pixels.png": (png(9, 9, 8, 0, b"\0\0"), "damaged PNG"),
        "zero.png": (b"", "empty"),
        "html.png": (b"<html>not found</html>", "text or HTML"),
        "text.jpg": (b"just text in a file", "text or HTML"),
        "random.png": (RNG.bytes(300), "other bytes"),
        "eps.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "text"),
        "gif.png": (b"GIF89a" + bytes([200] * 30), "a GIF image"),
        "rgb16.png": (png(2, 1, 16, 2, bytes(13)), "16-bit color"),
        "la16.png": (png(2, 1, 16, 4, bytes(9)), "16-bit color"),
    }


def test_every_damaged_file_is_refused_in_one_line_with_its_cause(tmp_path) -> None:
    for name, (content, cause) in damaged_files(tmp_path).items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ScanError, match=cause) as caught:
            read_slice(path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)


def test_what_is_not_a_regular_file_is_refused_without_waiting(tmp_path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "dangling.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
    for path in tmp_path.iterdir():
        for read in (read_slice, probe_size):
            with pytest.raises(ScanError):
                read(path)


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(60_000, 60_000, 8, 0, b"\0"))
    with pytest.raises(ScanError, match="60000 x 60000"):
        read_slice(path)
    with pytest.raises(ScanError, match="60000 x 60000"):
        probe_size(path)


def test_limits_can_be_set(tmp_path) -> None:
    encoded(tmp_path, "png")
    with pytest.raises(ScanError, match="at most 100 are read"):
        read_slice(tmp_path / "good.png", limits=Limits(pixels=100))
    with pytest.raises(ScanError, match="bytes on disk"):
        read_slice(tmp_path / "good.png", limits=Limits(image_bytes=10))


def test_a_tiff_of_several_pages_is_refused_and_animation_shows_its_first(
    tmp_path,
) -> None:
    image, other = Image.fromarray(GRAY), Image.fromarray(255 - GRAY)
    image.save(tmp_path / "p.tif", save_all=True, append_images=[other])
    with pytest.raises(ScanError, match="2 pages"):
        read_slice(tmp_path / "p.tif")
    image.save(tmp_path / "a.png", save_all=True, append_images=[other])
    np.testing.assert_array_equal(read_slice(tmp_path / "a.png")[0], GRAY)


def test_only_one_or_three_channels_make_sense(tmp_path) -> None:
    with pytest.raises(ValueError, match="1 \\(gray\\) or 3"):
        read_slice(tmp_path / "x.png", channels=2)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    suffix=st.sampled_from(["png", "jpg", "tif", "webp", "bmp"]),
    place=st.floats(0, 1, exclude_max=True),
    new=st.binary(min_size=1, max_size=4),
    keep=st.floats(0.2, 1),
)
def test_mutated_files_are_read_or_refused_but_never_crash(
    tmp_path, suffix, place, new, keep
) -> None:
    content = bytearray(encoded(tmp_path, suffix))
    at = int(place * len(content))
    content[at : at + len(new)] = new
    path = tmp_path / f"mutated.{suffix}"
    path.write_bytes(content[: int(keep * len(content))])
    try:
        pixels = read_slice(path)
    except ScanError as error:
        fault = str(error)
        pixels = np.zeros((1, 1, 1), np.float32)
    else:
        fault = ""
    assert "\n" not in fault
    assert np.isfinite(pixels).all()


def test_the_real_slices_open_as_pillow_opens_them(shared_data) -> None:
    path = shared_data / "deit_tiny_weights" / "kodim23.jpg"
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(
        np.moveaxis(read_slice(path, channels=3), 0, -1), expected
    )
