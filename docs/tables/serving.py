"""Make ``serving.tsv``: what the server does on loopback, beside calling the predictor.

A network of the size of ViT-Ti/16 with random weights answers slices of 208 x 176 that
clients send one a request, each as soon as it has the answer before: 1, 8 and 32 of
them, and ten times as many as there are places. Who gets 503 asks again after as many
seconds as Retry-After says (``patience_s``), and in a last row five times a second.
Between these, the same slices go to the predictor within a process of its own, one a
call; ``ratio`` is the throughput of the server in units of what that does just before
and after, on the same machine.
Latencies are of requests that were answered; ``lost`` counts those that got neither an
answer nor 503. Memory is that of all processes of the server, resident; once before
the clients and once at its peak.

Run: ``make table serving`` (three minutes).
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from vit_dementia.benchmark.machine import processor_name
from vit_dementia.config import VitConfig
from vit_dementia.files import write_text
from vit_dementia.inference.model_folder import write_model_folder
from vit_dementia.inference.predictor import Predictor
from vit_dementia.limits import ServingLimits
from vit_dementia.models.variants import architecture
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.preparation.slices import SlicePreprocessing

TABLE = Path(__file__).with_suffix(".tsv")
SIZE = (208, 176)
PLACES = ServingLimits().places
MANY = 10 * PLACES
IMPATIENT = 0.2  # seconds until a client that got 503 and does not listen asks again
LOADS = ((1, None), (8, None), (32, None), (MANY, None), (MANY, IMPATIENT))
SECONDS = 15.0  # of load, for each number of clients
DIRECT_SECONDS = 8.0
BOUNDARY = "slice"
HEAD = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n'


def main() -> None:
    """Start a server, load it, and write the table."""
    if sys.argv[1:2] == ["--direct"]:
        _direct(Path(sys.argv[2]))
        return
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = _write_run(Path(folder))
        words = [sys.executable, "-m", "vit_dementia", "serve", run, "--port", "0"]
        server = subprocess.Popen(
            [*words, "--device", "cpu"], stderr=subprocess.PIPE, text=True
        )
        try:
            assert server.stderr is not None
            port = next(
                int(found[1])
                for line in server.stderr
                if (found := re.search(r"listening: http://\S+:(\d+)", line))
            )
            threading.Thread(target=server.stderr.read, daemon=True).start()
            rows = _rows(Path(folder), server.pid, port)
        finally:
            server.terminate()
            server.wait()
    facts = _facts(round(time.monotonic() - started))
    table = pd.DataFrame([row | facts for row in rows])
    write_text(TABLE, table.to_csv(sep="\t", index=False, lineterminator="\n"))
    print(table.to_string(index=False))


def _write_run(folder: Path) -> Path:
    """Write slices to ask about and a model of random weights."""
    rng = np.random.default_rng(0)
    (folder / "scans").mkdir()
    for number in range(64):
        pixels = rng.integers(0, 255, SIZE, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "scans" / f"{number:02}.png")
    torch.manual_seed(0)
    classes = ("CN", "AD")
    shape = architecture(
        "ViT-Ti/16", VitConfig(), image_size=SIZE, channels=1, num_classes=len(classes)
    )
    write_model_folder(
        folder / "run" / "model",
        VisionTransformer(shape),
        classes=classes,
        ordered=True,
        preprocessing=SlicePreprocessing(size=SIZE),
        facts={"allow_leakage": ""},
    )
    return folder / "run"


def _rows(folder: Path, pid: int, port: int) -> list[dict[str, Any]]:
    bodies = [_body(file) for file in sorted((folder / "scans").iterdir())]
    _load(port, bodies, clients=1, seconds=3)  # warm up
    rows, before = [], _direct_rate(folder)
    for clients, pause in LOADS:
        memory = _memory(pid)
        done, peak = threading.Event(), [memory]
        watcher = threading.Thread(target=_watch, args=(pid, peak, done))
        watcher.start()
        taken, counts = _load(
            port, bodies, clients=clients, seconds=SECONDS, pause=pause
        )
        done.set()
        watcher.join()
        after = _direct_rate(folder)
        rate = len(taken) / SECONDS
        p50, p95, p99 = 1000 * np.percentile(taken, (50, 95, 99))
        rows.append(
            {
                "clients": clients,
                "patience_s": pause or "as told",
                "requests_per_s": round(rate, 1),
                "direct_per_s": round((before + after) / 2, 1),
                "ratio": round(rate / ((before + after) / 2), 2),
                "p50_ms": round(p50),
                "p95_ms": round(p95),
                "p99_ms": round(p99),
                "answered": len(taken),
                "refused_503": counts[503],
                "lost": sum(counts.values()) - counts[503],
                "memory_mib": round(memory),
                "peak_mib": round(peak[0]),
            }
        )
        before = after
    return rows


def _body(file: Path) -> bytes:
    out = io.BytesIO()
    out.write(f"{HEAD}\r\n".encode())
    out.write(file.read_bytes())
    out.write(f"\r\n--{BOUNDARY}--\r\n".encode())
    return out.getvalue()


def _load(
    port: int,
    bodies: list[bytes],
    *,
    clients: int,
    seconds: float,
    pause: float | None = None,
) -> tuple[list[float], Counter[int]]:
    """Return the seconds of each answer, and how many were not answered, by status.

    Args:
        pause: seconds until who got 503 asks again; as Retry-After says if left out.
    """
    taken: list[float] = []
    counts = Counter[int]()  # 0: no status at all
    guard, end = threading.Lock(), time.monotonic() + seconds

    def client(number: int) -> None:
        line = HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        while (start := time.monotonic()) < end:
            try:
                line.request("POST", "/v1/predict", bodies[number % 64], headers)
                reply = line.getresponse()
                reply.read()
                status = reply.status
            except (OSError, HTTPException):
                line.close()
                status = 0
            with guard:
                if status == 200:
                    taken.append(time.monotonic() - start)
                else:
                    counts[status] += 1
            if status == 503:
                time.sleep(pause or float(reply.headers["Retry-After"]))
            number += clients
        line.close()

    threads = [threading.Thread(target=client, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken, counts


def _direct_rate(folder: Path) -> float:
    words = [sys.executable, __file__, "--direct", str(folder)]
    return float(subprocess.run(words, check=True, capture_output=True).stdout)


def _direct(folder: Path) -> None:
    """Print how many scans a second the predictor answers, one a call."""
    predictor = Predictor.load(folder / "run", device="cpu")
    scans = sorted((folder / "scans").iterdir())
    predictor(scans[:8])
    done, start = 0, time.monotonic()
    while time.monotonic() - start < DIRECT_SECONDS:
        predictor([scans[done % len(scans)]]).to_dict()
        done += 1
    print(done / (time.monotonic() - start))


def _watch(pid: int, peak: list[float], done: threading.Event) -> None:
    while not done.wait(0.25):
        peak[0] = max(peak[0], _memory(pid))


def _memory(pid: int) -> float:
    """Return the resident memory of a process and of those it started, in MiB."""
    tasks = Path(f"/proc/{pid}/task").iterdir()  # any thread may have begun one
    told = " ".join((task / "children").read_text("ascii") for task in tasks)
    pages = sum(
        int(Path(f"/proc/{one}/statm").read_text(encoding="ascii").split()[1])
        for one in (pid, *map(int, told.split()))
    )
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _facts(seconds: int) -> dict[str, Any]:
    words = ["git", "rev-parse", "--short=12", "HEAD"]
    commit = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return {
        "processor": processor_name(torch.device("cpu")),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "seconds": seconds,
        "commit": commit.strip(),
        "command": "make table serving",
        "date": datetime.now(UTC).date().isoformat(),
    }


if __name__ == "__main__":
    main()
