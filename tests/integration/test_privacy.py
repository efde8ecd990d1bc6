"""What headers, tables and names tell of people stands in nothing that a verb leaves.

A word of its own is planted in every field that can hold text, and in names of files
and folders. Then all verbs run, and every byte that they leave is searched: files as
they are and unpacked, the cache, the terminal, and the answers and logs of the server.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import logging
import re
import shutil
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image, PngImagePlugin
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataelem import RawDataElement
from tests.integration.conftest import CLASSES, TINY
from tests.integration.test_volumes import paint_head
from tests.unit.serving import served
from tests.unit.serving.served import Here, listening, picture

from vit_dementia.cli.app import run

pytestmark = pytest.mark.slow

# Where a path relative to the data may stand, and where an id may: SECURITY.md.
TERMINAL = "<terminal>"
TELL_PATHS = {
    TERMINAL, "cohort.tsv", "cohort.json", "predictions.tsv",
    "predictions_participants.tsv", "explanations.tsv", "explanations.json",
    "regions.tsv", "cases.tsv", "check.json", "quality.tsv", "failures.tsv", "who.tsv",
}  # fmt: skip
TELL_IDS = TELL_PATHS | {"split.json", "page.html", "mapped.html"}

WORD = re.compile(
    rb"q[hpi][0-9a-f]{12}|77310[0-9]{10}|(?<![0-9])77310[0-9]{7}(?![0-9])"
)
BORN, HOUR = "18310707", "235959.123457"
DATES = ("18310707", "1831-07-07", "07.07.1831", "07/07/1831", "235959.123457")
SHORT = (*TINY, "--epochs=1", "--batch-size=8", "--cache=cache", "--tokens=all")


@dataclass
class Planted:
    """The words, and for each the place where it was planted."""

    place_of: dict[str, str] = field(default_factory=dict)

    def header(self, place: str) -> str:
        """Return a word that may stand nowhere."""
        return self._new("QH", place).upper()

    def number(self, place: str, length: int = 15) -> str:
        """Return digits that may stand nowhere: 15, or 12 where there is less room."""
        digits = str(int(hashlib.sha256(place.encode()).hexdigest(), 16))
        return self._keep(f"77310{digits[: length - 5]}", place)

    def path(self, place: str) -> str:
        """Return a word for the name of a file or folder."""
        return self._new("qp", place)

    def person(self, place: str) -> str:
        """Return a word for who is on a scan."""
        return self._new("qi", place)

    def _new(self, kind: str, place: str) -> str:
        return self._keep(
            kind.lower() + hashlib.sha256(place.encode()).hexdigest()[:12], place
        )

    def _keep(self, word: str, place: str) -> str:
        assert self.place_of.setdefault(word, place) == place
        return word


def words_in(content: bytes) -> set[str]:
    """Return the planted words in content, however wide its letters, and unpacked."""
    found: set[str] = set()
    for part in unpacked(content):
        small = part.lower()
        for way in (small, small.replace(b"\0", b"")):  # UTF-8; UTF-16 and UTF-32
            found |= {word.decode() for word in WORD.findall(way)}
            found |= {date for date in DATES if date.encode() in way}
    return found


def unpacked(content: bytes, depth: int = 0) -> Iterator[bytes]:
    """Yield content, and whatever it holds in packed form."""
    yield content
    inner: list[bytes] = []
    if content.startswith(b"\x1f\x8b"):
        inner.append(gzip.decompress(content))
    if content.startswith(b"PK\3\4"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inner += [archive.read(name) for name in archive.namelist()]
    if content.startswith(b"\x89PNG"):
        inner += png_texts(content)
    packed = re.findall(rb";base64,([A-Za-z0-9+/=]{16,})", content)
    inner += [base64.b64decode(one) for one in packed]
    for part in inner if depth < 3 else ():
        yield from unpacked(part, depth + 1)


def png_texts(content: bytes) -> Iterator[bytes]:
    """Yield the texts of a PNG that are packed."""
    at = 8
    while at + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        body = content[at + 8 : at + 8 + length]
        if kind in (b"zTXt", b"iTXt", b"iCCP"):
            for start in (match.start() for match in re.finditer(rb"\x78", body)):
                try:
                    yield zlib.decompress(body[start:])
                except zlib.error:
                    continue
        at += 12 + length


@dataclass
class Searched:
    """A folder in which verbs run, and what they said."""

    folder: Path
    capsys: Any
    planted: Planted = field(default_factory=Planted)
    said: list[tuple[str, str]] = field(default_factory=list)
    received: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def data(self) -> Path:
        """Return where the data lie, which are not searched."""
        return self.folder / "data"

    def __call__(self, *arguments: object, check: int | set[int] = 0) -> str:
        """Run a verb; return what it printed."""
        self.capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        stdout, stderr = self.capsys.readouterr()
        assert code in (check if isinstance(check, set) else {check}), (
            arguments,
            stderr,
        )
        self.said.append((TERMINAL, stdout + stderr))
        return stdout

    def leaks(self) -> list[str]:
        """Say what of the planted stands where it must not."""
        found = []
        for where, text in self.said:
            found += self._misplaced(where, words_in(text.encode()))
        for where, content in self.received:
            found += self._misplaced(where, words_in(content))
        for file in sorted(self.folder.rglob("*")):
            if self.data in (file, *file.parents):
                continue
            where = file.relative_to(self.folder).as_posix()
            # Prepared volumes are named, as BIDS has it, by who is on them.
            found += self._misplaced(f"{where} (its name)/who.tsv", name_words(where))
            if file.is_file():
                found += self._misplaced(where, words_in(file.read_bytes()))
        return found

    def _misplaced(self, where: str, words: set[str]) -> list[str]:
        name = "predictions.tsv" if "/floors/" in where else where.rpartition("/")[2]
        allowed = {"qp": name in TELL_PATHS, "qi": name in TELL_IDS}
        wrong = [word for word in words if not allowed.get(word[:2], False)]
        place_of = self.planted.place_of
        return [f"{where}: {place_of.get(word, word)}" for word in sorted(wrong)]


def name_words(where: str) -> set[str]:
    """Return the words in a path of ours, but for ids."""
    return {word for word in words_in(where.encode()) if not word.startswith("qi")}


@pytest.fixture
def searched(tmp_path, monkeypatch, capsys, unabridged) -> Searched:
    """Return a folder of its own, in which the user's folders lie too."""
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TMPDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "TMPDIR"))
    from vit_dementia.evaluation import floors, intervals

    few = partial(floors.linear_of_permuted_labels, refits=19)
    monkeypatch.setattr(floors, "linear_of_permuted_labels", few)
    few = partial(intervals.bootstrap, replicates=100)
    monkeypatch.setattr(intervals, "bootstrap", few)
    return Searched(tmp_path, capsys)


def write_slices(root: Path, planted: Planted, people: int = 14) -> None:
    """Write class folders of pictures of all kinds, with texts in all they have."""
    for person in range(people):
        label = person % 2
        who = f"sub-{planted.person(f'slices {person}')}"
        folder = root / CLASSES[label] / f"{who}_{planted.path(f'folder {person}')}"
        folder.mkdir(parents=True)
        for place in range(2):
            pixels = picture(2 * person + place)
            pixels[12:20, 8:16] = 40 if label else 180
            kind = ("png", "jpg", "tif", "webp")[(person // 2 + place) % 4]
            name = f"{planted.path(f'file {person} {place}')}_slice-{place}.{kind}"
            image = Image.fromarray(pixels)
            exif = Image.Exif()
            exif[0x010E] = planted.header(f"EXIF description of {kind}")
            exif[0x013B] = planted.header(f"EXIF artist of {kind}")
            exif[0x9286] = planted.header(f"EXIF comment of {kind}")
            exif[0x0132] = "1831:07:07 23:59:59"
            xmp = f"<x:xmpmeta>{planted.header(f'XMP of {kind}')}</x:xmpmeta>".encode()
            more: dict[str, Any] = {"exif": exif, "xmp": xmp}
            if kind == "png":
                texts = PngImagePlugin.PngInfo()
                texts.add_text("Author", planted.header("tEXt"))
                texts.add_text("Comment", planted.header("zTXt"), zip=True)
                texts.add_itxt("Title", planted.header("iTXt"), zip=True)
                more = {"exif": exif, "pnginfo": texts}
            if kind == "jpg":
                more |= {
                    "comment": planted.header("JPEG comment").encode(),
                    "quality": 95,
                }
            if kind == "tif":
                tags = {270: planted.header("TIFF description"),
                        315: planted.header("TIFF artist"),
                        337: planted.header("TIFF target printer")}  # fmt: skip
                more = {"tiffinfo": tags}
            if kind == "webp":
                more |= {"lossless": True}
            image.save(folder / name, **more)
    who = f"sub-{planted.person('a broken file')}"
    broken = root / CLASSES[0] / f"{who}_{planted.path('a broken file')}_slice-0.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + planted.header("a broken file").encode())


# Of NIfTI's other texts, data_type has room for ten letters only, and magic is fixed.
NIFTI_TEXTS = {"descrip": 80, "aux_file": 24, "intent_name": 16, "db_name": 18}
SIDECAR = (
    "PatientName", "PatientID", "PatientBirthDate", "OperatorsName", "InstitutionName",
    "InstitutionAddress", "StationName", "DeviceSerialNumber", "SeriesDescription",
    "ProtocolName", "ProcedureStepDescription", "AcquisitionTime", "ImageComments",
    "SeriesInstanceUID", "StudyInstanceUID", "StudyID", "BodyPartExamined",
    "ConversionSoftware", "Manufacturer", "ManufacturersModelName", "Free",
    "InstitutionalDepartmentName", "SoftwareVersions", "ReceiveCoilName",
    "ReceiveCoilActiveElements", "GradientSetType", "MatrixCoilMode",
    "CoilCombinationMethod", "PulseSequenceType", "PulseSequenceDetails",
    "ScanningSequence", "SequenceVariant", "ScanOptions", "SequenceName",
    "MRAcquisitionType", "ContrastBolusIngredient", "DeidentificationMethod",
    "AnatomicalLandmarkCoordinates", "Instructions", "TaskName",
)  # fmt: skip


DESCRIBED = ("Name", "License", "Acknowledgements", "HowToAcknowledge", "DatasetDOI")
LISTED = (
    "Authors", "Funding", "EthicsApprovals", "ReferencesAndLinks", "Keywords",
    "GeneratedBy", "SourceDatasets", "HEDVersion",
)  # fmt: skip


def write_nifti(file: Path, voxels: np.ndarray, planted: Planted, affine: Any) -> None:
    """Write a volume with texts in its header, an extension, and its gzip header."""
    image = nib.Nifti1Image(voxels, affine)
    for name in NIFTI_TEXTS:
        image.header[name] = planted.header(f"NIfTI {name}")
    for code in (0, 4, 6, 30, 44):
        text = planted.header(f"NIfTI extension {code}").encode()
        image.header.extensions.append(nib.nifti1.Nifti1Extension(code, text))
    file.parent.mkdir(parents=True, exist_ok=True)
    with (
        file.open("wb") as opened,
        gzip.GzipFile(
            planted.header("gzip's own name"), "wb", fileobj=opened, mtime=0
        ) as packed,
    ):
        packed.write(image.to_bytes())


def write_bids(root: Path, planted: Planted, people: int = 12) -> None:
    """Write a BIDS data set with texts in every column and key that we do not read."""
    rng = np.random.default_rng(0)
    # Of participant_id (a word, too), age, sex and diagnosis the cells are asked for.
    extra = (
        "name",
        "species",
        "strain",
        "strain_rrid",
        "handedness",
        "birth_date",
        "hospital_id",
        "comments",
        "=HYPERLINK()",
        "examiner",
    )
    rows = ["\t".join(("participant_id", "age", "sex", "diagnosis", *extra))]
    for person in range(people):
        who = f"sub-{planted.person(f'bids {person}')}"
        cells = [planted.header(f"participants.tsv {name}") for name in extra]
        diagnosis = ("CN", "AD")[person % 2]
        rows.append(
            "\t".join((who, str(60 + person), "FM"[person % 3 > 0], diagnosis, *cells))
        )
        file = root / who / "anat" / f"{who}_T1w.nii.gz"
        voxels = paint_head(rng, person % 2)
        write_nifti(file, voxels, planted, np.diag([4.0, 4, 4, 1]))
        told = {name: planted.header(f"sidecar {name}") for name in SIDECAR}
        told["AcquisitionDateTime"] = "1831-07-07T23:59:59"
        side = file.with_name(file.name.replace(".nii.gz", ".json"))
        side.write_text(json.dumps(told))
        scans = f"filename\tacq_time\toperator\nanat/{file.name}\t1831-07-07T23:59:59\t"
        (root / who / f"{who}_scans.tsv").write_text(
            scans + planted.header("scans.tsv operator") + "\n"
        )
        sessions = "session_id\tacq_time\tphysician\nses-1\t1831-07-07T23:59:59\t"
        (root / who / f"{who}_sessions.tsv").write_text(
            sessions + planted.header("sessions.tsv physician") + "\n"
        )
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    told = {name: planted.header(f"the data set's {name}") for name in DESCRIBED}
    lists = {name: [planted.header(f"the data set's {name}")] for name in LISTED}
    described = told | lists | {"BIDSVersion": "1.8.0", "DatasetType": "raw"}
    (root / "dataset_description.json").write_text(json.dumps(described))
    levels = {"diagnosis": {"Description": planted.header("participants.json")}}
    (root / "participants.json").write_text(json.dumps(levels))
    for name in ("README", "CHANGES", "LICENSE", "phenotype/test.json"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(json.dumps({"Description": planted.header(name)}))
    (root / "phenotype" / "test.tsv").write_text(
        f"participant_id\tscore\n{who}\t{planted.header('phenotype')}\n"
    )


# Fields that cannot hold a word, and why.
NO_ROOM = {
    "AS": "four characters, of which the last is a letter for years, months or days",
    "AT": "four bytes: the number of another field",
    "FL": "four bytes: seven digits, which many numbers share",
    "SL": "four bytes: nine digits, which many numbers share",
    "UL": "four bytes: nine digits, which many numbers share",
    "SS": "two bytes: four digits",
    "US": "two bytes: four digits",
    "US or SS": "two bytes: four digits",
}  # by value representation
THE_SCAN = {"PixelData", "FloatPixelData", "DoubleFloatPixelData"}  # is what is shown
# What the reader goes by: a word stands beside what it takes for a scan of a head,
BESIDE = {
    "SpecificCharacterSet": ["ISO_IR 100"],
    "ImageType": ["ORIGINAL", "PRIMARY"],
    "ScanningSequence": ["GR"],
}
# and here in its place; such a series is refused, or read by what is left to go by.
INSTEAD = {
    "Modality": "CS", "BodyPartExamined": "CS", "MRAcquisitionType": "CS",
    "PhotometricInterpretation": "CS", "SpecificCharacterSet": "CS",
    "SeriesNumber": "IS", "NumberOfFrames": "IS", "EchoTime": "DS",
    "RepetitionTime": "DS", "InversionTime": "DS", "RescaleSlope": "DS",
    "RescaleIntercept": "DS", "ImagePositionPatient": "DS",
    "ImageOrientationPatient": "DS", "PixelSpacing": "DS", "Rows": "US",
}  # fmt: skip
TEXTS = {"LO", "SH", "ST", "LT", "UT", "UC", "UR", "AE", "CS", "PN"}
OF_A_PERSON = (
    "PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName",
    "PatientAddress", "PatientTelephoneNumbers", "OtherPatientIDs", "AccessionNumber",
    "PatientComments", "ReferringPhysicianName", "OperatorsName", "InstitutionName",
    "InstitutionAddress", "StationName", "DeviceSerialNumber", "StudyDescription",
    "SeriesDescription", "ProtocolName", "ImageComments", "StudyID", "MedicalAlerts",
    "AdditionalPatientHistory", "EthnicGroup", "Occupation", "PerformingPhysicianName",
)  # fmt: skip


def value_of(planted: Planted, keyword: str, kind: str) -> Any:
    """Return what is planted in an element; None where nothing can be."""
    place = f"DICOM {keyword}"
    if kind in TEXTS:
        beside = BESIDE.get(keyword)
        return [*beside, planted.header(place)] if beside else planted.header(place)
    if kind == "UI":
        return "1.2.3." + planted.number(place)
    if kind == "SQ":
        return pydicom.Sequence([words_inside(planted, keyword)])
    if kind in ("DS", "IS"):
        return planted.number(place, 15 if kind == "DS" else 12)
    if kind in ("FD", "SV", "UV"):  # eight bytes
        return (float if kind == "FD" else int)(planted.number(place))
    if kind[0] == "O" or kind == "UN" or " or O" in kind:  # bytes
        return (planted.header(place) + "  ").encode()  # of words of 8 bytes, too
    return {"DA": BORN, "TM": HOUR, "DT": BORN + HOUR}.get(kind)


def words_inside(planted: Planted, keyword: str) -> pydicom.Dataset:
    """Return an item of a sequence with words, also in a sequence of its own."""
    inside, deeper = pydicom.Dataset(), pydicom.Dataset()
    inside.PatientName = planted.header(f"DICOM {keyword}, inside")
    inside.TextValue = planted.header(f"DICOM {keyword}, further inside")
    deeper.PatientComments = planted.header(f"DICOM {keyword}, deep inside")
    for group in ("PlanePositionSequence", "PixelMeasuresSequence"):
        if keyword != group:
            setattr(inside, group, pydicom.Sequence([deeper]))
    return inside


def every_element(planted: Planted) -> dict[str, tuple[str, Any]]:
    """Return kind and value for every element that can hold one of ours, by keyword."""
    values = {}
    for tag, (kind, _, _, _, keyword) in DicomDictionary.items():
        is_read = keyword in INSTEAD.keys() - BESIDE.keys() or keyword in THE_SCAN
        if tag >> 16 <= 0x0002 or not keyword or is_read:
            continue
        value = value_of(planted, keyword, kind)
        assert (value is None) == (kind in {*NO_ROOM, "NONE"}), (keyword, kind)
        if value is not None:
            values[keyword] = (kind.rpartition(" ")[2], value)
    return values


def instead(planted: Planted, keyword: str) -> RawDataElement:
    """Return an element with a word where the reader wants a code or a number."""
    word = planted.header(f"DICOM {keyword}, in its place").encode()
    kind, tag = INSTEAD[keyword], pydicom.tag.Tag(keyword)
    return RawDataElement(
        tag, kind, len(word), word, 0, is_implicit_VR=False, is_little_endian=True
    )


def write_dicom(
    folder: Path, write_series: Callable[..., list[Path]], planted: Planted, person: int
) -> list[Path]:
    """Write a series with what tells of a person; the first has every other element.

    All that is in the dictionary takes long to read, so it stands in one file.
    """
    voxels = paint_head(np.random.default_rng(person), person % 2)[..., 8:44]
    everywhere = {
        keyword: planted.header(f"DICOM {keyword} of {person}")
        for keyword in OF_A_PERSON
    }
    study, frame = (planted.number(f"DICOM {what} of {person}") for what in "sf")
    everywhere |= {
        "PatientID": planted.header(f"DICOM PatientID of {person}"),
        "PatientBirthDate": BORN, "StudyDate": BORN, "StudyTime": HOUR,
        "StudyInstanceUID": f"1.2.3.{study}",
        "SeriesInstanceUID": f"1.2.3.{study}.1",
        "SOPInstanceUID": lambda at: f"1.2.3.{study}.1.{at + 1}",
        "FrameOfReferenceUID": f"1.2.3.{frame}",
        "PixelSpacing": [4, 4],
        "ImagePositionPatient": lambda at: [-4 * 47, -4 * 51, 4 * at],
    }  # fmt: skip
    files = write_series(
        folder,
        voxels,
        name_of=lambda at: f"{planted.path(f'{folder.name} {at}')}{at:02}",
        **everywhere,
    )
    for number, file in enumerate(files[:2]):
        dataset = pydicom.dcmread(file)
        rest = every_element(planted) if (person, number) == (0, 0) else {}
        for keyword, (kind, value) in rest.items():
            if keyword not in everywhere:
                dataset.add_new(keyword, kind, value)
        block = dataset.private_block(
            0x0019, planted.header("a private creator"), create=True
        )
        for offset, kind in enumerate(("LO", "PN", "UT", "UN", "OB")):
            text = planted.header(f"private {kind} {number}")
            block.add_new(offset, kind, text.encode() if kind in ("UN", "OB") else text)
        dataset.file_meta.SourceApplicationEntityTitle = planted.header("file meta")
        dataset.file_meta.ImplementationVersionName = planted.header("version name")
        dataset.preamble = planted.header("the preamble").encode().ljust(128, b"\0")
        with warnings.catch_warnings(action="ignore"):  # of a strange character set
            dataset.save_as(file, enforce_file_format=True)
    return files


def all_of_a_run(
    verb: Searched, data: Path, scan: Path, *settings: str, predicted: int = 0
) -> None:
    """Train on data, and ask the run all that can be asked of it."""
    settings = (*SHORT, *settings)
    verb("check", data, "--out=checked", "--json", "--write-participants=who.tsv")
    verb("split", data, "--folds=2", "--out=folds/split.json", "--json")
    verb("train", data, *settings, "--data.test=0.3", "--data.val=0.2", "--out=run")
    verb("evaluate", "run", "--show-scans", "--explain", "--cache=cache", "--json")
    verb("explain", "run", scan, "--cases=1", "--show-scans", "--out=maps", "--json")
    verb("predict", "run", scan, "--explain", "--out=mapped", "--html=mapped.html")
    verb("predict", "run", data, "--json", "--html=page.html", "--out=predicted",
         check=predicted)  # fmt: skip
    verb("predict", "run", data, "--out=predicted", check=predicted)  # of what was kept


SENT = ("as they are", "as a zip", "no scan", "and one that is none")
ROUTES = ("predict", "view", "explain")


def ask_the_server(
    verb: Searched,
    caplog: Any,
    *sets: list[Path],
    sent: tuple[str, ...] = SENT,
    routes: tuple[str, ...] = ROUTES,
    may_refuse: bool = False,
) -> None:
    """Send sets of scans in some ways; keep what comes back and what is logged."""
    caplog.clear()  # of what pydicom said when the files were written
    caplog.set_level(logging.INFO, "vit_dementia.serving")
    caplog.set_level(logging.INFO, "uvicorn")
    broken = (f"{verb.planted.path('no scan')}.png", b"\x89PNG no scan")
    with listening(Here.with_model(Path("run"))) as url:
        for path in ("/", "/v1/model", "/metrics", "/health", "/openapi.json", "/no"):
            reply = httpx.get(url + path, timeout=240)
            verb.said.append((f"GET {path}", f"{reply.headers} {reply.text}"))
        for scans in sets:
            files = [
                (str(one.relative_to(verb.data)), one.read_bytes()) for one in scans
            ]
            zipped = (f"{verb.planted.path('a zip')}.zip", packed(verb.data, scans))
            forms = zip(
                SENT, (files, [zipped], [broken], [*files, broken]), strict=True
            )
            for way, form in forms:
                for route in routes if way in sent else ():
                    reply = httpx.post(
                        f"{url}/v1/{route}",
                        files=[("files", one) for one in form],
                        timeout=240,
                    )
                    refused = may_refuse or broken in form
                    assert reply.status_code in {200, 422 if refused else 200}
                    verb.said.append((f"POST {route}", str(reply.headers)))
                    verb.received.append((f"POST {route}", reply.content))
    assert caplog.records
    verb.said += [("a server's log", str(vars(record))) for record in caplog.records]


def packed(root: Path, scans: list[Path]) -> bytes:
    """Return a zip of scans; of pictures one more, whose name is not what it is."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for scan in scans:
            archive.write(scan, scan.relative_to(root))
        if scans[0].suffix == ".jpg":
            archive.write(scans[1], scans[0].relative_to(root).with_suffix(".tif"))
    return out.getvalue()


def test_of_slices_nothing_is_told(searched, caplog) -> None:
    data = searched.data / searched.planted.path("a root") / "slices"
    write_slices(data, searched.planted)
    scans = [next(data.rglob(f"*_slice-0.{kind}")) for kind in ("jpg", "png", "tif")]
    all_of_a_run(searched, data, scans[0], predicted=3)  # a picture is broken
    ask_the_server(searched, caplog, scans)
    searched(
        "cross-validate", data, *SHORT, "--split=folds/split.json", "--out=crossed"
    )
    shutil.copytree("run", "again")
    searched("compare", "run", "again", "--out=compared", "--json")
    searched("pretrain", data, *SHORT, "--out=pretrained")
    searched("tune", data, *SHORT, "--trials=2", "--out=tuned", "--json")
    searched("export", "run", "onnx", "--format=onnx", "--json")
    searched("export", "run", "torch", "--format=torch-export", "--json")
    searched("convert", "run", "timm", "--format=timm", "--json")
    assert "\n".join(searched.leaks()) == ""


SLICED = ("--data.spacing-mm=4", "--data.slices=2")
PREPARED = ("--pipeline=none", "--workers=1", "--json", "--keep-failed")


def test_of_a_bids_data_set_nothing_is_told(searched, caplog) -> None:
    data = searched.data / searched.planted.path("a root") / "bids"
    write_bids(data, searched.planted)
    scan = min(data.rglob("*_T1w.nii.gz"))
    all_of_a_run(searched, data, scan, *SLICED)
    ask_the_server(searched, caplog, [scan])
    searched("prepare", data, "prepared", *PREPARED, check=3)
    assert "\n".join(searched.leaks()) == ""


def test_of_a_dicom_header_nothing_is_told(searched, caplog, write_series) -> None:
    data = searched.data / searched.planted.path("a root") / "dicom"
    written = []
    for person in range(10):
        folder = searched.planted.path(f"the folder of {person}")
        where = data / ("CN", "AD")[person % 2] / folder
        written.append(write_dicom(where, write_series, searched.planted, person))
    assert len(searched.planted.place_of) > 6600
    all_of_a_run(searched, data, written[0][0].parent, *SLICED)
    ask_the_server(searched, caplog, written[0], sent=SENT[:2])
    searched("prepare", data, "prepared", *PREPARED, check=3)
    assert "\n".join(searched.leaks()) == ""


def write_series_with_a_word(
    where: Path, write_series: Callable[..., list[Path]], planted: Planted, keyword: str
) -> list[Path]:
    """Write a head and a localizer, one field of which holds a word and no value."""
    study = planted.number(f"DICOM study of {keyword}")
    written = []
    for series, voxels in (("1", served.head()), ("2", served.head()[..., :3])):
        person = {
            name: planted.header(f"DICOM {name} beside {keyword}")
            for name in OF_A_PERSON
        }
        written += write_series(
            where,
            voxels,
            series=series,
            name_of=lambda at, of=series: f"{planted.path(f'{where} {of} {at}')}.dcm",
            PatientID=planted.header(f"DICOM PatientID beside {keyword}"),
            StudyInstanceUID=f"1.2.3.{study}",
            ImageType=["ORIGINAL", "PRIMARY", *["LOCALIZER"] * (series == "2")],
            **person,
        )
    for file in written:
        dataset, element = pydicom.dcmread(file), instead(planted, keyword)
        dataset[element.tag] = element
        with warnings.catch_warnings(action="ignore"):  # of the character set
            dataset.save_as(file)
        assert element.value in file.read_bytes()
    return written


def test_of_a_dicom_field_with_a_word_for_its_value_nothing_is_told(
    searched, caplog, write_series
) -> None:
    planted = searched.planted
    data = searched.data / planted.path("a root") / "dicom"
    served.write_model(searched.folder / "run", served.SLABS)
    sets = []
    for number, keyword in enumerate(INSTEAD):
        where = data / ("CN", "AD")[number % 2] / planted.path(keyword)
        files = write_series_with_a_word(where, write_series, planted, keyword)
        sets.append(files)
    searched("predict", "run", where, "--out=one", check={0, 2, 3})
    ask_the_server(
        searched, caplog, *sets, sent=SENT[1:2], routes=ROUTES[:1], may_refuse=True
    )
    searched("check", data, "--out=checked", "--json", check=2)
    searched(
        "predict", "run", data, "--json", "--html=page.html", "--out=told", check=3
    )
    searched("prepare", data, "prepared", *PREPARED, check=2)
    assert "\n".join(searched.leaks()) == ""


def test_the_search_finds_what_is_packed_or_wide() -> None:
    planted = Planted()
    word, digits = planted.header("x").encode(), planted.number("y").encode()
    picture_with_text, texts = io.BytesIO(), PngImagePlugin.PngInfo()
    texts.add_text("Comment", word.decode(), zip=True)
    Image.new("L", (4, 4)).save(picture_with_text, "png", pnginfo=texts)
    npz, plain = io.BytesIO(), picture_with_text.getvalue()
    np.savez_compressed(npz, names=np.array([word.decode()]))
    page = b"<img src='data:image/png;base64," + base64.b64encode(plain) + b"'>"
    for content in (
        b"x" + word + b"y",
        b"1.2." + digits + b".1", gzip.compress(gzip.compress(word)),
        word.decode().encode("utf-16"), plain, npz.getvalue(), page,
    ):  # fmt: skip
        (found,) = words_in(content)
        assert found in planted.place_of
    assert words_in(b"born 18310707") == {"18310707"}
