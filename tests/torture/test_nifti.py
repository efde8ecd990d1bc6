"""Damaged, hostile and foreign NIfTI files are refused in one line, and cheaply."""

from __future__ import annotations

import contextlib
import gzip
import tracemalloc

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vit_dementia.data.volumes import read_volume
from vit_dementia.errors import ScanError
from vit_dementia.preparation.slab import SlabPreprocessing
from vit_dementia.quality.found import look_at_found

pytestmark = pytest.mark.torture

SHAPE = (9, 10, 11)
AFFINE = np.diag([2.0, 2, 2, 1])
GOOD = nib.Nifti1Image(np.arange(990, dtype=np.int16).reshape(SHAPE), AFFINE).to_bytes()
PACKED = gzip.compress(GOOD, mtime=0)


def with_field(at: int, dtype: str, *values: float) -> bytes:
    """Return the good file with other numbers at one place of its header."""
    content = bytearray(GOOD)
    new = np.array(values, dtype).tobytes()
    content[at : at + len(new)] = new
    return bytes(content)


def flipped(content: bytes, at: int) -> bytes:
    changed = bytearray(content)
    changed[at] ^= 0x10
    return bytes(changed)


def image(voxels) -> bytes:
    return nib.Nifti1Image(voxels, AFFINE).to_bytes()


COLOR = np.zeros(SHAPE, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
REFUSED = {
    "nii-truncated-empty": (b"", "empty"),
    "nii-truncated-header": (GOOD[:348], "cut off"),
    "nii-truncated-in-header": (GOOD[:200], "cut off"),
    "nii-truncated-voxels": (GOOD[:-100], "cut off"),
    "nii-truncated-gz": (PACKED[:-200], "cut off"),
    "nii-gz-no-crc": (PACKED[:-8], "cut off"),
    "nii-gz-crc": (flipped(PACKED, -6), "damaged"),
    "nii-gz-flip": (flipped(PACKED, len(PACKED) // 2), "damaged|cut off"),
    "nii-html": (b"<html>" + bytes(1000), "NIfTI"),
    "nii-magic": (with_field(344, "S4", b"n+9"), "magic"),
    "nii-mgz": (b"\0\0\0\1" + bytes(2000), "NIfTI"),
    "nii-type": (with_field(70, "<i2", 1234), "type 1234"),
    "nii-complex": (image(np.zeros(SHAPE, np.complex64)), "complex64"),
    "nii-rgb": (image(COLOR), "color"),
    "nii-long-double": (with_field(70, "<i2", 1536, 128), "type"),
    "nii-offset-nan": (with_field(108, "<f4", np.nan), "begin at byte"),
    "nii-offset-far": (with_field(108, "<f4", 2e9), "begin at byte"),
    "nii-offset-inside": (with_field(108, "<f4", 100), "begin at byte"),
    "nii-dims-9": (with_field(40, "<i2", 9), "9 axes"),
    "nii-dims-0": (with_field(42, "<i2", 0), "sides of 1"),
    "nii-dims-negative": (with_field(42, "<i2", -56), "sides of 1"),
    "nii-4d": (image(np.zeros((9, 10, 11, 3), "u1")), "one 3-D volume"),
    "nii-5d": (image(np.zeros((9, 10, 11, 1, 2), "u1")), "one 3-D volume"),
    "nii-2d": (image(np.zeros((9, 10), "u1")), "one 3-D volume"),
    "nii-one-slice": (image(np.zeros((9, 10, 1), "u1")), "8 voxels"),
    "nii-thick": (image(np.zeros((48, 52, 5), "u1")), "8 voxels"),
    "nii-2-cubed": (image(np.zeros((2, 2, 2), "u1")), "8 voxels"),
    "nii-all-nan": (image(np.full(SHAPE, np.nan, "f4")), "finite"),
    "nii-too-bright": (image(np.full(SHAPE, 1e30, "f4")), "no scanner measures"),
    "nii-slope-inf": (with_field(112, "<f4", np.inf), "finite"),
    "nii-affine-nan": (with_field(280, "<f4", np.nan), "finite"),
    "nii-affine-singular": (
        with_field(280, "<f4", 2, 0, 0, 0, 2, 0, 0, 0), "span|voxels of",
    ),
    "nii-metres": (with_field(123, "u1", 3), "found voxels of"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_file_is_refused_in_one_line_that_names_it(tmp_path, name) -> None:
    content, said = REFUSED[name]
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(content)
    with pytest.raises(ScanError, match=said) as refused:
        read_volume(path)
    (line,) = refused.value.faults
    assert str(path) in line
    assert "\n" not in line


@pytest.mark.parametrize("version", [1, 2])
def test_a_header_that_claims_terabytes_costs_nothing(tmp_path, version) -> None:
    kind = {1: nib.Nifti1Image, 2: nib.Nifti2Image}[version]
    content = bytearray(kind(np.zeros(SHAPE, "f8"), AFFINE).to_bytes())
    if version == 1:
        content[42:48] = np.array([30_000] * 3, "<i2").tobytes()
    else:
        content[24:48] = np.array([30_000] * 3, "<i8").tobytes()
    path = tmp_path / "scan.nii"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ScanError, match="at most"):
        read_volume(path)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_a_gzip_bomb_is_read_no_further_than_its_header_says(tmp_path) -> None:
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(GOOD + bytes(200_000_000), compresslevel=1))
    tracemalloc.start()
    with pytest.raises(ScanError, match="far more"):
        read_volume(path)
    assert tracemalloc.get_traced_memory()[1] < 2e7
    tracemalloc.stop()


def test_an_extension_of_two_gigabytes_is_not_believed(tmp_path) -> None:
    content = bytearray(GOOD)
    content[348:352] = b"\1\0\0\0"
    extension = np.array([2_000_000_000, 6], "<i4").tobytes()
    content[352:352] = extension
    content[108:112] = np.array([352 + 8], "<f4").tobytes()
    path = tmp_path / "scan.nii"
    path.write_bytes(content)
    assert read_volume(path).voxels[0, 0, 1] == 1  # never looked at


def test_texts_of_a_header_are_never_shown(tmp_path) -> None:
    secret = b"Jane Doe 1950-01-01"
    content = bytearray(with_field(42, "<i2", 0))
    content[148 : 148 + len(secret)] = secret
    path = tmp_path / "scan.nii"
    path.write_bytes(content)
    with pytest.raises(ScanError) as refused:
        read_volume(path)
    assert "Jane" not in str(refused.value)


def test_a_pipe_is_not_waited_for(tmp_path) -> None:
    import os

    os.mkfifo(tmp_path / "scan.nii")
    with pytest.raises(ScanError, match="not a regular file"):
        read_volume(tmp_path / "scan.nii")


@given(st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_bytes_in_a_header_never_end_in_a_traceback(tmp_path, changes) -> None:
    content = bytearray(GOOD)
    for at, value in changes:
        content[at] = value
    path = tmp_path / "scan.nii"
    path.write_bytes(content)
    with contextlib.suppress(ScanError):
        assert np.isfinite(read_volume(path).voxels).all()


# row nii-gz-members
def test_gzip_of_several_members_is_one_file(tmp_path) -> None:
    whole, parts = tmp_path / "whole.nii.gz", tmp_path / "parts.nii.gz"
    whole.write_bytes(PACKED)
    cuts = [GOOD[:100], GOOD[100:352], b"", GOOD[352:700], GOOD[700:]]
    parts.write_bytes(b"".join(gzip.compress(cut, mtime=0) for cut in cuts))
    np.testing.assert_array_equal(read_volume(parts).voxels, read_volume(whole).voxels)


def egg() -> np.ndarray:
    """Return what passes for a head at 4 mm: an egg with noise."""
    x, y, z = np.mgrid[:48, :52, :48] - np.array([24, 26, 26])[:, None, None, None]
    inside = (x / 18) ** 2 + (y / 23) ** 2 + (z / 18) ** 2 < 1
    noise = np.random.default_rng(0).normal(180, 20, inside.shape)
    return np.where(inside, noise, 0).round().astype(np.float32)


FLAGGED = {
    "nii-zero": (np.zeros_like(egg()), 4, "constant"),
    "nii-label-map": ((egg() // 60), 4, "labels"),
    "nii-ct-range": (np.where(egg() > 0, egg() / 4, -1000), 4, "negative"),
    "nii-coarse": (egg()[:, :, ::6], (4, 4, 24), "resolution"),
}


@pytest.mark.parametrize("name", FLAGGED)
def test_what_is_no_t1_weighted_head_is_flagged(tmp_path, name) -> None:
    voxels, sides, code = FLAGGED[name]
    affine = np.diag([*np.broadcast_to(sides, 3), 1.0])
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(voxels.astype(np.float32), affine), path)
    volume = read_volume(path)
    quality = look_at_found(volume.voxels, volume.spacing_mm)
    assert quality.verdict == "fail"
    assert any(code in reason.code for reason in quality.reasons)


# row nii-hot-voxel
@pytest.mark.parametrize("place", [(24, 26, 26), (0, 0, 0)])
def test_one_hot_voxel_does_not_darken_the_head(tmp_path, place) -> None:
    prepare = SlabPreprocessing(
        size=(48, 48), spacing_mm=4.0, plane="axial", slab_mm=(60.0, 64.0), count=1
    )
    plain = egg()
    hot = plain.copy()
    hot[place] = 1e6
    slices = []
    for name, voxels in (("plain", plain), ("hot", hot)):
        path = tmp_path / f"{name}.nii"
        nib.save(nib.Nifti1Image(voxels, np.diag([4.0, 4, 4, 1])), path)
        slices.append(prepare(read_volume(path))[0].astype(np.float32))
    head = slices[0] > 40
    assert head.sum() > 300
    assert np.median(np.abs(slices[1] - slices[0])[head]) <= 2
