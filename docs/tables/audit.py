"""Make ``audit.tsv``: how long it takes to tell who is who, and how much memory.

Images are generated: each made-up person has a brain-shaped block of smooth random
matter, cut into neighboring slices. Time and memory are those of a process of its own
that looks at the files and groups them, its helpers included; memory is sampled.

Run: ``make table audit`` (ten minutes), or ``ARGS="6400"`` for one size. A row
of another size in the table is kept.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from vit_dementia.audit.grouping import group
from vit_dementia.audit.pictures import look_at
from vit_dementia.benchmark.machine import provenance
from vit_dementia.data.cohort import Cohort
from vit_dementia.files import write_text

TABLE = Path(__file__).with_suffix(".tsv")
SIZES = (6_400, 25_600, 100_000)
SLICES = 32
HEIGHT, WIDTH = 208, 176
MIB = 2**20


def main() -> None:
    """Measure each size in a process of its own, then write the table."""
    if sys.argv[1:2] == ["--measure"]:
        _measure(Path(sys.argv[2]))
        return
    for size in [int(word) for word in sys.argv[1:]] or SIZES:
        since = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            _generate(Path(folder), size)
            words = [sys.executable, __file__, "--measure", folder]
            told = subprocess.run(words, check=True, capture_output=True, text=True)
        row = dict(pair.split("=", 1) for pair in told.stdout.split())
        _put(row | provenance(f'make table audit ARGS="{size}"', since=since))


def _generate(folder: Path, count: int) -> None:
    """Write so many slices as JPEG files, ``SLICES`` of each person."""
    rows, columns = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    common = np.random.default_rng(0).normal(size=(8, 26, 22))
    for number, first in enumerate(range(0, count, SLICES)):
        rng = np.random.default_rng([1, number])
        coarse = common + 0.8 * rng.normal(size=common.shape)
        zoom = (SLICES / 8, HEIGHT / 26, WIDTH / 22)
        block = ndimage.zoom(coarse.astype(np.float32), zoom, order=1)
        long, wide = rng.uniform(0.75, 0.9, size=2)
        for height, slice_2d in enumerate(block[: count - first]):
            grown = 1 - 0.01 * height
            inside = (rows / long) ** 2 + (columns / wide) ** 2 < grown**2
            gray = np.where(inside, np.clip(120 + 40 * slice_2d, 40, 255), 0)
            name = f"{'ab'[number % 2]}/{first + height:06}.jpg"
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(gray.astype(np.uint8)).save(path, quality=90)


def _measure(folder: Path) -> None:
    """Print what telling who is who took."""
    cohort = Cohort.from_path(folder)
    peak, done = [0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(peak, done))
    watcher.start()
    start = time.monotonic()
    pictures = look_at(cohort)
    seen = time.monotonic()
    found = group(pictures)
    end = time.monotonic()
    done.set()
    watcher.join()
    facts = {
        "images": len(pictures),
        "people": -(-len(pictures) // SLICES),
        "people_found": len(set(found.participant)),
        "certain": found.certain,
        "seconds_looking": round(seen - start, 1),
        "seconds_grouping": round(end - seen, 1),
        "seconds": round(end - start, 1),
        "peak_mib": round(peak[0] / MIB),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "machine": platform.machine(),
    }
    print(*(f"{name}={value}" for name, value in facts.items()))


def _watch(peak: list[int], done: threading.Event) -> None:
    """Keep the largest sum of the memory that this process and its helpers hold."""
    while not done.wait(0.5):
        peak[0] = max(peak[0], _memory(os.getpid()))


def _memory(process: int) -> int:
    """Return the proportional set size of a process and of those it started."""
    try:
        told = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
        line = next(line for line in told.splitlines() if line.startswith("Pss:"))
        tasks = Path(f"/proc/{process}/task").glob("*/children")
        children = [int(c) for task in tasks for c in task.read_text().split()]
    except (OSError, StopIteration):  # it has ended
        return 0
    return int(line.split()[1]) * 1024 + sum(map(_memory, children))


def _put(facts: dict[str, Any]) -> None:
    """Write one row into the table."""
    table = pd.DataFrame([facts])
    if TABLE.exists():
        old = pd.read_csv(TABLE, sep="\t", dtype=str)
        table = pd.concat([old[old["images"] != facts["images"]], table])
    table = table.sort_values("images", key=lambda column: column.astype(int))
    write_text(TABLE, table.to_csv(sep="\t", index=False, lineterminator="\n"))


if __name__ == "__main__":
    main()
