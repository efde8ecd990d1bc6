"""The same head as DICOM and as NIfTI is one volume, and nobody's name leaves it."""

from __future__ import annotations

import shutil
import stat
from dataclasses import replace

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from vit_dementia.data.cohort import Cohort
from vit_dementia.data.dicom import converter, read_dicom
from vit_dementia.data.dicom.headers import read_header
from vit_dementia.data.dicom.pixels import read_frames
from vit_dementia.data.pseudonyms import pseudonym, read_salt
from vit_dementia.data.scans import scans_in, who_is_in_headers
from vit_dementia.data.volumes import read_volume, turned
from vit_dementia.errors import ConfigError, DataError, ScanError
from vit_dementia.limits import LIMITS

SHAPE = (12, 14, 24)
VOXELS = np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.float32)
AFFINE = np.diag([2.0, 2, 2, 1])


def read_ours(path):
    """Return what we read ourselves, without the converter."""
    return turned(path, read_dicom(path, convert=False))


def assert_same(volume, *, voxels=VOXELS) -> None:
    np.testing.assert_allclose(volume.voxels, voxels, rtol=1e-6)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-6)


def test_a_series_is_the_volume_that_a_nifti_file_is(write_series, tmp_path) -> None:
    write_series(tmp_path / "a", VOXELS)
    nib.Nifti1Image(VOXELS, AFFINE).to_filename(tmp_path / "a.nii")
    found, expected = read_ours(tmp_path / "a"), read_volume(tmp_path / "a.nii")
    assert_same(found)
    assert np.array_equal(found.voxels, expected.voxels)


@pytest.mark.skipif(converter() is None, reason="needs the extra dicom")
def test_dcm2niix_gives_the_same_volume(write_series, tmp_path) -> None:
    write_series(tmp_path / "a", VOXELS)
    found = read_volume(tmp_path / "a")
    assert_same(found)
    assert found.notes == ()


@pytest.mark.skipif(converter() is None, reason="needs the extra dicom")
def test_a_slice_that_dcm2niix_leaves_out_is_there(write_series, tmp_path) -> None:
    file = write_series(tmp_path / "a", VOXELS)[0]
    dataset = pydicom.dcmread(file)
    dataset.WaveformSequence = pydicom.Sequence([pydicom.Dataset()])  # then it does
    dataset.save_as(file)
    found = read_volume(tmp_path / "a")
    assert_same(found)
    assert found.notes == ("dcm2niix made a volume of another size; read without it",)


@pytest.mark.slow
@pytest.mark.skipif(converter() is None, reason="needs the extra dicom")
def test_dcm2niix_gives_the_same_volume_of_real_series(shared_data, tmp_path) -> None:
    for archive in sorted((shared_data / "mr_dicom").glob("*.tar.xz")):
        shutil.unpack_archive(archive, tmp_path / archive.name, filter="data")
        ours, theirs = (
            read_ours(tmp_path / archive.name),
            read_volume(tmp_path / archive.name),
        )
        assert np.array_equal(ours.voxels, theirs.voxels)
        np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-3)
        assert theirs.notes == ()


def test_slices_are_sorted_by_place_and_not_by_number_or_name(
    write_series, tmp_path
) -> None:
    write_series(
        tmp_path / "a", VOXELS,
        name_of=lambda number: f"IM{(number * 7) % 24}",
        InstanceNumber=lambda number: str(100 - number),
    )  # fmt: skip
    assert_same(read_ours(tmp_path / "a"))


def test_other_planes_give_the_same_volume(write_series, tmp_path) -> None:
    voxels = VOXELS.transpose(2, 1, 0)
    turned_voxels = voxels.transpose(1, 2, 0)  # slices from left to right
    y, z, _x = turned_voxels.shape
    write_series(
        tmp_path / "a", turned_voxels,
        ImagePositionPatient=lambda n: [-2 * n, -2 * (y - 1), 2 * (z - 1)],
        ImageOrientationPatient=[0, 1, 0, 0, 0, -1],
    )  # fmt: skip
    assert_same(read_ours(tmp_path / "a"), voxels=voxels)


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian,
     RLELossless],
)  # fmt: skip
def test_every_transfer_syntax_gives_the_same_volume(
    write_series, tmp_path, syntax
) -> None:
    for path in write_series(tmp_path / "a", VOXELS):
        dataset = pydicom.dcmread(path)
        if syntax == RLELossless:
            dataset.compress(RLELossless)
        else:
            if syntax == ExplicitVRBigEndian:
                pixels = np.frombuffer(dataset.PixelData, "<u2")
                dataset.PixelData = pixels.astype(">u2").tobytes()
            dataset = pydicom.Dataset(dataset)
            dataset.file_meta = pydicom.dcmread(path).file_meta
            dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(path, enforce_file_format=True)
    assert_same(read_ours(tmp_path / "a"))


def test_real_files_of_one_image_are_the_same_in_every_syntax(shared_data) -> None:
    folder = shared_data / "mr_dicom" / "pydicom_mr_small"
    headers = [read_header(file) for file in sorted(folder.glob("MR_small*.dcm"))]
    frames = [read_frames(header) for header in headers]
    assert len(frames) == 6
    for other in frames[1:]:
        assert np.array_equal(other, frames[0])
    with pytest.raises(ScanError, match="MR_truncated"):
        read_frames(read_header(folder / "MR_truncated.dcm"))


def test_slope_and_intercept_are_applied_slice_by_slice(write_series, tmp_path) -> None:
    write_series(
        tmp_path / "a", VOXELS,
        RescaleSlope=lambda number: str(1 + number), RescaleIntercept="-5",
    )  # fmt: skip
    expected = VOXELS * np.arange(1, 25, dtype=np.float32) - 5
    assert_same(read_ours(tmp_path / "a"), voxels=expected)


def test_monochrome1_is_turned_bright_side_up(write_series, tmp_path) -> None:
    write_series(
        tmp_path / "a", 4095 - VOXELS,
        PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11,
    )  # fmt: skip
    assert_same(read_volume(tmp_path / "a"))


def test_a_series_is_named_by_a_number_and_by_nothing_else(
    write_series, tmp_path
) -> None:
    path = write_series(tmp_path / "a", VOXELS, SeriesNumber="301")[0]
    assert read_header(path).number == "301"
    path.write_bytes(path.read_bytes().replace(b"301 ", b"Doe "))
    assert read_header(path).number == "?"
    for number in ("081508150815", "", None):
        path = write_series(tmp_path / "a", VOXELS, SeriesNumber=number)[0]
        assert read_header(path).number == "?"


@pytest.mark.parametrize(
    ("limits", "needed"),
    [({"frames": 5}, "5 frames"), ({"voxels": 6 * 12 * 14 - 1}, "1007 voxels")],
)
def test_frames_and_voxels_are_counted_by_the_header(
    write_series, tmp_path, limits, needed
) -> None:
    path = write_series(tmp_path / "a", VOXELS, NumberOfFrames="6")[0]
    assert read_header(path, limits=replace(LIMITS, frames=6, voxels=6 * 12 * 14))
    with pytest.raises(ScanError, match=needed) as refused:
        read_header(path, limits=replace(LIMITS, **limits))
    assert "claims 6 frames of 14 x 12" in str(refused.value)


def test_one_file_of_many_frames_is_one_volume(write_series, tmp_path) -> None:
    paths = write_series(tmp_path / "a", VOXELS)
    first = pydicom.dcmread(paths[0])
    frames = [pydicom.dcmread(path) for path in paths]
    first.NumberOfFrames = len(frames)
    first.PixelData = b"".join(frame.PixelData for frame in frames)

    def item(**elements):
        one = pydicom.Dataset()
        for name, value in elements.items():
            setattr(one, name, value)
        return pydicom.Sequence([one])

    shared = pydicom.Dataset()
    shared.PixelMeasuresSequence = item(PixelSpacing=[2, 2], SliceThickness="2")
    shared.PlaneOrientationSequence = item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    first.SharedFunctionalGroupsSequence = pydicom.Sequence([shared])
    each = []
    for frame in frames:
        groups = pydicom.Dataset()
        groups.PlanePositionSequence = item(
            ImagePositionPatient=frame.ImagePositionPatient
        )
        groups.PixelValueTransformationSequence = item(
            RescaleSlope="2", RescaleIntercept="1", RescaleType="US"
        )
        each.append(groups)
    first.PerFrameFunctionalGroupsSequence = pydicom.Sequence(each)
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(first, name)
    path = tmp_path / "one.dcm"
    first.save_as(path, enforce_file_format=True)
    assert_same(read_ours(path), voxels=2 * VOXELS + 1)


def other_kinds(write_series, folder):
    """Write what lies beside a T1 volume in a study."""
    few = VOXELS[:, :, :3]
    write_series(folder / "localizer", few, series="1", SeriesDescription="localizer")
    write_series(
        folder / "t2", VOXELS, series="3", SeriesDescription="t2_spc", EchoTime="400"
    )
    write_series(
        folder / "flat", VOXELS, series="4", SeriesDescription="t1 axial",
        MRAcquisitionType="2D",
    )  # fmt: skip


def test_the_t1_series_is_chosen_and_the_choice_is_told(write_series, tmp_path) -> None:
    other_kinds(write_series, tmp_path)
    write_series(tmp_path / "t1", VOXELS, series="2")
    found = read_ours(tmp_path)
    assert_same(found)
    assert found.notes == ("chose series 2 among 4 by its header",)


def test_two_t1_series_are_listed_and_a_file_chooses(write_series, tmp_path) -> None:
    other_kinds(write_series, tmp_path)
    write_series(tmp_path / "t1", VOXELS, series="2")
    second = write_series(tmp_path / "again", VOXELS + 1, series="5")
    with pytest.raises(ScanError, match="2 series that may be meant") as refused:
        read_ours(tmp_path)
    assert "series 5: 24 slices of 14 x 12 (TR 2300 ms" in str(refused.value)
    assert "Jane" not in str(refused.value)
    assert_same(read_ours(second[7]), voxels=VOXELS + 1)


def test_a_study_without_a_t1_volume_is_refused(write_series, tmp_path) -> None:
    other_kinds(write_series, tmp_path)
    with pytest.raises(ScanError, match="no 3-D T1-weighted series"):
        read_ours(tmp_path)


def test_a_header_that_says_nothing_of_weighting_is_believed_with_a_note(
    write_series, tmp_path
) -> None:
    write_series(
        tmp_path / "a", VOXELS, SeriesDescription=None, EchoTime=None,
        RepetitionTime=None,
    )  # fmt: skip
    (note,) = read_ours(tmp_path / "a").notes
    assert "does not tell" in note


def study(write_series, root, who: str, label: str, **elements):
    write_series(
        root / label / who / "t1", VOXELS + len(who), PatientID=who,
        StudyInstanceUID=f"1.2.3.{int(who[1:])}", **elements,
    )  # fmt: skip


def test_a_folder_of_studies_is_a_cohort_under_pseudonyms(
    write_series, tmp_path
) -> None:
    data, salt_file = tmp_path / "data", tmp_path / "salt"
    for who, label in (("A1", "CN"), ("A2", "AD"), ("A33", "AD")):
        study(write_series, data, who, label)
    cohort = Cohort.from_path(data, salt_file=salt_file)
    assert cohort.classes == ("CN", "AD")
    assert cohort.table["path"].tolist() == ["AD/A2/t1", "AD/A33/t1", "CN/A1/t1"]
    ids = cohort.table["participant_id"].tolist()
    salt = read_salt(salt_file)
    assert ids == [pseudonym("sub-", who, salt) for who in ("A2", "A33", "A1")]
    assert set(cohort.table["participant_source"]) == {"header"}
    # Prediction finds the same scans and calls the same people by the same names.
    scans = scans_in([data])
    who = who_is_in_headers(scans, salt_file)
    assert [who[str(scan)].participant_id for scan in scans] == ids
    other = who_is_in_headers(scans, tmp_path / "another salt")
    assert other[str(scans[0])].participant_id not in ids
    with pytest.raises(ConfigError, match="order of visits is not known"):
        Cohort.from_path(data, visits="last", salt_file=salt_file)
    cohort.write(tmp_path / "out")
    written = (tmp_path / "out").read_text()
    assert "Jane" not in written
    assert "1950" not in written


def test_a_table_of_people_finds_them_behind_their_pseudonyms(
    write_series, tmp_path
) -> None:
    for who in ("A1", "A2", "A33"):
        study(write_series, tmp_path / "data", who, "scans")
    table = tmp_path / "people.csv"
    table.write_text("participant_id,diagnosis,age\nA1,CN,70\nA2,AD,71\nA33,,72\n")
    cohort = Cohort.from_path(
        tmp_path / "data", participants=table, salt_file=tmp_path / "salt"
    )
    assert cohort.table["label"].tolist() == ["CN", "AD"]
    assert cohort.table["age"].tolist() == [70, 71]
    assert not cohort.table["participant_id"].isin(["A1", "A2"]).any()


def test_the_salt_is_made_once_and_for_its_owner_alone(tmp_path) -> None:
    path = tmp_path / "config" / "salt"
    first = read_salt(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_salt(path) == first
    assert read_salt(tmp_path / "other") != first
    (tmp_path / "short").write_text("pepper")
    with pytest.raises(DataError, match="salt of 32"):
        read_salt(tmp_path / "short")


def test_the_real_head_is_read_upright(shared_data, tmp_path) -> None:
    mosaic = shared_data / "mr_dicom" / "uih_dti_mosaic_not_T1.dcm"
    with pytest.raises(ScanError):
        read_ours(mosaic)
