from __future__ import annotations

import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.data.links import link

from vit_dementia.data.archives import unpack
from vit_dementia.errors import DataError
from vit_dementia.limits import Limits


def make(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def test_an_archive_is_unpacked_as_python_does_it(tmp_path) -> None:
    archive = make(tmp_path / "a.zip", [("x/a.txt", b"one"), ("b.txt", b"two")])
    assert unpack(archive, tmp_path / "ours") == 2
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path / "theirs")
    for file in (tmp_path / "theirs").rglob("*.txt"):
        twin = tmp_path / "ours" / file.relative_to(tmp_path / "theirs")
        assert twin.read_bytes() == file.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "ours", "theirs"]


@pytest.mark.parametrize(
    ("members", "cause"),
    [
        ([("../evil.txt", b"x")], "leads out of the folder"),
        ([("x/../../evil.txt", b"x")], "leads out of the folder"),
        ([("/evil.txt", b"x")], "leads out of the folder"),
        ([("..\\evil.txt", b"x")], "leads out of the folder"),
        ([("C:evil.txt", b"x")], "leads out of the folder"),
        ([(link("evil"), b"/etc")], "is a link or a device"),
        ([("a.txt", b"x"), ("A.txt", b"y")], "stands twice"),
        ([("bomb", bytes(10_000_000))], "times its own size"),
        ([("a", b"x"), ("a/b", b"y")], "cannot be unpacked"),
        ([(str(n), b"") for n in range(21)], "at most 20 are taken"),
    ],
)
def test_hostile_archives_leave_nothing(tmp_path, members, cause) -> None:
    archive = make(tmp_path / "a.zip", members)
    with pytest.raises(DataError, match=cause):
        unpack(archive, tmp_path / "out" / "here", limits=Limits(members=20))
    assert list((tmp_path / "out").iterdir()) == []
    assert not (tmp_path / "evil.txt").exists()


def test_a_member_without_a_name_is_refused(tmp_path) -> None:
    archive = make(tmp_path / "a.zip", [("NAME", b"x")])
    archive.write_bytes(archive.read_bytes().replace(b"NAME", b"\0AME"))
    with pytest.raises(DataError, match="member '' has no name"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_size_is_counted_and_not_believed(tmp_path) -> None:
    archive = make(tmp_path / "a.zip", [("a", bytes(5000))], zipfile.ZIP_STORED)
    with pytest.raises(DataError, match="claims 5000 bytes"):
        unpack(archive, tmp_path / "out", limits=Limits(unpacked_bytes=4000))
    archive = make(tmp_path / "b.zip", [("a", bytes(5000))])
    content = bytearray(archive.read_bytes())
    at = content.rindex(b"PK\x01\x02") + 24  # uncompressed size, in the central list
    content[at : at + 4] = (100).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises(DataError):
        unpack(archive, tmp_path / "out", limits=Limits(unpacked_bytes=4000))
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use_is_left_alone(tmp_path) -> None:
    archive = make(tmp_path / "a.zip", [("a", b"x")])
    (tmp_path / "out").mkdir()
    assert unpack(archive, tmp_path / "out") == 1
    with pytest.raises(DataError, match="is there already"):
        unpack(archive, tmp_path / "out")


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(place=st.floats(0, 1, exclude_max=True), new=st.integers(0, 255))
def test_damaged_archives_are_refused_or_unpacked_but_never_crash(
    tmp_path, place, new
) -> None:
    archive = make(tmp_path / "a.zip", [("x/a", b"one" * 50), ("b", b"two")])
    content = bytearray(archive.read_bytes())
    content[int(place * len(content))] = new
    archive.write_bytes(content)
    out = tmp_path / f"out-{place}-{new}"
    try:
        unpack(archive, out)
    except DataError:
        assert not out.exists()
