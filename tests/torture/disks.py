"""Disks that refuse: full, held to a quota, read-only; and whether a file is whole."""

from __future__ import annotations

import gc
import gzip
import io
import json
import os
import pickle
import signal
import sqlite3
import subprocess
import tomllib
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from PIL import Image
from safetensors import safe_open

PAGE = 4096  # the least that a file takes of a disk
MIB = 1024**2
SIZE = 96 * MIB


@contextmanager
def disk(at: Path) -> Iterator[Path]:
    """Yield a disk of its own at an empty folder; the folder itself if none can be."""
    mounted = mount(at, "-t", "tmpfs", "-o", f"size={SIZE}", "none")
    try:
        yield at
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", at], check=True)


def mount(at: Path, *words: str) -> bool:
    """Mount something at a folder; say whether this user may."""
    try:
        done = subprocess.run(["mount", *words, at], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


@contextmanager
def full(at: Path, left: int) -> Iterator[None]:
    """Leave so many bytes on a disk of its own, or skip."""
    if not os.path.ismount(at):
        pytest.skip("this user cannot mount a disk to fill")
    filler = at / ".filler"
    try:
        with filler.open("wb") as file:
            here = os.statvfs(at)
            size = here.f_bavail * here.f_frsize - left
            assert size > 0
            os.posix_fallocate(file.fileno(), 0, size)
        yield
    finally:
        filler.unlink(missing_ok=True)


@contextmanager
def quota(_at: Path, left: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes, as a limit of the system's."""
    resource = pytest.importorskip("resource", reason="this system limits no file")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN  # Python's own choice
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only(at: Path) -> Iterator[None]:
    """Let nothing on a disk be changed, or skip."""
    if os.path.ismount(at):
        gc.collect()  # a database that a test before let go of keeps its file open
        assert mount(at, "-o", "remount,ro")
        try:
            yield
        finally:
            assert mount(at, "-o", "remount,rw")
        return
    folders = [at, *(one for one in at.rglob("*") if one.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        if os.access(at, os.W_OK):
            pytest.skip("this user may write everywhere, and cannot mount a disk")
        yield
    finally:
        for folder in folders:
            folder.chmod(0o755)


def files_in(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder with its content, by its path in it."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def broken_in(folder: Path) -> list[str]:
    """Return what is not whole in a folder, and what was left aside."""
    return [
        name
        for name, content in files_in(folder).items()
        if ".part" in name or not is_whole(name, content)
    ]


def is_whole(name: str, content: bytes) -> bool:
    """Say whether a file can be read to its end by whoever its name tells."""
    if "tfevents" in name:
        return True  # TensorBoard's own, which it adds to and reads as far as it goes
    for ending, read in READERS.items():
        if name.endswith(ending):
            with suppress(Exception):
                return read(content) is not False
            return False
    raise AssertionError(f"nobody says when {name} is whole")


def _lines(content: bytes) -> bool:
    for line in content.decode().splitlines():
        json.loads(line)
    return content.endswith(b"\n")


def _table(content: bytes) -> bool:
    columns = {line.count("\t") for line in content.decode().splitlines()}
    return content.endswith(b"\n") and len(columns) == 1


def _picture(content: bytes) -> None:
    Image.open(io.BytesIO(content)).load()


def _on_disk(read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Return what reads a file of its own, for readers that want a path."""

    def of_bytes(content: bytes) -> object:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "file"
            path.write_bytes(content)
            return read(path)

    return of_bytes


def _tensors(path: Path) -> None:
    with safe_open(path, "pt") as opened:
        for name in opened.keys():  # noqa: SIM118  # no mapping
            opened.get_tensor(name)


def _database(path: Path) -> bool:
    opened = sqlite3.connect(path)
    try:
        return opened.execute("pragma integrity_check").fetchone() == ("ok",)
    finally:
        opened.close()


def _zip(content: bytes) -> bool:
    return zipfile.ZipFile(io.BytesIO(content)).testzip() is None


def _onnx(content: bytes) -> None:
    import onnx

    onnx.checker.check_model(onnx.load_from_string(content))


READERS: dict[str, Callable[[bytes], object]] = {
    ".jsonl": _lines,
    ".json": json.loads,
    ".tsv": _table,
    ".toml": lambda content: tomllib.loads(content.decode()),
    ".html": lambda content: content.rstrip().endswith(b"</html>"),
    ".png": _picture,
    ".svg": ET.fromstring,
    ".safetensors": _on_disk(_tensors),
    ".pkl": pickle.loads,
    ".pth": _zip,
    ".npz": _zip,
    ".pt2": _zip,
    ".ts": _zip,
    ".onnx": _onnx,
    ".xml": ET.fromstring,
    ".bin": lambda content: len(content) > 0,
    ".db": _on_disk(_database),
    ".nii.gz": gzip.decompress,
    ".md": lambda content: content.endswith(b"\n"),
    ".txt": lambda content: content.endswith(b"\n"),
    ".py": lambda content: content.endswith(b"\n"),
    ".lock": lambda content: content == b"",
    ".jpg": _picture,
    "README": lambda content: content.endswith(b"\n"),
    "LICENSE": lambda content: content.endswith(b"\n"),
}
