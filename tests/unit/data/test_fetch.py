from __future__ import annotations

import errno
import http.server
import io
import json
import os
import threading
import zipfile

import pytest

from vit_dementia.data import archives
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.fetch import SETS, fetch
from vit_dementia.errors import ConfigError, DataError

NAME = "lukechugh/best-alzheimer-mri-dataset-99-accuracy"


@pytest.fixture
def archive(paint, tmp_path) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as opened:
        for part in ("train", "test"):
            for label in ("No Impairment", "Mild Impairment"):
                name = f"Combined Dataset/{part}/{label}/1.png"
                opened.write(paint(name), name)
    return memory.getvalue()


@pytest.fixture
def kaggle(archive, monkeypatch):
    """Return a server that answers as Kaggle does: address, pages and requests."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    pages = {
        f"/api/v1/datasets/view/{NAME}": json.dumps({"licenseName": "ODbL 1.0"}),
        f"/api/v1/datasets/download/{NAME}": archive,
    }
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            page = pages.get(self.path)
            if page is None:
                self.send_error(404)
                return
            body = page.encode() if isinstance(page, str) else page
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", pages, asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_set_is_brought_after_its_license_was_accepted(kaggle, tmp_path) -> None:
    site, _, asked = kaggle
    shown = []

    def agree(terms) -> bool:
        shown.append(terms)
        assert not any("download" in page for page in asked)
        return True

    out = tmp_path / "set"
    fetched = fetch(NAME, out, agree=agree, site=site)
    assert shown[0].license == "ODbL 1.0"
    assert NAME in shown[0].page
    assert fetched.num_files == 4
    assert fetched.sha256 in fetched.notes[0]
    assert json.loads((out / "fetched.json").read_text())["sha256"] == fetched.sha256
    cohort = Cohort.from_path(out)
    assert cohort.classes == ("No Impairment", "Mild Impairment")
    assert cohort.brings_split
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "set"]


def test_without_a_yes_nothing_is_downloaded(kaggle, tmp_path) -> None:
    site, _, asked = kaggle
    for answer in (False, None, "yes"):
        with pytest.raises(DataError, match="were not accepted"):
            fetch(NAME, tmp_path / "set", agree=lambda _, a=answer: a, site=site)
    assert not any("download" in page for page in asked)
    assert not (tmp_path / "set").exists()


def test_a_set_that_is_there_is_not_brought_again(kaggle, tmp_path) -> None:
    site, _, asked = kaggle
    out = tmp_path / "set"
    first = fetch(NAME, out, agree=lambda _: True, site=site)
    num_asked = len(asked)
    again = fetch(NAME, out, agree=lambda _: False, site=site, sha256=first.sha256)
    assert again.sha256 == first.sha256
    assert len(asked) == num_asked
    with pytest.raises(DataError, match="is needed"):
        fetch(NAME, out, agree=lambda _: True, site=site, sha256="0" * 64)
    with pytest.raises(DataError, match="holds another set"):
        fetch(next(iter(SETS)), out, agree=lambda _: True, site=site)


def test_a_wrong_archive_leaves_nothing(kaggle, tmp_path) -> None:
    site, pages, _ = kaggle
    with pytest.raises(DataError, match="thrown away"):
        fetch(NAME, tmp_path / "set", agree=lambda _: True, site=site, sha256="0" * 64)
    pages[f"/api/v1/datasets/download/{NAME}"] = b"<html>please sign in</html>"
    with pytest.raises(DataError, match="damaged zip archive"):
        fetch(NAME, tmp_path / "set", agree=lambda _: True, site=site)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]


def test_a_silent_publisher_is_told_and_an_absent_one_stops(kaggle, tmp_path) -> None:
    site, pages, _ = kaggle
    pages[f"/api/v1/datasets/view/{NAME}"] = "[]"
    shown = []
    with pytest.raises(DataError, match="not accepted"):
        fetch(NAME, tmp_path / "set", agree=shown.append, site=site)
    assert shown[0].license.startswith("not stated")
    with pytest.raises(DataError, match="a network connection is needed"):
        fetch(NAME, tmp_path / "x", agree=lambda _: True, site="http://127.0.0.1:9")


def test_unknown_names_and_folders_in_use_are_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'sachinkumar413"):
        fetch("alzheimer-mri-dataset", tmp_path / "set", agree=lambda _: True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.txt").touch()
    with pytest.raises(DataError, match="is there already"):
        fetch(NAME, tmp_path / "mine", agree=lambda _: True)


def test_what_was_brought_is_kept_where_there_is_no_room_to_unpack_it(
    kaggle, tmp_path, monkeypatch
) -> None:
    site, _, asked = kaggle

    def no_room(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(archives, "_extract", no_room)
        with pytest.raises(DataError, match="No space left") as refused:
            fetch(NAME, tmp_path / "set", agree=lambda _: True, site=site)
    assert "is kept; make room" in refused.value.faults[-1]
    brought = [page for page in asked if "download" in page]
    fetch(NAME, tmp_path / "set", agree=lambda _: True, site=site)
    assert [page for page in asked if "download" in page] == brought
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "set"]
