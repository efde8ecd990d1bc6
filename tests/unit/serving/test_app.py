"""The routes over HTTP: what they take, what they refuse, what they leave."""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest
from tests.unit.serving import served

from vit_dementia.serving.work import Reply

FORM = [("files", ("a", b"abc"))]
BEGUN = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'


def test_a_form_with_files_is_answered(client) -> None:
    assert client.post("/v1/predict", files=FORM).status_code == 200


def test_files_stand_under_numbers_while_they_are_read_and_are_gone_after() -> None:
    seen: list[list[tuple[str, bytes]]] = []
    folders: list[Path] = []

    def look(jobs):
        for job in jobs:
            folders.append(job.folder)
            assert job.folder.stat().st_mode & 0o077 == 0
            assert job.folder.parent.stat().st_mode & 0o077 == 0
            seen.append(
                [(f.name, f.read_bytes()) for f in sorted(job.folder.iterdir())]
            )
        return served.nothing(jobs)

    names = ["../../evil", "/etc/passwd", "..\\evil", "%2e%2e%2fevil", "Doe^Jane.dcm"]
    with served.listening(served.Here(look)) as url:
        files = [("files", (name, name.encode())) for name in names]
        assert httpx.post(f"{url}/v1/predict", files=files).status_code == 200
        assert not folders[0].exists()
        assert folders[0].parent.exists()
    assert not folders[0].parent.exists()
    numbers = [f"{number:05}" for number in range(1, 6)]
    assert seen == [list(zip(numbers, (n.encode() for n in names), strict=True))]


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ({"files": []}, 400),
        ({"content": b"abc"}, 400),
        ({"json": {"files": ["a"]}}, 400),
        ({"data": {"files": "no file"}}, 400),
        ({"files": [*FORM, ("field", (None, b"x" * 100))]}, 400),
        ({"content": b"abc", "headers": {"Content-Type": "multipart/form-data"}}, 400),
        ({"files": FORM * 51}, 400),
        ({"files": FORM, "params": {"same_person": "<script>"}}, 422),
        ({"files": [("files", ("a", bytes(2_000_000)))]}, 413),
        ({"content": iter([BEGUN, *[bytes(500_000)] * 4, b"\r\n--x--\r\n"]),
          "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 413),
    ],
    ids=["none", "bytes", "json", "text", "field", "no-boundary", "parts", "query",
         "large", "no-length"],
)  # fmt: skip
def test_what_is_no_form_with_files_is_refused(client, what, status) -> None:
    reply = client.post("/v1/predict", **what)
    assert reply.status_code == status
    assert "<script>" not in reply.text
    assert reply.json()["error"]["faults"]


@pytest.mark.parametrize(
    "path",
    ["/../etc/passwd", "/page/../app.py", "/page/%2e%2e/app.py", "/page/..%2fapp.py",
     "/page//etc/passwd", "/page/words.py", "//etc/passwd", "/page/%00", "/docs"],
)  # fmt: skip
def test_no_path_leads_to_a_file(client, path) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port)) as line:
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert b" 404 " in line.recv(100)


def test_health_readiness_model_and_numbers_can_be_asked_for(client) -> None:
    client.post("/v1/predict", files=FORM)
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"free_places": 32}
    assert client.get("/v1/model").json() == {"classes": []}
    assert client.put("/v1/model").status_code == 405
    numbers = client.get("/metrics").text
    assert re.search(r'requests_total\{route="/v1/predict",status="200"\} \d', numbers)
    assert "vit_dementia_places_taken 0.0" in numbers


def test_the_page_and_its_files_are_given(client) -> None:
    page = client.get("/").text
    for path in re.findall(r'(?:src|href)="(/[^"]+)"', page):
        assert client.get(path).status_code == 200
    assert client.head("/").status_code == 200
    assert client.get("/openapi.json").json()["info"]["title"] == "ViT-Dementia"


class Slow:
    """A worker that answers when it is let."""

    def __init__(self) -> None:
        self.go_on, self.asked = threading.Event(), threading.Semaphore(0)
        self.batches: list[int] = []

    def __call__(self, jobs):
        self.batches.append(len(jobs))
        for _ in jobs:
            self.asked.release()
        assert self.go_on.wait(60)
        return served.nothing(jobs)


def at_once(
    url: str, count: int
) -> tuple[list[threading.Thread], list[httpx.Response]]:
    replies: list[httpx.Response] = []

    def ask() -> None:
        replies.append(httpx.post(f"{url}/v1/predict", files=FORM, timeout=60))

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, replies


def taken(url: str, wanted: int) -> bool:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        numbers = httpx.get(f"{url}/metrics").text
        if f"vit_dementia_places_taken {wanted}.0" in numbers:
            return True
        time.sleep(0.01)
    return False


def test_who_finds_no_place_is_told_when_to_ask_again() -> None:
    slow = Slow()
    with served.listening(served.Here(slow), places=3) as url:
        threads, replies = at_once(url, 3)
        assert taken(url, 3)
        refused = httpx.post(f"{url}/v1/predict", files=FORM)
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert httpx.get(f"{url}/ready").status_code == 503
        assert httpx.get(f"{url}/health").status_code == 200
        slow.go_on.set()
        for thread in threads:
            thread.join()
        assert [one.status_code for one in replies] == [200] * 3
        assert taken(url, 0)
    assert sum(slow.batches) == 3


def test_whoever_hangs_up_frees_the_place_and_is_not_worked_for() -> None:
    slow = Slow()
    with served.listening(served.Here(slow), places=3) as url:
        threads, _ = at_once(url, 1)
        assert slow.asked.acquire(timeout=60)
        for _ in range(2):
            with pytest.raises(httpx.TimeoutException):
                httpx.post(f"{url}/v1/predict", files=FORM, timeout=0.3)
        is_free_again = taken(url, 1)
        slow.go_on.set()
        threads[0].join()
    assert is_free_again
    assert slow.batches == [1]


def test_a_sender_who_takes_too_long_is_let_go() -> None:
    worker = served.Here(served.nothing)
    with served.listening(worker, places=1, upload_seconds=0.2) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
            line.sendall(
                b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999"
                b"\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
            )
            assert b" 408 " in line.recv(1000)
        assert taken(url, 0)


def test_the_log_holds_route_and_status_and_nothing_of_a_scan(caplog) -> None:
    def fail(jobs):
        return [Reply(status=422, body={"error": {"faults": ["x"]}}) for _ in jobs]

    with caplog.at_level(logging.INFO), served.listening(served.Here(fail)) as url:
        files = [("files", ("Doe^Jane.dcm", b"SENTINEL"))]
        httpx.post(f"{url}/v1/predict?same_person=true", files=files)
        httpx.get(f"{url}/Doe^Jane")
    told = [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith(("vit_dementia", "uvicorn"))
    ]
    assert any(line.startswith("/v1/predict 422 ") for line in told)
    assert any(line.startswith("none 404 ") for line in told)
    assert not [line for line in told if "Jane" in line or "SENTI" in line]
