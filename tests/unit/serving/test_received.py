"""From received files to scans, without names."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from vit_dementia.limits import Limits
from vit_dementia.serving.received import ending_of, nameless, scans_of


def zipped(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def received(folder: Path, *contents: bytes) -> Path:
    for number, content in enumerate(contents, 1):
        (folder / f"{number:05}").write_bytes(content)
    return folder


def test_files_are_told_by_their_bytes(tmp_path, png) -> None:
    folder = received(tmp_path, png, b"<html>", b"", zipped(("a/x.png", png)))
    scans, problems = scans_of(folder, limits=Limits())
    assert [scan.name for scan in scans] == ["00001.png", "x.png"]
    assert list(problems) == [2, 3]


@pytest.mark.parametrize(
    "archive",
    [
        zipped(("../evil.png", b"x")),
        zipped(("/evil.png", b"x")),
        zipped(("bomb.png", bytes(10_000_000))),
        zipped(("a.png", b"x"), ("A.png", b"y")),
        zipped(*((f"{n}.png", b"x") for n in range(30))),
        zipped(("large.png", bytes(range(256)) * 100)),
        zipped(("Doe Jane.txt", b"x")),
        zipped(("a.png", b"x"))[:-30],
    ],
    ids=["climbs", "absolute", "bomb", "twice", "many", "large", "no-scan", "cut-off"],
)
def test_a_bad_archive_is_refused_without_its_names(tmp_path, archive) -> None:
    (tmp_path / "in").mkdir()
    folder = received(tmp_path / "in", archive)
    limits = Limits(members=20, unpacked_bytes=20_000)
    scans, problems = scans_of(folder, limits=limits)
    assert scans == []
    assert "archive" in problems[1]
    assert "Jane" not in problems[1]
    assert "evil" not in problems[1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]
    assert not list(tmp_path.rglob("*.png"))


def test_nifti_of_both_byte_orders_is_known() -> None:
    for size, order in ((348, "little"), (540, "big")):
        assert ending_of(size.to_bytes(4, order) + bytes(400)) == ".nii"
    assert ending_of(bytes(128) + b"DICM") == ".dcm"


@pytest.mark.parametrize("name", ["Doe Jane.dcm", "a\nb.png", "x; y, z (1).nii", "é"])
def test_no_name_is_left_in_a_cause(tmp_path, name) -> None:
    folder = tmp_path / "tmpabc"
    for said in (f"{folder / name}: is empty", f"a pair; {folder / name} is needed"):
        told = nameless(said, folder)
        assert name not in told
        assert str(tmp_path) not in told


def test_what_follows_the_name_of_a_file_is_kept(tmp_path) -> None:
    (tmp_path / "Doe Jane").mkdir()
    for name in ("a.dcm", "a.dcm2", "Doe Jane/b: c.dcm"):
        (tmp_path / name).write_bytes(b"x")
    listed = (
        f"{tmp_path}/Doe Jane: found 2 series: series 1: 9 slices, such as "
        f"{tmp_path}/Doe Jane/b: c.dcm; series 2: 8 slices, such as {tmp_path}/a.dcm2; "
        "name a file of one of them"
    )
    told = nameless(listed, tmp_path)
    assert "Doe" not in told
    assert "c.dcm" not in told
    assert told == (
        "found 2 series: series 1: 9 slices, such as (a file of the request); series "
        "2: 8 slices, such as (a file of the request); name a file of one of them"
    )
