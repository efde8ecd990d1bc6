"""Volumes as nibabel reads them, whatever their form in the file."""

from __future__ import annotations

import gzip
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.orientations import axcodes2ornt, inv_ornt_aff

from vit_dementia.data.nifti import is_nifti_name
from vit_dementia.data.volumes import Volume, as_stored, read_volume, write_volume
from vit_dementia.errors import ScanError
from vit_dementia.limits import Limits

SHAPE = (9, 10, 11)
AFFINE = np.array([[2.0, 0, 0, -9], [0, 3, 0, -12], [0, 0, 1.5, -7], [0, 0, 0, 1]])


def voxels_of(dtype=np.int16):
    rng = np.random.default_rng(0)
    return rng.integers(0, 200, SHAPE).astype(dtype)


def turned(image, codes):
    """Return the same image stored with other axes."""
    from nibabel.orientations import io_orientation, ornt_transform

    way = ornt_transform(io_orientation(image.affine), axcodes2ornt(codes))
    return image.as_reoriented(way)


@pytest.mark.parametrize("codes", ["RAS", "LAS", "LPS", "PSR", "AIL"])
def test_every_orientation_gives_the_same_volume(tmp_path, codes) -> None:
    path = tmp_path / "scan.nii.gz"
    turned(nib.Nifti1Image(voxels_of(), AFFINE), codes).to_filename(path)
    found = read_volume(path)
    assert np.array_equal(found.voxels, voxels_of())
    np.testing.assert_allclose(found.affine, AFFINE)
    assert found.spacing_mm == (2.0, 3.0, 1.5)
    assert found.notes == ()


def test_an_oblique_volume_keeps_its_affine(tmp_path) -> None:
    turn = np.deg2rad(20)
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    image = nib.Nifti1Image(voxels_of(), tilt @ AFFINE)
    turned(image, "LPI").to_filename(tmp_path / "scan.nii")
    found = read_volume(tmp_path / "scan.nii")
    expected = nib.as_closest_canonical(nib.load(tmp_path / "scan.nii"))
    np.testing.assert_allclose(found.affine, expected.affine)
    assert np.array_equal(found.voxels, voxels_of())


def test_the_axes_of_a_file_come_back_whatever_they_are(tmp_path) -> None:
    tilt = np.eye(4)
    tilt[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    image = nib.Nifti1Image(voxels_of(), tilt @ AFFINE)
    for axes in permutations(("RL", "AP", "SI")):
        for codes in product(*axes):
            stored = turned(image, codes)
            stored.to_filename(tmp_path / "scan.nii")
            found = as_stored(read_volume(tmp_path / "scan.nii"))
            np.testing.assert_allclose(found.affine, stored.affine, atol=1e-4)
            assert np.array_equal(found.voxels, stored.get_fdata())
            write_volume(tmp_path / "again.nii", found)
            assert nib.aff2axcodes(nib.load(tmp_path / "again.nii").affine) == codes


@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "<i2", ">i2", "u2", "i4", "u4", "i8", "f4", ">f4", "f8"]
)
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_every_type_of_number_is_read_as_nibabel_reads_it(
    tmp_path, dtype, kind
) -> None:
    order = np.dtype(dtype).byteorder
    header = kind.header_class(endianness=">" if order == ">" else "<")
    image = kind(voxels_of(dtype) % 100, AFFINE, header)
    image.header.set_data_dtype(dtype)
    path = tmp_path / "scan.nii"
    image.to_filename(path)
    expected = nib.load(path).get_fdata(dtype=np.float32)
    assert np.array_equal(read_volume(path).voxels, expected)


@pytest.mark.parametrize("slope", [0.0, np.nan, 1.0, 0.25, -2.0])
def test_slope_and_intercept_are_applied_as_nibabel_does(tmp_path, slope) -> None:
    image = nib.Nifti1Image(voxels_of(), AFFINE)
    content = bytearray(image.to_bytes())
    content[112:120] = np.array([slope, 7.5], "<f4").tobytes()
    path = tmp_path / "scan.nii"
    path.write_bytes(content)
    expected = nib.load(path).get_fdata(dtype=np.float32)
    np.testing.assert_allclose(read_volume(path).voxels, expected)


def test_one_volume_on_four_axes_is_one_volume(tmp_path) -> None:
    nib.Nifti1Image(voxels_of()[..., None], AFFINE).to_filename(tmp_path / "a.nii")
    assert read_volume(tmp_path / "a.nii").voxels.shape == SHAPE


def test_a_pair_is_read_by_either_name(tmp_path) -> None:
    nib.Nifti1Pair(voxels_of(), AFFINE).to_filename(tmp_path / "scan.img")
    for name in ("scan.img", "scan.hdr"):
        assert np.array_equal(read_volume(tmp_path / name).voxels, voxels_of())
    (tmp_path / "scan.img").unlink()
    with pytest.raises(ScanError, match=r"scan\.hdr: is one half .* the \.img file"):
        read_volume(tmp_path / "scan.hdr")


def test_the_content_decides_and_not_the_name(tmp_path) -> None:
    content = nib.Nifti1Image(voxels_of(), AFFINE).to_bytes()
    for name, bytes_on_disk in {
        "UPPER.NII.GZ": gzip.compress(content),
        "packed.nii": gzip.compress(content),
        "plain.nii.gz": content,
        "members.nii.gz": gzip.compress(content[:500]) + gzip.compress(content[500:]),
    }.items():
        (tmp_path / name).write_bytes(bytes_on_disk)
        assert np.array_equal(read_volume(tmp_path / name).voxels, voxels_of()), name


def test_voxels_that_are_not_finite_become_zero_and_are_counted(tmp_path) -> None:
    voxels = voxels_of(np.float32)
    voxels[0, 0, :3] = np.nan, np.inf, -np.inf
    nib.Nifti1Image(voxels, AFFINE).to_filename(tmp_path / "a.nii")
    found = read_volume(tmp_path / "a.nii")
    assert found.voxels[0, 0, :3].tolist() == [0, 0, 0]
    assert found.voxels[0, 0, 3] == voxels[0, 0, 3]
    assert any("3 voxels are not finite" in note for note in found.notes)


def test_an_unknown_or_contradictory_orientation_is_told(tmp_path) -> None:
    image = nib.Nifti1Image(voxels_of(), AFFINE)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    image.to_filename(tmp_path / "a.nii")
    (note,) = read_volume(tmp_path / "a.nii").notes
    assert "left and right are unknown" in note
    image = nib.Nifti1Image(voxels_of(), AFFINE)
    image.set_sform(AFFINE, 2)
    image.set_qform(np.diag([-1, 1, 1, 1]) @ AFFINE, 1)
    image.to_filename(tmp_path / "b.nii")
    (note,) = read_volume(tmp_path / "b.nii").notes
    assert "sform RAS, qform LAS" in note


def test_other_units_of_length_become_millimetres(tmp_path) -> None:
    image = nib.Nifti1Image(voxels_of(), np.diag([1e-3, 1e-3, 1e-3, 1]) @ AFFINE)
    image.header.set_xyzt_units("meter")
    image.to_filename(tmp_path / "a.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "a.nii").affine, AFFINE)


@given(
    st.integers(0, 2**32 - 1),
    st.permutations([0, 1, 2]),
    st.tuples(*[st.booleans()] * 3),
)
def test_what_is_written_is_read_back(tmp_path_factory, seed, axes, flips) -> None:
    rng = np.random.default_rng(seed)
    voxels = rng.normal(size=SHAPE).astype(np.float32)
    volume = Volume(voxels, AFFINE)
    path = tmp_path_factory.mktemp("written") / "scan.nii.gz"
    write_volume(path, volume)
    found = read_volume(path)
    assert np.array_equal(found.voxels, voxels)
    np.testing.assert_allclose(found.affine, AFFINE)
    way = np.column_stack([axes, np.where(flips, -1, 1)])
    stored = nib.load(path).as_reoriented(way)
    stored.to_filename(path)
    np.testing.assert_allclose(stored.affine, AFFINE @ inv_ornt_aff(way, SHAPE))
    assert np.array_equal(read_volume(path).voxels, voxels)


def test_the_same_volume_gives_the_same_bytes_and_names_nobody(tmp_path) -> None:
    volume = Volume(voxels_of(np.float32), AFFINE, ("a note",))
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(tmp_path / name, volume, space="template")
    first, second = (tmp_path / name for name in ("a.nii.gz", "b.nii.gz"))
    assert first.read_bytes() == second.read_bytes()
    header = nib.load(first).header
    assert header["descrip"].item() == b""
    assert (int(header["sform_code"]), int(header["qform_code"])) == (4, 4)
    with pytest.raises(ValueError, match="nii"):
        write_volume(tmp_path / "a.mgz", volume)


def test_a_volume_larger_than_the_limit_is_refused_unread(tmp_path) -> None:
    nib.Nifti1Image(voxels_of(), AFFINE).to_filename(tmp_path / "a.nii")
    with pytest.raises(ScanError, match="at most 100 voxels"):
        read_volume(tmp_path / "a.nii", limits=Limits(voxels=100))


def test_names_of_volumes_are_known() -> None:
    assert not is_nifti_name("sub-01_T1w.json")


def test_the_real_volumes_are_read_as_nibabel_reads_them(shared_data) -> None:
    for path in sorted((shared_data / "mri_nifti_samples").glob("*.nii.gz")):
        found = read_volume(path)
        expected = nib.as_closest_canonical(nib.load(path))
        np.testing.assert_allclose(found.affine, expected.affine, atol=1e-5)
        voxels = expected.get_fdata(dtype=np.float32)
        np.testing.assert_allclose(found.voxels, voxels, rtol=1e-5, atol=1e-3)
