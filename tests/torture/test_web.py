"""Requests that are lies, floods and leave-takings: refused, and the next is served."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import httpx
import pytest
from tests.unit.serving import served

pytestmark = pytest.mark.torture

FORM = [("files", ("a", b"abc"))]
BODY = (
    b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nabc'
    b"\r\n--x--\r\n"
)


@pytest.fixture(scope="module")
def address():
    """Return the address of a server that answers nothing at once."""
    with served.listening(
        served.Here(served.nothing), upload_mib=1, upload_seconds=1.0
    ) as url:
        yield url


def sent(address: str, content: bytes, *, most: int = 65536) -> bytes:
    """Send bytes as they are and hang up; return what came back before."""
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as opened:
        opened.sendall(content)
        opened.shutdown(socket.SHUT_WR)
        try:
            return opened.recv(most)
        except ConnectionResetError:
            return b""


def request(address: str, length: int | str, body: bytes) -> bytes:
    return (
        f"POST /v1/predict HTTP/1.1\r\nHost: {urlsplit(address).netloc}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode() + body


def serves(address: str) -> bool:
    return httpx.post(f"{address}/v1/predict", files=FORM).status_code == 200


# Starlette drops the file of a part that never ends, which is nameless, unclosed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "length", [len(BODY) + 500, len(BODY) - 10, -5, "abc", 10**30, "5, 6"]
)
def test_a_length_that_lies_costs_its_own_request(address, length) -> None:
    told = sent(address, request(address, length, BODY))  # row web-length-lies
    assert b" 200 " not in told.split(b"\r\n")[0]
    assert b"Traceback" not in told
    assert serves(address)


def test_two_hundred_who_hang_up_leave_the_server_as_it_was(address) -> None:
    for number in range(200):  # row web-hang-ups
        sent(address, request(address, len(BODY), BODY[: number % len(BODY)]), most=1)
    assert httpx.get(f"{address}/ready").json() == {"free_places": 32}
    assert serves(address)


def test_five_thousand_ranges_are_one_page(address) -> None:
    ranges = ",".join(f"{n}-{n + 1}" for n in range(5000))  # row web-ranges
    plain = httpx.get(address)
    with httpx.Client() as client:
        ranged = client.get(address, headers={"Range": f"bytes={ranges}"[:60_000]})
    assert ranged.status_code in (200, 400, 431)
    assert len(ranged.content) <= len(plain.content)
    assert serves(address)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/", "/v1/predict", "/health"])
def test_another_method_is_refused(address, method, path) -> None:
    answer = httpx.request(method, f"{address}{path}")  # row web-method
    assert answer.status_code in (400, 403, 405)
    assert serves(address)
