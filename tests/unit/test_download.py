from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from vit_dementia.download import download, read_json_from
from vit_dementia.errors import DataError

CONTENT = bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Site:
    """A small server, and how it misbehaves."""

    url: str = ""
    content: bytes = CONTENT
    etag: str = '"one"'
    break_after: list[int] = field(default_factory=list)  # bytes, one a connection
    redirect: str = ""
    claim_length: bool = True
    ignore_range: bool = False
    wrong_range: bool = False
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def site(monkeypatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    state = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            if self.path == "/none":
                self.send_error(404)
                return
            if state.redirect and self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", state.redirect)
                self.end_headers()
                return
            start = 0
            same = self.headers.get("If-Range") == state.etag
            if wanted and same and not state.ignore_range:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                told = 3 if state.wrong_range else start
                state.wrong_range = False
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {told}-")
            else:
                self.send_response(200)
            if state.claim_length:
                self.send_header("Content-Length", str(len(state.content) - start))
            self.send_header("ETag", state.etag)
            self.end_headers()
            body = state.content[start:]
            if state.break_after:
                body = body[: state.break_after.pop(0)]
            try:
                self.wfile.write(body)
            except ConnectionError:
                return

        def log_message(self, *arguments) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/file"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_is_brought_whole_and_its_hash_is_told(site, tmp_path) -> None:
    to = tmp_path / "new" / "file"
    assert download(site.url, to) == SHA256
    assert to.read_bytes() == CONTENT
    assert list(to.parent.iterdir()) == [to]


def test_what_is_there_is_checked_and_not_brought_again(site, tmp_path) -> None:
    to = tmp_path / "file"
    download(site.url, to, sha256=SHA256)
    assert download(site.url, to, sha256=SHA256) == SHA256
    assert len(site.asked) == 1
    to.write_bytes(b"changed")
    with pytest.raises(DataError, match="remove it to download it again"):
        download(site.url, to, sha256=SHA256)


def test_a_broken_connection_goes_on_where_it_ended(site, tmp_path) -> None:
    site.break_after = [1_000_000, 2_000_000]
    assert download(site.url, tmp_path / "file") == SHA256
    assert site.asked == [None, "bytes=1000000-", "bytes=3000000-"]


def test_a_later_command_goes_on_where_the_first_ended(site, tmp_path) -> None:
    site.break_after = [1_000_000] * 4
    with pytest.raises(DataError, match="broke 4 times"):
        download(site.url, tmp_path / "file")
    assert not (tmp_path / "file").exists()
    assert download(site.url, tmp_path / "file") == SHA256
    assert site.asked[-1] == "bytes=4000000-"


def test_another_file_under_the_same_address_is_not_mixed_in(site, tmp_path) -> None:
    site.break_after = [1_000_000] * 4
    with pytest.raises(DataError):
        download(site.url, tmp_path / "file")
    site.content, site.etag = bytes(3_000_000), '"two"'
    expected = hashlib.sha256(site.content).hexdigest()
    assert download(site.url, tmp_path / "file") == expected


@pytest.mark.parametrize("trait", ["ignore_range", "wrong_range"])
def test_servers_that_cannot_go_on_begin_anew(site, tmp_path, trait) -> None:
    site.break_after = [1_000_000]
    setattr(site, trait, True)
    assert download(site.url, tmp_path / "file") == SHA256


def test_a_weak_mark_is_not_relied_on(site, tmp_path) -> None:
    site.etag, site.break_after = 'W/"one"', [1_000_000]
    assert download(site.url, tmp_path / "file") == SHA256
    assert site.asked == [None, None]


def test_a_file_of_unknown_length_is_brought(site, tmp_path) -> None:
    site.claim_length = False
    assert download(site.url, tmp_path / "file") == SHA256


@pytest.mark.parametrize("claim", [True, False])
def test_a_larger_file_than_allowed_is_refused(site, tmp_path, claim) -> None:
    site.claim_length = claim
    with pytest.raises(DataError, match="bytes"):
        download(site.url, tmp_path / "file", max_bytes=1_000_000)
    assert not (tmp_path / "file").exists()
    assert not (tmp_path / "file.part").exists()


def test_a_wrong_hash_leaves_nothing(site, tmp_path) -> None:
    with pytest.raises(DataError, match="thrown away"):
        download(site.url, tmp_path / "file", sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_page_and_no_network_are_one_clear_line(site, tmp_path) -> None:
    with pytest.raises(DataError, match=r"the server answers 404 \(Not Found\)"):
        download(site.url.replace("/file", "/none"), tmp_path / "file")
    with pytest.raises(DataError, match="a network connection is needed") as caught:
        download("http://127.0.0.1:9/file", tmp_path / "file")
    assert "\n" not in str(caught.value)


def test_only_safe_addresses_are_asked_and_followed(site, tmp_path) -> None:
    for url in ("file:///etc/passwd", "ftp://host/x", "http://example.org/x", "x"):
        with pytest.raises(DataError, match="an https address is needed"):
            download(url, tmp_path / "file")
    moved = site.url.replace("/file", "/moved")
    site.redirect = "http://example.org/file"
    with pytest.raises(DataError, match="an https address is needed"):
        download(moved, tmp_path / "file")
    site.redirect = site.url
    assert download(moved, tmp_path / "file") == SHA256


def test_small_json_is_read_and_other_answers_are_refused(site) -> None:
    site.content = b'{"a": 1}'
    assert read_json_from(site.url) == {"a": 1}
    site.content = b"<html>"
    with pytest.raises(DataError, match="not JSON"):
        read_json_from(site.url)
    site.content = b"[" + b" " * 100
    with pytest.raises(DataError, match="more than 50 bytes"):
        read_json_from(site.url, max_bytes=50)
