"""Damaged, hostile and foreign DICOM is refused in one line that names nobody."""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import tracemalloc
import zlib
from io import BytesIO

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
)
from tests.unit.data.test_dicom import VOXELS

from vit_dementia.data.dicom import read_dicom
from vit_dementia.data.volumes import read_volume
from vit_dementia.errors import ScanError

pytestmark = pytest.mark.torture


def every(number: int, value, other):
    """Give one slice another value than the rest."""
    return lambda at: other if at == number else value


BAD_ELEMENTS = {
    "dcm-slope-nan": ({"RescaleSlope": "nan"}, "no number"),
    "dcm-slope-inf": ({"RescaleSlope": "inf"}, "no number"),
    "dcm-slope-1e999": ({"RescaleSlope": "1e999"}, "no number"),
    "dcm-slope-blank": ({"RescaleSlope": ""}, "no number"),
    "dcm-modality-ct": ({"Modality": "CT"}, "is CT, not MR"),
    "dcm-modality-pt": ({"Modality": "PT"}, "is PT, not MR"),
    "dcm-modality-xray": ({"Modality": "DX"}, "is DX, not MR"),
    "dcm-modality-screen": ({"Modality": "SC"}, "is SC, not MR"),
    "dcm-screen-capture": (
        {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "no 3-D T1-weighted",
    ),
    "dcm-modality-report": (
        {"Modality": "SR", "Rows": None, "Columns": None, "PixelData": None},
        "another kind",
    ),
    "dcm-modality-rt": (
        {"Modality": "RTSTRUCT", "Rows": None, "Columns": None, "PixelData": None},
        "another kind",
    ),
    "dcm-modality-rt-dose": ({"Modality": "RTDOSE"}, "another kind"),
    "dcm-modality-name": ({"Modality": "Jane Doe"}, "another kind"),
    "dcm-modality-id": ({"Modality": "DOE1950"}, "another kind"),
    "dcm-knee": ({"BodyPartExamined": "KNEE"}, "another part of the body"),
    "dcm-rgb": ({"SamplesPerPixel": 3}, "in color"),
    "dcm-no-position": ({"ImagePositionPatient": None}, "where its slices lie"),
    "dcm-no-direction": ({"ImageOrientationPatient": None}, "where its slices lie"),
    "dcm-no-spacing": ({"PixelSpacing": None}, "where its slices lie"),
    "dcm-spacing-0": ({"PixelSpacing": [0, 0]}, "no length"),
    "dcm-spacing-negative": ({"PixelSpacing": [-2, 2]}, "no length"),
    "dcm-spacing-1e9": ({"PixelSpacing": [1e9, 1e9]}, "is the unit millimetres"),
    "dcm-spacing-1e-9": ({"PixelSpacing": [1e-9, 1e-9]}, "is the unit millimetres"),
    "dcm-direction-flat": (
        {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "span a plane",
    ),
    "dcm-patients-mixed": (
        {"PatientID": every(5, "P1", "P2")}, "several people",
    ),
    "dcm-patients-one-id": (
        {"PatientName": every(5, "Doe^Jane", "Roe^John")}, "several people",
    ),
    "dcm-studies-mixed": (
        {"StudyInstanceUID": every(5, "1.2.3", "1.2.4")}, "several studies",
    ),
    "dcm-series-localizer": (
        {"ImageOrientationPatient": every(5, [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, 1])},
        "several directions",
    ),
    "dcm-series-spacing": (
        {"PixelSpacing": every(5, [2, 2], [1, 2])}, "several pixel sizes",
    ),
    "dcm-series-gap": (
        {"ImagePositionPatient": lambda at: [0, 0, 2 * at + 4 * (at > 9)]},
        "about 2 missing",
    ),
    "dcm-series-duplicate": (
        {"ImagePositionPatient": lambda at: [0, 0, 2 * (at - (at == 9))]},
        "1 slices lie where another one does",
    ),
    "dcm-series-aside": (
        {"ImagePositionPatient": lambda at: [20 * (at == 9), 0, 2 * at]},
        "one behind the other",
    ),
    "dcm-rows-0": ({"Rows": 0}, "pixels"),
    "dcm-rows-65535": ({"Rows": 65535, "Columns": 65535}, "voxels are read"),
    "dcm-frames-claim": ({"NumberOfFrames": "100000"}, "100000 frames"),
    "dcm-pixels-short": ({"PixelData": b"\0" * 10}, "pixels"),
    "dcm-pixels-none": ({"PixelData": None}, "pixels"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ELEMENTS)
def test_a_bad_series_is_refused_in_one_line(write_series, tmp_path, name) -> None:
    elements, said = BAD_ELEMENTS[name]
    with pydicom.config.disable_value_validation():
        write_series(tmp_path / "a", VOXELS, **elements)
    with pytest.raises(ScanError, match=said) as refused:
        read_dicom(tmp_path / "a", convert=False)
    (line,) = refused.value.faults
    assert str(tmp_path) in line
    for secret in ("Jane", "Doe", "Roe", "1950", "P-0815"):
        assert secret not in line


# row dcm-patients-beside
def test_slices_of_two_people_beside_a_named_file_are_refused(
    write_series, tmp_path
) -> None:
    paths = write_series(tmp_path / "a", VOXELS, PatientID=every(5, "P1", "P2"))
    with pytest.raises(ScanError, match="slices of several people under one series"):
        read_dicom(paths[0], convert=False)


def test_a_slope_in_letters_is_refused(write_series, tmp_path) -> None:
    for path in write_series(tmp_path / "a", VOXELS, RescaleSlope="87654321"):
        path.write_bytes(path.read_bytes().replace(b"87654321", b"Jane Doe"))
    with pytest.raises(ScanError, match="no number") as refused:
        read_dicom(tmp_path / "a", convert=False)
    assert "Jane" not in str(refused.value)


@pytest.mark.parametrize("left", [0, 100, 140, 400, 900])
def test_a_file_that_is_cut_off_is_refused(write_series, tmp_path, left) -> None:
    path = write_series(tmp_path / "a", VOXELS)[3]
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(ScanError):
        read_dicom(tmp_path / "a", convert=False)


def test_a_slice_that_was_deleted_is_missed(write_series, tmp_path) -> None:
    write_series(tmp_path / "a", VOXELS)[9].unlink()
    with pytest.raises(ScanError, match="about 1 missing"):
        read_dicom(tmp_path / "a", convert=False)


def test_slices_of_another_size_are_refused(write_series, tmp_path) -> None:
    write_series(tmp_path / "a", VOXELS)
    write_series(
        tmp_path / "a", VOXELS[:, :10, :1], name_of=lambda _: "other.dcm",
        ImagePositionPatient=[-22, -26, 48],
    )  # fmt: skip
    with pytest.raises(ScanError, match="several sizes"):
        read_dicom(tmp_path / "a", convert=False)


@pytest.mark.parametrize(
    ("syntax", "named"),
    [("1.2.840.10008.1.2.4.102", "MPEG-4"), ("1.2.3.4.5", "unknown")],
)
def test_a_syntax_that_nothing_can_undo_is_named(
    write_series, tmp_path, syntax, named
) -> None:
    for path in write_series(tmp_path / "a", VOXELS):
        content = path.read_bytes()
        old = b"1.2.840.10008.1.2.1\0"
        new = syntax.encode().ljust(len(old), b"\0")
        if len(new) == len(old):
            path.write_bytes(content.replace(old, new, 1))
        else:
            dataset = pydicom.dcmread(path)
            dataset.PixelData = pydicom.encaps.encapsulate([b"\0" * 64])
            dataset["PixelData"].is_undefined_length = True
            dataset.file_meta.TransferSyntaxUID = UID(syntax)
            dataset.save_as(path, enforce_file_format=True)
    with pytest.raises(ScanError, match=named):
        read_dicom(tmp_path / "a", convert=False)


@pytest.mark.parametrize("kind", ["large", "of few bytes", "behind another"])
def test_a_deflated_bomb_is_refused_before_it_unpacks(
    write_series, tmp_path, kind
) -> None:
    path = write_series(tmp_path / "a", VOXELS[:, :, :1])[0]
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    small = pydicom.Dataset(dataset)
    small.file_meta = dataset.file_meta
    small.save_as(path, enforce_file_format=True)
    content = path.read_bytes()
    written = pydicom.filereader.read_file_meta_info(path)
    length = int(written.FileMetaInformationGroupLength)
    start = 132 + 12 + length
    megabytes = 150 if kind == "large" else 30
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = b"".join(packer.compress(bytes(1_000_000)) for _ in range(megabytes))
    bomb += packer.flush()
    head = content[:start]
    if kind == "behind another":  # the length told leads to what is harmless
        told = struct.pack("<L", length + len(bomb))
        head = head[:140] + told + head[144:]
        bomb += content[start:]
    path.write_bytes(head + bomb)
    tracemalloc.start()
    with pytest.raises(ScanError, match="; a bomb"):
        read_dicom(path, convert=False)
    assert tracemalloc.get_traced_memory()[1] < 2e7
    tracemalloc.stop()


# row dcm-packed-size
def test_packed_pixels_of_another_size_are_refused_before_they_unpack(
    write_series, tmp_path
) -> None:
    packed = BytesIO()
    Image.new("L", (3000, 3000)).save(packed, "JPEG2000")
    for path in write_series(tmp_path / "a", VOXELS):
        dataset = pydicom.dcmread(path)
        dataset.PixelData = pydicom.encaps.encapsulate([packed.getvalue()])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
        dataset.save_as(path, enforce_file_format=True)
    tracemalloc.start()
    with pytest.raises(ScanError, match="other pixels than its header says"):
        read_dicom(tmp_path / "a", convert=False)
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()


@pytest.mark.parametrize("depth", [200, 3000, 100_000])
def test_sequences_of_endless_depth_are_refused(write_series, tmp_path, depth) -> None:
    path = write_series(tmp_path / "a", VOXELS[:, :, :1])[0]
    content = path.read_bytes()
    pixels = content.index(b"\xe0\x7f\x10\x00")
    # One item of undefined length in one sequence of undefined length, over and over.
    begin = b"\x00\x52\x29\x92SQ\0\0" + b"\xff" * 4 + b"\xfe\xff\x00\xe0" + b"\xff" * 4
    end = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    path.write_bytes(content[:pixels] + depth * begin + depth * end + content[pixels:])
    with pytest.raises(ScanError):
        read_dicom(path, convert=False)


# row dcm-length-4gb
@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_an_element_of_four_gigabytes_is_refused(
    write_series, tmp_path, wanted, last
) -> None:
    path = write_series(tmp_path / "a", VOXELS)[3]
    content = path.read_bytes()
    if wanted:
        tag, kind = b"\xe0\x7f\x09\x00", b"OD"  # DoubleFloatPixelData
    else:
        tag, kind = b"\x18\x00\x18\x99", b"OB"
    claim = tag + kind + b"\0\0" + struct.pack("<L", 0xFFFFFFF0)
    at = len(content) if last else content.index(b"\xe0\x7f\x10\x00")
    path.write_bytes(content[:at] + claim + b"few" + content[at:])
    tracemalloc.start()
    with pytest.raises(ScanError, match="claims more bytes than the file has"):
        read_dicom(tmp_path / "a", convert=False)
    assert tracemalloc.get_traced_memory()[1] < 2e7
    tracemalloc.stop()


# row dcm-no-preamble
def test_files_without_a_preamble_are_no_dicom(write_series, tmp_path) -> None:
    paths = write_series(tmp_path / "a", VOXELS)
    paths[3].write_bytes(paths[3].read_bytes()[132:])
    with pytest.raises(ScanError, match="no DICOM mark; it is named as the slices"):
        read_dicom(tmp_path / "a", convert=False)
    with pytest.raises(ScanError, match="NIfTI header begins with"):
        read_volume(paths[3])


def cut_to_nothing(path) -> None:
    path.write_bytes(b"")


def no_utf8(path) -> None:
    path.rename(path.with_name(os.fsdecode(b"\xff.dcm")))


def a_web_page(path) -> None:
    path.write_text("<html>not found</html>")


# row dcm-series-lost
@pytest.mark.parametrize("by", ["folder", "file"])
@pytest.mark.parametrize("harm", [cut_to_nothing, no_utf8, a_web_page])
def test_a_last_slice_that_cannot_be_read_is_not_left_out_in_silence(
    write_series, tmp_path, harm, by
) -> None:
    paths = write_series(tmp_path / "a", VOXELS)
    try:
        harm(paths[-1])
    except OSError:
        pytest.skip("this file system takes no such name")
    with pytest.raises(ScanError, match="named as the slices beside it are"):
        read_dicom(tmp_path / "a" if by == "folder" else paths[0], convert=False)


def test_what_is_not_named_as_the_slices_are_may_lie_beside_them(
    write_series, tmp_path
) -> None:
    folder = tmp_path / "a"
    for name_of in (lambda n: f"{n:03}.dcm", lambda n: f"1.2.3.{n}", lambda n: f"I{n}"):
        write_series(folder, VOXELS, name_of=name_of)
        for name, text in (("README", "x"), ("notes.txt", ""), (".done", "")):
            (folder / name).write_text(text)
        assert read_dicom(folder, convert=False).voxels.shape == VOXELS.shape
        shutil.rmtree(folder)


def directory(folder) -> None:
    """Write a DICOMDIR whose files lie outside of its folder."""
    record = pydicom.Dataset()
    record.DirectoryRecordType = "IMAGE"
    record.ReferencedFileID = ["..", "..", "SECRET"]
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3.9"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    whole = pydicom.FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    whole.DirectoryRecordSequence = pydicom.Sequence([record])
    whole.save_as(folder / "DICOMDIR", enforce_file_format=True)


# row dcm-dicomdir
def test_a_directory_that_leads_out_of_its_folder_leads_nowhere(
    write_series, tmp_path
) -> None:
    write_series(tmp_path / "b" / "a", VOXELS)
    (tmp_path / "SECRET").write_bytes(b"x")
    directory(tmp_path / "b" / "a")
    assert np.array_equal(
        read_dicom(tmp_path / "b" / "a", convert=False).voxels,
        read_dicom(next((tmp_path / "b" / "a").glob("*.dcm")), convert=False).voxels,
    )
    with pytest.raises(ScanError, match="another kind, not MR") as refused:
        read_dicom(tmp_path / "b" / "a" / "DICOMDIR", convert=False)
    assert "SECRET" not in str(refused.value)


# row dcm-htj2k
@pytest.mark.parametrize(
    ("syntax", "said"),
    [
        (HTJ2KLossless, "High-Throughput JPEG 2000.*pylibjpeg-openjpeg|damaged"),
        (JPEGLosslessSV1, "JPEG Lossless.*pylibjpeg-libjpeg|damaged"),
        (JPEGLSLossless, "JPEG-LS.*pyjpegls|damaged"),
    ],
)
def test_packed_pixels_that_are_none_are_refused(
    write_series, tmp_path, syntax, said
) -> None:
    for path in write_series(tmp_path / "a", VOXELS):
        dataset = pydicom.dcmread(path)
        dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f" + b"\7" * 62])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(path, enforce_file_format=True)
    with pytest.raises(ScanError, match=said):
        read_dicom(tmp_path / "a", convert=False)


def test_a_folder_without_dicom_says_so(tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ScanError, match="no DICOM file"):
        read_dicom(tmp_path)


@given(st.randoms(use_true_random=False))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_bytes_in_a_header_never_end_in_a_traceback(
    write_series, tmp_path, chance
) -> None:
    path = write_series(tmp_path / "a", VOXELS[:, :, :3])[1]
    content = bytearray(path.read_bytes())
    end = content.index(b"\xe0\x7f\x10\x00")  # where pixels begin
    for _ in range(chance.randint(1, 5)):
        content[chance.randrange(128, end + 12)] = chance.randrange(256)
    path.write_bytes(content)
    with contextlib.suppress(ScanError):
        read_dicom(tmp_path / "a", convert=False)


def test_a_number_of_half_its_bytes_is_refused(write_series, tmp_path) -> None:
    path = write_series(tmp_path / "a", VOXELS)[3]
    content = path.read_bytes()
    rows = content.index(b"\x28\x00\x10\x00US\x02\x00")
    shorter = content[: rows + 6] + b"\x01\x00" + content[rows + 9 :]
    path.write_bytes(shorter)
    with pytest.raises(ScanError):
        read_dicom(tmp_path / "a", convert=False)
