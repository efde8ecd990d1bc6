"""Files made to take for ever to decode end with one line, in any thread or process."""

from __future__ import annotations

import gzip
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGExtended12Bit

from vit_dementia.data.dicom import read_dicom
from vit_dementia.data.images import read_slice
from vit_dementia.data.volumes import read_volume
from vit_dementia.errors import ScanError
from vit_dementia.limits import Limits

pytestmark = pytest.mark.torture

GIVEN_UP = r"longer to read than 0\.5 seconds"
SOON = 5.0  # seconds, on a busy machine
VOXELS = np.random.default_rng(0).integers(0, 900, (12, 14, 3)).astype(np.float32)


@pytest.fixture
def soon():
    """Pass if the test took few seconds."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < SOON


def of_many_scans(side: int, count: int) -> bytes:
    """Return a progressive JPEG whose last scan begins anew, empty, ever so often."""
    picture = BytesIO()
    gray = np.add.outer(np.arange(side), np.arange(side)) % 200
    Image.fromarray(gray.astype(np.uint8)).save(picture, "JPEG", progressive=True)
    content = picture.getvalue()
    at = content.rindex(b"\xff\xda")
    (length,) = struct.unpack_from(">H", content, at + 2)
    return content[:-2] + count * content[at : at + 2 + length] + b"\xff\xd9"


# row img-many-scans
def test_a_jpeg_of_endless_scans_is_refused_before_it_is_decoded(
    tmp_path, soon
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(of_many_scans(3000, 50_000))
    with pytest.raises(ScanError, match=r"draws 3000 x 3000 pixels 500\d\d times"):
        read_slice(path)


# row img-some-scans
def test_a_jpeg_of_some_more_scans_is_read(tmp_path) -> None:
    (tmp_path / "plain.jpg").write_bytes(of_many_scans(64, 0))
    (tmp_path / "more.jpg").write_bytes(of_many_scans(64, 500))
    plain = read_slice(tmp_path / "plain.jpg")
    np.testing.assert_array_equal(read_slice(tmp_path / "more.jpg"), plain)


# row dcm-many-scans
def test_a_jpeg_of_endless_scans_within_dicom_is_refused(
    write_series, tmp_path, soon
) -> None:
    packed = of_many_scans(2000, 50_000)
    for path in write_series(tmp_path / "a", np.zeros((2, 2, 3), np.float32)):
        dataset = pydicom.dcmread(path)
        dataset.Rows = dataset.Columns = 2000
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit = 7
        dataset.PixelData = pydicom.encaps.encapsulate([packed])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEGExtended12Bit
        dataset.save_as(path, enforce_file_format=True)
    with pytest.raises(ScanError, match="JPEG frames draw more than"):
        read_dicom(path, convert=False)


def slow_png(side: int) -> bytes:
    """Return pixels that take a while to unpack."""
    picture = BytesIO()
    Image.fromarray(np.zeros((side, side), np.uint8)).save(picture, "PNG")
    return picture.getvalue()


def slow_bitmap(side: int) -> bytes:
    """Return pixels in runs of one, which Pillow unpacks in Python."""
    runs = side * (side * b"\1\7" + b"\0\0") + b"\0\1"
    palette = b"".join(bytes((k, k, k, 0)) for k in range(256))
    start = 14 + 40 + len(palette)
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(runs), 0, 0, 256, 0)
    first = b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start)
    return first + head + palette + runs


def endless_pages(count: int) -> bytes:
    """Return a TIFF of ever so many pages, told by one directory each."""
    page = BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(page, "TIFF")
    content = page.getvalue()
    (at,) = struct.unpack_from("<I", content, 4)
    (entries,) = struct.unpack_from("<H", content, at)
    directory = content[at : at + 2 + 12 * entries]
    parts, place = [content], len(content)
    for number in range(count):
        after = 0 if number == count - 1 else place + len(directory) + 4
        parts.append(directory + struct.pack("<I", after))
        place += len(directory) + 4
    whole = bytearray(b"".join(parts))
    struct.pack_into("<I", whole, at + 2 + 12 * entries, len(content))
    return bytes(whole)


PICTURES = {
    "img-slow-rle": lambda: slow_bitmap(2500),
    "img-many-pages": lambda: endless_pages(200_000),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_that_takes_too_long_is_given_up_in_a_thread_too(
    tmp_path, name
) -> None:
    path = tmp_path / "a.img"
    path.write_bytes(PICTURES[name]())
    limits = Limits(decoding_seconds=0.5)
    start = time.monotonic()
    with ThreadPoolExecutor(1) as pool, pytest.raises(ScanError, match=GIVEN_UP):
        pool.submit(read_slice, path, limits=limits).result()
    assert time.monotonic() - start < SOON


# row nii-gz-empty-members
def test_a_gzip_of_endless_empty_members_is_given_up(tmp_path) -> None:
    path = tmp_path / "scan.nii.gz"
    voxels = nib.Nifti1Image(np.zeros((9, 9, 9), np.uint8), np.eye(4)).to_bytes()
    empty = gzip.compress(b"", mtime=0)
    path.write_bytes(gzip.compress(voxels[:400]) + 1_500_000 * empty)
    start = time.monotonic()
    with pytest.raises(ScanError, match=GIVEN_UP):
        read_volume(path, limits=Limits(decoding_seconds=0.5))
    assert time.monotonic() - start < SOON


# row dcm-many-elements
@pytest.mark.parametrize("deflated", [False, True])
def test_dicom_of_endless_elements_is_given_up(
    write_series, tmp_path, deflated
) -> None:
    path = write_series(tmp_path / "a", VOXELS[:, :, :1])[0]
    content = path.read_bytes()
    element = struct.pack("<HH", 9, 0x10) + b"CS" + struct.pack("<H", 2) + b"a "
    length = int(pydicom.filereader.read_file_meta_info(path)[2, 0].value)
    start_of_data = 132 + 12 + length
    packed = 1_000_000 * element
    if deflated:
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        dataset.save_as(path, enforce_file_format=True)
        content = path.read_bytes()
        length = int(pydicom.filereader.read_file_meta_info(path)[2, 0].value)
        start_of_data = 132 + 12 + length
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        packed = packer.compress(packed) + packer.flush()
    path.write_bytes(content[:start_of_data] + packed)
    start = time.monotonic()
    with pytest.raises(ScanError, match=GIVEN_UP):
        read_dicom(path, limits=Limits(decoding_seconds=0.5, ratio=2000), convert=False)
    assert time.monotonic() - start < SOON


# row img-many-parts
def test_a_png_of_endless_parts_is_refused(tmp_path, soon) -> None:
    whole = slow_png(32)
    part = b"\0\0\0\0" + b"teXt" + struct.pack(">I", zlib.crc32(b"teXt"))
    (tmp_path / "a.png").write_bytes(whole[:33] + 200_000 * part + whole[33:])
    with pytest.raises(ScanError, match="more than 100000 parts"):
        read_slice(tmp_path / "a.png")
