"""Every image row of the catalog of bad inputs, by its name.

What is refused is refused wherever an image can enter; what is the same picture in
another dress gets the same answer.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tests.integration.conftest import CLASSES, TINY, paint_cohort
from tests.unit.data.pictures import tiff

pytestmark = pytest.mark.torture

RNG = np.random.default_rng(0)
SLICE = RNG.integers(1, 255, (32, 24), dtype=np.uint8)


def saved(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    """Return a picture as a file of some format."""
    into = io.BytesIO()
    (image or Image.fromarray(SLICE)).save(into, kind, **options)
    return into.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + body))
    return struct.pack(">I", len(body)) + name + body + checksum


def png(
    width: int, height: int, rows: bytes, *extra: bytes, interlaced: bool = False
) -> bytes:
    """Return a gray PNG whose pixels are what ``rows`` unpacks to."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, interlaced)
    chunks = (chunk(b"IHDR", header), *extra, chunk(b"IDAT", rows), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def bomb(side: int) -> bytes:
    """Return a PNG of nothing but zeros that unpacks to side x side pixels."""
    packer, row = zlib.compressobj(1), bytes(side + 1)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return png(side, side, body)


def interlaced() -> bytes:
    """Return the control in the seven passes of Adam7, which Pillow does not write."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4))
    passes += ((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = b"".join(
        b"\0" + row.tobytes() for x, y, dx, dy in passes for row in SLICE[y::dy, x::dx]
    )
    height, width = SLICE.shape
    return png(width, height, zlib.compress(rows), interlaced=True)


def flipped(content: bytes, at: int) -> bytes:
    changed = bytearray(content)
    changed[at] ^= 1
    return bytes(changed)


def flat(value: int, height: int = 32, width: int = 24) -> bytes:
    return saved("PNG", Image.new("L", (width, height), value))


GOOD_PNG, GOOD_JPEG = saved("PNG"), saved("JPEG")
COLOR = Image.fromarray(SLICE).convert("RGB")


def comment_of_64_mb() -> bytes:
    body = b"Comment\0\0" + zlib.compress(bytes(64 * 1024**2), 9)
    return png(24, 32, zlib.compress(bytes(800)), chunk(b"zTXt", body))


def sliver() -> bytes:
    return saved("PNG", Image.fromarray(RNG.integers(0, 255, (4, 6000), np.uint8)))


def noise() -> bytes:
    return bytes(RNG.integers(128, 256, 400, dtype=np.uint8))


def pages() -> bytes:
    return saved("TIFF", save_all=True, append_images=[Image.fromarray(255 - SLICE)])


def short_palette() -> bytes:
    header = struct.pack(">IIBBBBB", 24, 32, 8, 3, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in SLICE))
    chunks = ((b"IHDR", header), (b"PLTE", bytes(3) + b"\xff" * 3), (b"IDAT", rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*one) for one in (*chunks, (b"IEND", b""))
    )


# Row of the catalog: what makes the file, and what the refusal says.
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "img-truncated-jpeg": (lambda: GOOD_JPEG[: len(GOOD_JPEG) // 2], "cut off"),
    "img-truncated-png": (lambda: GOOD_PNG[: len(GOOD_PNG) // 2], "cut off"),
    "img-no-end-jpeg": (lambda: GOOD_JPEG[:-2], "cut off"),
    "img-no-end-png": (lambda: GOOD_PNG[:-12], "cut off"),
    "img-header-only": (lambda: GOOD_PNG[:33], "cut off"),
    "img-zero-byte": (lambda: b"", "empty"),
    "img-html": (lambda: b"<!doctype html><title>404</title>", "text or HTML"),
    "img-text": (lambda: b"this is no picture", "text or HTML"),
    "img-random": (noise, "other bytes"),
    "img-bad-crc": (lambda: flipped(GOOD_PNG, GOOD_PNG.index(b"IEND") - 6), "checksum"),
    "img-bad-zlib": (lambda: png(24, 32, b"x" * 99), "damaged"),
    "img-eps-as-png": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n", "image is needed"),
    "img-svg": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', "text or HTML"),
    "img-gif": (lambda: saved("GIF"), "image is needed"),
    "img-bomb-30000": (lambda: bomb(30_000), "30000 x 30000"),
    "img-bomb-13000": (lambda: bomb(13_000), "13000 x 13000"),
    "img-bomb-claims": (
        lambda: png(60_000, 60_000, zlib.compress(b"\0")),
        "60000 x 60000",
    ),
    "img-bomb-comment": (comment_of_64_mb, "damaged"),
    "img-black": (lambda: flat(0), "same value"),
    "img-white": (lambda: flat(255), "same value"),
    "img-one-pixel": (lambda: flat(7, 1, 1), "same value"),
    "img-sliver": (sliver, "as long as wide"),
    "img-jpeg-2000": (lambda: saved("JPEG2000"), "found a JPEG 2000 image"),
    "img-avif": (lambda: saved("AVIF", COLOR), "HEIC or AVIF"),
    "img-pages": (pages, "2 pages"),
    "img-below-zero": (lambda: tiff(SLICE.astype(np.int16) - 128), "black as 0"),
    "img-signed-8bit": (lambda: tiff((SLICE - 128).view(np.int8)), "black as 0"),
    "img-white-is-zero-float": (
        lambda: tiff(255 - SLICE.astype(np.float32), white_is_zero=True),
        "black is not known",
    ),
    "img-palette-short": (short_palette, "its palette has 2"),
}


@cache
def bad(row: str) -> bytes:
    """Return the file of a row; some take seconds to make."""
    return REFUSED[row][0]()


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere.png"))


def looping(path: Path) -> None:
    path.symlink_to(path)


def locked(path: Path) -> None:
    path.write_bytes(GOOD_PNG)
    path.chmod(0)


# Row of the catalog: what makes it.
NO_FILES = {
    "img-dangling": dangling,
    "img-link-loop": looping,
    "img-directory": Path.mkdir,
    "img-pipe": getattr(os, "mkfifo", None),
    "img-unreadable": locked,
}


def turned(orientation: int, kind: str) -> bytes:
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}[orientation]
    exif = Image.Exif()
    exif[0x112] = orientation
    return saved(kind, Image.fromarray(SLICE).transpose(turn), exif=exif, **exact(kind))


def exact(kind: str) -> dict[str, object]:
    return {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}


def animated() -> bytes:
    other = Image.fromarray(255 - SLICE)
    return saved("PNG", save_all=True, append_images=[other])


def sixteen(factor: int) -> bytes:
    return saved("PNG", Image.fromarray(SLICE.astype(np.uint16) * factor))


def clear_white_of_16_bits() -> bytes:
    """Return the control in 16 bits, with its darkest gray told as clear white."""
    clear = np.where(SLICE.min() == SLICE, 65535, SLICE.astype(np.uint16) * 256)
    return saved("PNG", Image.fromarray(clear.astype(np.uint16)), transparency=65535)


def layered(alpha: int, mode: str) -> Image.Image:
    image = Image.fromarray(SLICE).convert(mode)
    image.putalpha(alpha)
    return image


INDEXED = Image.fromarray(SLICE).convert("P")
# Row of the catalog: the name, and the file.
SAME: dict[str, tuple[str, bytes]] = {
    "img-16bit": ("a.png", sixteen(257)),
    "img-16bit-12": ("a.png", sixteen(16)),
    "img-32bit": ("a.tif", tiff(SLICE.astype(np.uint32) * 16_843_009)),
    "img-32bit-signed": ("a.tif", tiff(SLICE.astype(np.int32) * 8_000_000)),
    "img-float": ("a.tif", tiff(SLICE.astype(np.float32) / 1e6)),
    "img-white-is-zero": ("a.tif", tiff(255 - SLICE, white_is_zero=True)),
    "img-16bit-transparent": ("a.png", clear_white_of_16_bits()),
    "img-animated-webp": (
        "a.webp",
        saved("WEBP", save_all=True, append_images=[COLOR], lossless=True),
    ),
    "img-cmyk": ("a.tif", saved("TIFF", COLOR.convert("CMYK"))),
    "img-palette": ("a.png", saved("PNG", INDEXED)),
    "img-palette-alpha": ("a.png", saved("PNG", INDEXED, transparency=b"\xff" * 256)),
    "img-grey-alpha": ("a.png", saved("PNG", layered(255, "L"))),
    "img-rgba": ("a.png", saved("PNG", layered(255, "RGB"))),
    "img-rgb": ("a.png", saved("PNG", COLOR)),
    "img-exif-png-180": ("a.png", turned(3, "PNG")),
    "img-exif-png-90": ("a.png", turned(6, "PNG")),
    "img-interlaced": ("a.png", interlaced()),
    "img-trailing": ("a.png", GOOD_PNG + b"trailing bytes"),
    "img-capitals": ("A.PNG", GOOD_PNG),
    "img-png-named-jpg": ("a.jpg", GOOD_PNG),
    "img-apng": ("a.png", animated()),
    "img-tiff-as-png": ("a.png", saved("TIFF")),
    "img-webp": ("a.webp", saved("WEBP", lossless=True)),
    "img-bmp": ("a.bmp", saved("BMP")),
}


@pytest.fixture(scope="module")
def answer(predictor, tmp_path_factory):
    """Return what the model says of the control."""
    path = tmp_path_factory.mktemp("control") / "a.png"
    path.write_bytes(GOOD_PNG)
    return predictor([path]).predictions.probabilities


@pytest.mark.parametrize("row", SAME)
def test_the_same_picture_gets_the_same_answer(
    predictor, answer, tmp_path, row
) -> None:
    name, content = SAME[row]
    (tmp_path / name).write_bytes(content)
    told = predictor([tmp_path / name])
    assert not told.refused
    np.testing.assert_allclose(told.predictions.probabilities, answer, atol=2e-3)


@pytest.mark.parametrize("row", ["img-exif-jpeg", "img-progressive"])
def test_a_jpeg_turned_or_progressive_answers_as_its_plain_twin(
    predictor, tmp_path, row
) -> None:
    plain = saved("JPEG", **exact("JPEG"))
    twin = turned(3, "JPEG") if row == "img-exif-jpeg" else None
    twin = twin or saved("JPEG", progressive=True, **exact("JPEG"))
    for name, content in (("plain.jpg", plain), ("twin.jpg", twin)):
        (tmp_path / name).write_bytes(content)
    told = predictor([tmp_path / "plain.jpg", tmp_path / "twin.jpg"])
    plainly, otherwise = told.predictions.probabilities
    np.testing.assert_allclose(otherwise, plainly, atol=5e-3)


def test_one_bit_is_black_and_white(predictor, tmp_path) -> None:
    bits = SLICE > 128
    Image.fromarray(bits).save(tmp_path / "bits.png")
    Image.fromarray(np.where(bits, 255, 0).astype(np.uint8)).save(tmp_path / "l.png")
    told = predictor([tmp_path / "bits.png", tmp_path / "l.png"])
    np.testing.assert_array_equal(*told.predictions.probabilities)


def test_transparent_pixels_are_black_and_that_is_said(
    trained, command, tmp_path
) -> None:
    clear = np.where(SLICE > 90, 255, 0).astype(np.uint8)
    white = np.where(SLICE > 90, SLICE, 255).astype(np.uint8)
    Image.fromarray(np.dstack([white] * 3 + [clear])).save(tmp_path / "clear.png")
    Image.fromarray(np.where(SLICE > 90, SLICE, 0)).save(tmp_path / "black.png")
    files = ("clear.png", "black.png")
    done = command("predict", trained / "run", *files, "--json")
    first, second = json.loads(done.stdout)["results"]
    assert first["probabilities"] == second["probabilities"]
    assert "clear.png: transparent pixels were put on black" in done.stderr


@pytest.mark.parametrize(
    ("row", "remark"),
    [
        ("img-16bit-12", "more than 8 bits"),
        ("img-png-named-jpg", "in spite of its name"),
        ("img-tiff-as-png", "in spite of its name"),
        ("img-apng", "2 frames"),
    ],
)
def test_what_is_odd_is_read_and_remarked_on(
    trained, command, tmp_path, row, remark
) -> None:
    name, content = SAME[row]
    (tmp_path / name).write_bytes(content)
    assert remark in command("predict", trained / "run", name).stderr


@pytest.mark.parametrize("row", REFUSED)
def test_a_named_picture_that_is_bad_is_refused_with_its_cause(
    trained, command, tmp_path, row
) -> None:
    cause = REFUSED[row][1]
    (tmp_path / "bad.png").write_bytes(bad(row))
    done = command("predict", trained / "run", "bad.png", "--json", check=2)
    (result,) = json.loads(done.stdout)["results"]
    assert result["probabilities"] is None
    assert result["quality"]["verdict"] == "refused"
    assert cause in result["quality"]["reasons"][0]
    refusals = [n for n in done.stderr.splitlines() if n.startswith("refused: bad.png")]
    assert len(refusals) == 1


@pytest.mark.parametrize("row", NO_FILES)
def test_what_is_no_file_is_refused_and_never_waited_for(
    trained, command, tmp_path, row
) -> None:
    if NO_FILES[row] is None:
        pytest.skip("this system has no pipes")
    path = tmp_path / "bad.png"
    NO_FILES[row](path)
    if row == "img-unreadable" and os.access(path, os.R_OK):
        pytest.skip("this user reads everything")
    command("predict", trained / "run", path, check=2)


@pytest.mark.parametrize("row", ["img-truncated-png", "img-bomb-13000", "img-sliver"])
@pytest.mark.parametrize("verb", ["train", "evaluate", "check"])
def test_one_bad_picture_of_many_is_left_out_and_listed(
    trained, command, tmp_path, row, verb
) -> None:
    data = paint_cohort(tmp_path / "data", people=24)
    worst = data / CLASSES[0] / "sub-000_slice-1.png"
    worst.write_bytes(bad(row))
    if verb == "train":
        done = command("train", data, *TINY, "--epochs=0", "--out=run")
    elif verb == "check":
        done = command("check", data, "--json", "--out=found")
        assert worst.name in done.stdout + done.stderr
        return
    else:
        for path in data.rglob("*.png"):
            path.rename(path.with_name(path.name.replace("sub-0", "sub-5")))
        worst = worst.with_name("sub-500_slice-1.png")
        for path in set(data.rglob("*.png")) - {worst}:  # other people's, not copies
            pixels = np.asarray(Image.open(path)).copy()
            pixels[0, 0] = 9
            Image.fromarray(pixels).save(path)
        done = command("evaluate", trained / "run", data)
    assert worst.name in done.stderr


def test_all_the_bad_pictures_together_stop_a_training_and_are_all_named(
    command, tmp_path
) -> None:
    data = paint_cohort(tmp_path / "data", people=12)
    for number, row in enumerate(REFUSED):
        name = f"sub-{number + 100}_slice-0.png"
        (data / CLASSES[number % 2] / name).write_bytes(bad(row))
    done = command("train", data, *TINY, "--epochs=0", "--out=run", check=2)
    for number in range(len(REFUSED)):
        assert f"sub-{number + 100}_slice-0.png" in done.stderr
    assert not (tmp_path / "run").exists()


NAMES = {
    "name-spaces": "a b  c.png",
    "name-leading-space": " a.png",
    "name-nfc": "caf\u00e9.png",
    "name-nfd": "cafe\u0301.png",
    "name-emoji": "\U0001f9e0.png",
    "name-right-to-left": "\u202egnp.exe.png",
    "name-arabic": "\u062f\u0645\u0627\u063a.png",
    "name-newline": "a\nb.png",
    "name-tab": "a\tb.png",
    "name-return": "a\rb.png",
    "name-escape": "a\x1b[31mb.png",
    "name-bell": "a\x07b.png",
    "name-quote": 'a"b.png',
    "name-apostrophe": "a'b.png",
    "name-backslash": "a\\b.png",
    "name-html": "<img src=x onerror=alert(1)>.png",
    "name-ampersand": "a&amp;b.png",
    "name-formula": "=HYPERLINK(1).png",
    "name-formula-plus": "+1+1.png",
    "name-formula-at": "@SUM(1).png",
    "name-template": "{{7*7}}${7*7}.png",
    "name-percent": "%s%n%d.png",
    "name-dash-rf": "-rf.png",
    "name-dots": "..a..png",
    "name-semicolon": "a;b|c$(d)`e`.png",
    "name-255-bytes": "x" * 251 + ".png",
    "name-device": "con.png",
}


@pytest.mark.parametrize("row", NAMES)
def test_a_name_is_data_in_terminal_table_json_and_report(
    trained, command, tmp_path, row
) -> None:
    name = NAMES[row]
    (tmp_path / name).write_bytes(GOOD_PNG)
    given = f"./{name}" if name.startswith("-") else name
    done = command("predict", trained / "run", given, "--json", "--out=told")
    (result,) = json.loads(done.stdout)["results"]
    assert Path(result["path"]) == Path(name)
    assert all(c.isprintable() or c == "\n" for c in done.stderr)
    table = (tmp_path / "told" / "predictions.tsv").read_bytes().decode("utf-8")
    assert not any(cell[:1] in "=+@" for cell in table.split("\t") if cell)
    plain = command("predict", trained / "run", given)
    assert "\x1b" not in plain.stdout


def test_a_name_that_is_not_utf8_is_answered_or_refused_but_never_a_traceback(
    trained, command, tmp_path
) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    try:
        (tmp_path / name).write_bytes(GOOD_PNG)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    done = command("predict", trained / "run", name, "--json", check=2)
    (result,) = json.loads(done.stdout)["results"]
    assert "UTF-8" in result["quality"]["reasons"][0]


@pytest.mark.parametrize("name", ["name-html", "name-template", "name-newline"])
def test_awkward_names_do_not_break_a_training_or_its_report(
    command, tmp_path, name
) -> None:
    data = paint_cohort(tmp_path / "data", people=12)
    for number, path in enumerate(sorted(data.rglob("*.png"))):
        shutil.move(path, path.with_name(f"{path.stem}-{NAMES[name]}"))
        if number > 4:
            break
    command("train", data, *TINY, "--epochs=0", "--out=run")
    command("evaluate", "run")
    page = (tmp_path / "run/evaluation/test/report.html").read_text("utf-8")
    assert "<img src=x" not in page
    assert "{{7*7}}" not in page


def odd_one(row: str, gray: np.ndarray) -> Image.Image:
    """Return a picture that is a picture, and no slice like those of the training."""
    rng = np.random.default_rng(7)
    if row == "img-noise":
        return Image.fromarray(rng.integers(0, 255, gray.shape, np.uint8))
    if row == "img-color-scene":
        sky = np.linspace(255, 40, gray.shape[0])[:, None, None]
        color = np.broadcast_to(sky * [0.5, 0.7, 1.0], (*gray.shape, 3))
        return Image.fromarray(color.astype(np.uint8))
    return Image.fromarray(gray[::-1].copy())


@pytest.mark.parametrize("row", ["img-noise", "img-color-scene", "img-upside-down"])
def test_what_is_unlike_the_training_gets_no_answer(command, tmp_path, row) -> None:
    data = paint_cohort(tmp_path / "data", people=24)
    for path in data.rglob("*.png"):  # heads have a front
        pixels = np.asarray(Image.open(path)).copy()
        pixels[4:9, 8:16] = 250
        Image.fromarray(pixels).save(path)
    command("train", data, *TINY, "--epochs=1", "--out=run")
    odd_one(row, pixels).save(tmp_path / "odd.png")
    done = command("predict", "run", "odd.png", path, "--json", check=3)
    results = {one["path"]: one for one in json.loads(done.stdout)["results"]}
    odd, usual = results["odd.png"], results[str(path)]
    assert odd["probabilities"] is None
    assert odd["quality"]["verdict"] == "refused"
    assert "scans of the training" in odd["quality"]["reasons"][0]
    assert usual["quality"]["reasons"] == []
    assert 0 < usual["distance"] <= 1
    assert odd["distance"] is None
    command("predict", "run", "odd.png", check=3)  # it can be read, so not 2


# row img-burnt-in
def test_who_writes_pictures_of_scans_is_warned_of_what_stands_in_them(
    trained, command, tmp_path, gray
) -> None:
    with Image.fromarray(gray) as picture:
        ImageDraw.Draw(picture).text((1, 1), "DOE", fill=255)
        picture.save(tmp_path / "named.png")
    assert (
        "burnt into the pixels"
        not in command("predict", trained / "run", "named.png", check=(0, 3)).stderr
    )
    done = command("explain", trained / "run", "named.png", "--out=maps", check=(0, 3))
    assert "burnt into the pixels" in done.stderr
