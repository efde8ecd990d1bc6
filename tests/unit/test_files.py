from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vit_dementia import files
from vit_dementia.errors import DataError
from vit_dementia.files import parse_json, read_json, replacing, write_json, write_text


def test_a_writer_that_breaks_off_leaves_the_old_file_and_nothing_beside(
    tmp_path,
) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def break_off() -> None:
        with replacing(path) as aside:
            aside.write_text("ha")
            assert path.read_text() == "old"
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space"):
        break_off()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_content_is_synced_before_it_gets_its_name_and_the_name_after(
    tmp_path, monkeypatch
) -> None:
    path, seen = tmp_path / "a.txt", []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(path.exists()))
    write_text(path, "new")
    assert seen == ([False] if os.name == "nt" else [False, True])


def test_a_disk_that_fills_up_while_syncing_leaves_the_old_file(
    tmp_path, monkeypatch
) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_json(path, {"a": 2})
    assert read_json(path) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ("[-Infinity]", "-Infinity is no JSON number"),
        ('{"a":' + "[" * 100_000, "recursion"),
        ("", "cannot be read as JSON"),
        ("\x00", "cannot be read as JSON"),
    ],
)
def test_json_that_says_two_things_or_nothing_is_refused(tmp_path, text, cause) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError, match=cause):
        read_json(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_is_never_waited_for(tmp_path) -> None:
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(DataError, match="not a regular file"):
        read_json(tmp_path / "a.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(value=JSON)
def test_what_json_can_say_is_read_as_the_standard_library_reads_it(value) -> None:
    text = json.dumps(value)
    assert parse_json(text) == json.loads(text) == value


def test_a_process_that_is_killed_while_it_writes_leaves_the_old_file(tmp_path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    program = (
        "import os, pathlib, signal, sys\n"
        "from vit_dementia.files import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1])) as aside:\n"
        "    aside.write_text('ha')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


def test_of_many_writers_at_once_each_reader_sees_one_whole(tmp_path) -> None:
    path = tmp_path / "a.json"
    write_json(path, [0] * 500)

    def write(number: int) -> None:
        write_json(path, [number] * 500)

    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(write, number) for number in range(40)]
        while not all(one.done() for one in writing):
            told = read_json(path)
            assert len(told) == 500
            assert len(set(told)) == 1
        for one in writing:
            one.result()
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_that_is_replaced_is_the_old_one_until_the_new_one_is_whole(
    tmp_path,
) -> None:
    out = tmp_path / "out"
    (out / "a").mkdir(parents=True)
    (out / "a" / "old").write_text("old")

    def break_off() -> None:
        with files.replacing_folder(out) as aside:
            (aside / "new").write_text("ha")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space"):
        break_off()
    assert (out / "a" / "old").read_text() == "old"
    with files.replacing_folder(out) as aside:
        (aside / "new").write_text("new")
        assert (out / "a" / "old").exists()
    assert [path.name for path in out.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one_there(
    tmp_path, monkeypatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")
    real = files.Path.replace

    def refuse(path, target):
        if path.suffix == ".part" and target == out:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, target)

    monkeypatch.setattr(files.Path, "replace", refuse)

    def replace() -> None:
        with files.replacing_folder(out) as aside:
            (aside / "new").write_text("new")

    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        replace()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "old"]


def test_files_are_added_to_a_folder_together_or_not_at_all(tmp_path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "kept").write_text("kept")
    (out / "a").write_text("old")

    def add(*, breaks_off: bool) -> None:
        with files.adding_to(out) as aside:
            (aside / "a").write_text("new")
            if breaks_off:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            (aside / "b" / "c").parent.mkdir()
            (aside / "b" / "c").write_text("new")

    with pytest.raises(OSError, match="No space"):
        add(breaks_off=True)
    assert {f.name: f.read_text() for f in out.iterdir()} == {
        "kept": "kept",
        "a": "old",
    }
    add(breaks_off=False)
    found = {f.name: f.read_text() for f in out.rglob("*") if f.is_file()}
    assert found == {"kept": "kept", "a": "new", "c": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_files_that_belong_together_come_at_once_or_not_at_all(
    tmp_path, monkeypatch
) -> None:
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    for name in ("a", "b", "deep/kept"):
        (out / name).write_text("old")
    (out / "link").symlink_to("nowhere")
    inode = (out / "deep" / "kept").stat().st_ino

    def add() -> None:
        with files.adding_to(out) as aside:
            for name in ("a", "b"):
                (aside / name).write_text("new")

    def killed(*_) -> None:
        raise KeyboardInterrupt

    # A process may be killed before any rename of its own and leave all as it was.
    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        add()
    assert [(out / name).read_text() for name in ("a", "b")] == ["old", "old"]
    monkeypatch.undo()
    renamed = []
    replace = Path.replace
    monkeypatch.setattr(
        Path, "replace", lambda old, new: renamed.append(new) or replace(old, new)
    )
    add()
    assert len(renamed) == 2  # two folders change places, and no file alone
    assert [(out / name).read_text() for name in ("a", "b")] == ["new", "new"]
    assert (out / "deep" / "kept").stat().st_ino == inode
    assert (out / "link").is_symlink()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_we_stand_in_is_not_renamed(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept").write_text("kept")
    with files.adding_to(tmp_path) as aside:
        (aside / "a").write_text("new")
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["a", "kept"]


@pytest.mark.parametrize("text", ["1e999", "[-1e999]", '{"a": NaN}'])
def test_a_number_that_is_not_finite_is_no_json(text) -> None:
    with pytest.raises(ValueError, match="is no JSON number"):
        parse_json(text)


def test_a_name_that_is_no_utf8_is_spelled_out_and_comes_back_from_json(
    tmp_path,
) -> None:
    name = os.fsdecode(b"sub-\xff.nii")
    write_json(tmp_path / "a.json", {"path": name})
    content = (tmp_path / "a.json").read_bytes()
    assert b"sub-\\udcff.nii" in content
    assert json.loads(content) == {"path": name}
    write_text(tmp_path / "a.tsv", f"{name}\n")
    assert (tmp_path / "a.tsv").read_text("utf-8") == "sub-\\udcff.nii\n"
