"""The server as people meet it: a whole visit in a browser, a process of its own."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from PIL import Image
from tests.integration.conftest import TINY, paint_cohort
from tests.unit.serving.served import (
    SLABS,
    SLICES,
    Here,
    head,
    listening,
    picture,
    write_model,
    write_run,
)
from tests.unit.serving.test_received import zipped

from vit_dementia.cli.app import run as command_line
from vit_dementia.data.volumes import Volume, write_volume
from vit_dementia.serving.alike import Offered

schemathesis = pytest.importorskip("schemathesis")
openapi = pytest.importorskip("schemathesis.specs.openapi.checks")
pytestmark = pytest.mark.slow

COMMAND = Path(sys.executable).with_name("vit-dementia")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
# Volumes are drawn by WebGL, here in software.
FLAGS = [
    "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]  # fmt: skip
MINUTES = 120_000  # milliseconds; a busy machine is slow


@pytest.fixture(scope="module")
def slice_server(tmp_path_factory):
    run = write_model(tmp_path_factory.mktemp("slices"), SLICES)
    with listening(Here.with_model(run)) as url:
        yield url


@pytest.fixture(scope="module")
def offering_server(tmp_path_factory):
    run = write_run(tmp_path_factory.mktemp("offering"))
    offered = Offered(cases=3, show_scans=True)
    with listening(Here.with_model(run, offered=offered)) as url:
        yield url


@pytest.fixture(scope="module")
def slab_server(tmp_path_factory):
    run = write_model(tmp_path_factory.mktemp("slabs"), SLABS)
    with listening(Here.with_model(run)) as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    """Drive the distribution's Chromium without a window."""
    if CHROMIUM is None:
        pytest.skip("needs the distribution's Chromium (package chromium)")
    driver = pytest.importorskip("playwright.sync_api")
    with driver.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser):
    """Open the page; afterwards nothing was complained of or fetched from outside."""
    complaints, asked, pages, urls = [], [], [], []

    def go(url, **how):
        page = browser.new_page(**how)
        page.set_default_timeout(MINUTES)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        pages.append(page)
        urls.append(url)
        page.goto(url)
        page.wait_for_selector("body[data-ready]")
        return page

    yield go
    for page in pages:
        page.close()
    assert complaints == []
    own = (*urls, "data:", *(f"blob:{url}" for url in urls))
    assert [url for url in asked if not url.startswith(own)] == []


def png(seed: int = 0) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture(seed)).save(out, format="PNG")
    return out.getvalue()


def drop(page, *files: tuple[str, bytes]) -> None:
    """Give the page files and wait for the answer."""
    given = [
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
        for name, content in files
    ]
    page.set_input_files("#files", given)
    page.wait_for_selector("#answer:not([hidden]), #status:has-text('No answer')")
    assert page.inner_text("#status") == "The answer is here."


def let_fall(page, *paths: Path) -> None:
    """Drag files and folders onto the page as a hand does, and wait for the answer."""
    told = page.locator("#past li").count()
    page.evaluate("scrollTo(0, 0)")
    box = page.locator("#drop").bounding_box()
    dragged = {"items": [], "files": list(map(str, paths)), "dragOperationsMask": 1}
    where = {"x": box["x"] + 30, "y": box["y"] + 30, "data": dragged}
    hand = page.context.new_cdp_session(page)
    for step in ("dragEnter", "dragOver"):
        hand.send("Input.dispatchDragEvent", {"type": step, **where})
    assert page.locator("#drop").get_attribute("class") == "over"
    hand.send("Input.dispatchDragEvent", {"type": "drop", **where})
    page.wait_for_function(
        "told => document.querySelectorAll('#past li').length > told"
        " || document.getElementById('status').textContent.startsWith('No answer')",
        arg=told,
    )
    assert page.inner_text("#status") == "The answer is here."


def explain(page) -> None:
    page.click("#explain")
    page.wait_for_selector("#map-about:not(:empty), #status:has-text('No answer')")
    assert page.inner_text("#status") == "The map is drawn on the scan."


def seen(page, canvas: str) -> np.ndarray:
    page.wait_for_timeout(500)  # the next frame, in software
    shot = page.locator(canvas).screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), float)


def colored(pixels: np.ndarray) -> float:
    """Return the share of pixels that are not gray."""
    return float((np.ptp(pixels, axis=2) > 24).mean())


@pytest.mark.parametrize("width", [1100, 360])
def test_a_visit_with_a_slice(visit, slice_server, width, tmp_path) -> None:
    dark = "dark" if width < 500 else "light"
    page = visit(
        slice_server, viewport={"width": width, "height": 900}, color_scheme=dark
    )
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    (tmp_path / "Doe^Jane.png").write_bytes(png())
    let_fall(page, tmp_path / "Doe^Jane.png")
    assert page.evaluate("document.activeElement.id") == "answer"
    before = seen(page, "#slice")
    assert before.max() > 150
    assert colored(before) == 0
    explain(page)
    assert colored(seen(page, "#slice")) > 0
    page.locator("#opacity").fill("0")
    assert colored(seen(page, "#slice")) == 0
    page.focus("#slice")
    page.keyboard.press("+")
    assert (seen(page, "#slice") > 20).mean() > (before > 20).mean()
    said = page.inner_text("main")
    assert re.search(r"(Yes|No): the model puts it on the side of", said)
    assert "never tested" in said
    assert page.locator("#past li").count() == 1
    assert "Jane" not in page.content()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    drop(page, ("1.png", png(1)), ("2.png", png(2)), ("3.txt", b"no scan"))
    assert page.locator("#rows tr").count() == 3
    told = asked_alone(slice_server, png(1), png(2), b"no scan")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    buttons = page.locator("#rows button")
    for number, one in enumerate(told[:2]):  # each scan has its own answer
        buttons.nth(number).click()
        said = f"Scan {number + 1} is shown, with its answer."
        page.wait_for_selector(f"#status:has-text('{said}')")
        assert page.locator("#slice").is_visible()
        assert page.inner_text("#of-scan").startswith(f"Of scan {number + 1} of 3;")
        shares = [f"{name}: {100 * p:.1f} %" for name, p in one.items()]
        assert page.locator("#bars li").all_inner_texts() == shares
        pressed = [button.get_attribute("aria-pressed") for button in buttons.all()]
        assert pressed == [str(place == number).lower() for place in range(3)]
    assert told[2] is None


def asked_alone(url: str, *scans: bytes) -> list[dict[str, float] | None]:
    """Return the probabilities of scans, asked for without the page."""
    form = [("files", scan) for scan in scans]
    told = httpx.post(f"{url}/v1/predict", files=form, timeout=60).json()
    return [one["probabilities"] for one in told["results"]]


def test_a_visit_with_a_model_that_was_trained(visit, tmp_path) -> None:
    data, out = paint_cohort(tmp_path / "data", people=40), tmp_path / "run"
    told = ["train", data, *TINY, "--epochs=3", "--data.val=0.3", "--data.test=0.3"]
    assert command_line([str(one) for one in (*told, "--out", out)]) == 0
    assert command_line(["evaluate", str(out)]) == 0
    offered = Offered(cases=2, show_scans=True)
    with listening(Here.with_model(out, offered=offered)) as url:
        page = visit(url, viewport={"width": 1100, "height": 900})
        scan = min(data.rglob("*.png"))
        drop(page, (scan.name, scan.read_bytes()))
        said = page.inner_text("#answer")
        assert re.search(r"Distance from the scans of the training: 0\.\d\d", said)
        assert re.search(r"Tested on \d+ participants .*AUROC", said)
        trained = r"Model [0-9a-f]{12}, trained on \d+ training participants"
        assert re.match(trained, page.inner_text("#model"))
        explain(page)
        page.click("#alike")
        page.wait_for_selector("#cases:not([hidden])")
        assert page.locator("#cases-list img").count() == 2
        out_of_this = io.BytesIO()  # no head: neither answered nor explained
        noise = np.random.default_rng(0).integers(0, 255, (32, 24)).astype(np.uint8)
        Image.fromarray(noise).save(out_of_this, format="PNG")
        drop(page, ("noise.png", out_of_this.getvalue()))
        assert page.inner_text("#said") == "No answer: the scan was refused."
        assert "does not look like the scans" in page.inner_text("#reasons")
        assert page.locator("#explain").is_hidden()
        assert page.locator("#alike").is_hidden()
        assert page.locator("#cases").is_hidden()


@pytest.mark.parametrize("shown", [False, True])
def test_cases_like_this_are_listed_where_they_are_offered(
    visit, tmp_path, shown
) -> None:
    offered = Offered(cases=3, show_scans=shown)
    with listening(Here.with_model(write_run(tmp_path), offered=offered)) as url:
        page = visit(url, viewport={"width": 360, "height": 900})
        drop(page, ("Doe^Jane.png", png()))
        assert page.locator("#cases").is_hidden()
        page.focus("#alike")
        page.keyboard.press("Enter")
        page.wait_for_selector("#cases:not([hidden]), #status:has-text('No answer')")
        told = page.inner_text("#status")
        assert told == "The cases like this stand below the answer."
        said = page.locator("#cases-list li").all_inner_texts()
        form = {"files": [("files", png())], "timeout": 60}
        cases = httpx.post(f"{url}/v1/cases", **form).json()["cases"]
        for words, case in zip(said, cases, strict=True):
            distance = f"{case['distance']:.3f}"
            for part in (case["label"], distance, f"line {case['line']}"):
                assert part in words
        pictures = page.locator("#cases-list img")
        assert pictures.count() == (3 if shown else 0)
        for number, picture_ in enumerate(pictures.all(), 1):
            assert picture_.get_attribute("alt") == f"Slice of case {number}"
            assert picture_.evaluate("one => one.complete && one.naturalWidth") == 24
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert "sub-" not in page.content()
        drop(page, ("2.png", png(1)))  # another scan has other cases
        assert page.locator("#cases").is_hidden()


def test_a_page_that_offers_no_cases_has_no_button_for_them(
    visit, slice_server
) -> None:
    page = visit(slice_server)
    drop(page, ("1.png", png()))
    assert page.locator("#explain").is_visible()
    assert page.locator("#alike").is_hidden()
    assert page.locator("#cases").is_hidden()


def test_a_visit_with_a_volume_and_a_zip_of_dicom(
    visit, slab_server, write_series, tmp_path
) -> None:
    page = visit(slab_server, viewport={"width": 1100, "height": 900})
    write_volume(
        tmp_path / "scan.nii.gz",
        Volume(head().astype(np.float32), np.diag([4.4, 4.4, 4.4, 1.0])),
    )
    let_fall(page, tmp_path / "scan.nii.gz")
    plain = seen(page, "#volume")
    assert plain.max() > 150
    explain(page)
    assert colored(seen(page, "#volume")) > colored(plain) + 0.005
    page.locator("#place-2").fill("0.2")
    assert not np.array_equal(seen(page, "#volume"), plain)
    side = 4 * 31
    files = write_series(
        tmp_path / "dicom",
        head(32, 4.0).astype(np.int16),
        PixelSpacing=[4, 4],
        SliceThickness="4",
        ImagePositionPatient=lambda n: [-side, -side, 4 * n],
    )
    members = ((f"Doe/{file.name}", file.read_bytes()) for file in files)
    (tmp_path / "dicom.zip").write_bytes(zipped(*members))
    shares = []
    for name in ("dicom.zip", "dicom"):
        let_fall(page, tmp_path / name)
        assert seen(page, "#volume").max() > 150
        assert page.inner_text("#quality") != "Refused."
        assert page.locator("#scans").is_hidden()  # it is one scan
        shares.append(page.locator("#bars li").all_inner_texts())
    assert shares[0] == shares[1]
    assert page.locator("#past li").count() == 3
    assert "Doe" not in page.content()
    page.pdf()  # it can be printed


def test_a_page_of_a_server_with_a_token_asks_for_it(browser, tmp_path) -> None:
    run = write_model(tmp_path, SLICES)
    page = browser.new_page(viewport={"width": 360, "height": 900})
    page.set_default_timeout(MINUTES)
    with listening(Here.with_model(run), token="s" * 32) as url:
        page.goto(url)
        page.wait_for_selector("#status:has-text('asks for its token')")
        for token, said in (("wrong", "is not the token"), ("s" * 32, "")):
            assert page.evaluate("document.activeElement.id") == "token"
            page.keyboard.press("Control+A")
            page.keyboard.type(token)
            page.keyboard.press("Enter")
            page.wait_for_function(
                "said => document.getElementById('status').textContent.includes(said)"
                " && (said || document.getElementById('model').textContent)",
                arg=said,
            )
        assert page.locator("#token-form").is_hidden()
        drop(page, ("1.png", png()))
        assert "s" * 32 not in page.url + page.inner_text("body")
    page.close()


def test_a_page_says_how_much_each_slice_counts_where_the_model_weighs_them(
    visit, slice_server, tmp_path
) -> None:
    how = {"viewport": {"width": 360, "height": 900}, "color_scheme": "dark"}
    scans = [(f"{number}.png", png(number)) for number in range(4)]
    run = write_model(tmp_path / "slices", SLICES, weighs_slices=True)
    with listening(Here.with_model(run)) as url:
        page = visit(url, **how)
        page.check("#same-person")
        drop(page, scans[0], ("none.txt", b"no scan"), *scans[1:])
        asked = {"params": {"same_person": True}, "timeout": 60}
        form = [("files", content) for _, content in scans]
        told = httpx.post(f"{url}/v1/predict", files=form, **asked).json()["results"]
        shares = [one["slice_weights"][0] for one in told]
        words = "One answer for 4 scans, each by how much it counts (below)."
        assert words in page.inner_text("#said-more")
        lines = page.locator("#weights-list li")
        assert lines.all_inner_texts() == [
            f"Scan {number}: {100 * share:.1f} %"
            for number, share in enumerate(shares, 1)
        ]
        assert page.locator("#weights h3").is_visible()
        bars = page.locator("#weights-list rect")
        widths = [one.bounding_box()["width"] for one in bars.all()]
        assert np.allclose(widths, np.multiply(shares, max(widths) / max(shares)))
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    slabs = write_model(tmp_path / "slabs", SLABS, weighs_slices=True)
    affine = np.diag([4.4, 4.4, 4.4, 1.0])
    write_volume(tmp_path / "a.nii.gz", Volume(head().astype(np.float32), affine))
    with listening(Here.with_model(slabs)) as url:
        page = visit(url)
        drop(page, ("a.nii.gz", (tmp_path / "a.nii.gz").read_bytes()))
        texts = page.locator("#weights-list li").all_inner_texts()
        assert [text.split(":")[0] for text in texts] == [
            "Scan 1, slice 1", "Scan 1, slice 2",
        ]  # fmt: skip
    page = visit(slice_server)
    drop(page, *scans[:2])
    assert page.locator("#weights").is_hidden()


CHECKS = [
    schemathesis.checks.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
]
ROUTES = (
    ("POST", "/v1/predict"), ("POST", "/v1/view"), ("POST", "/v1/explain"),
    ("POST", "/v1/cases"), ("GET", "/v1/model"), ("GET", "/health"), ("GET", "/ready"),
    ("GET", "/metrics"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nothing_that_the_interface_allows_breaks_it(
    offering_server, method, path
) -> None:
    interface = schemathesis.openapi.from_url(f"{offering_server}/openapi.json")
    told = [one.ok() for one in interface.get_all_operations()]
    assert {(one.method.upper(), one.path) for one in told} == set(ROUTES)
    (operation,) = [
        one for one in told if (one.method.upper(), one.path) == (method, path)
    ]
    statuses = set()

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def asked(case) -> None:
        reply = case.call_and_validate(timeout=60, checks=CHECKS)
        statuses.add(reply.status_code)

    asked()
    assert statuses <= ({200} if method == "GET" else {200, 400, 408, 413, 422, 503})


@pytest.fixture
def command(tmp_path):
    """Start the command on a free port; return its process and address."""
    started = []

    def start(*words):
        run = write_model(tmp_path / "run", SLICES)
        process = subprocess.Popen(
            [COMMAND, "serve", run, "--port=0", "--device=cpu", *words],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        started.append(process)
        for line in process.stderr:
            if found := re.search(r"listening: (http\S+)", line):
                break
        return process, found[1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stderr.close()


def worker_of(process) -> int:
    """Return the process that reads scans: the child with most memory."""
    tasks = Path(f"/proc/{process.pid}/task").iterdir()  # any thread may have begun it
    told = [pid for task in tasks for pid in (task / "children").read_text().split()]
    sizes = {
        int(pid): int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in told
    }
    return max(sizes, key=lambda pid: sizes[pid])


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_scan_that_stops_its_reader_costs_one_answer(command, tmp_path) -> None:
    process, url = command("--limits.seconds=10")
    port = int(url.rpartition(":")[2])
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)}
    for host in others - {"127.0.0.1", "127.0.1.1", "::1"}:
        with pytest.raises(OSError, match=r"."):  # it listens on loopback alone
            socket.create_connection((host, port), timeout=2)
    form = {"files": [("files", png())], "timeout": 240}
    first = httpx.post(f"{url}/v1/predict", **form)
    assert first.status_code == 200
    os.kill(worker_of(process), signal.SIGSTOP)  # as a decoder that never ends
    assert httpx.post(f"{url}/v1/predict", **form).status_code == 504
    again = httpx.post(f"{url}/v1/predict", **form)
    assert again.json() == first.json()
    os.kill(worker_of(process), signal.SIGKILL)  # while nobody asks for anything
    again = httpx.post(f"{url}/v1/predict", **form)
    assert again.status_code == 200
    assert again.json() == first.json()
    kept = [p for p in tmp_path.glob("vit-dementia-*") if p.is_dir()]
    assert [list(folder.iterdir()) for folder in kept] == [[]]
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert not list(tmp_path.glob("vit-dementia-*"))
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")


def test_what_was_begun_is_finished_before_the_end(command) -> None:
    process, url = command()
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as line:
        body = (
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
            + png()
            + b"\r\n--x--\r\n"
        )
        line.sendall(
            b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        line.sendall(body)
        line.settimeout(240)
        assert b" 200 " in line.recv(1000)
    assert process.wait(60) == 128 + signal.SIGTERM
