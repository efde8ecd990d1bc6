"""Make ``memory.tsv``: what a training holds in memory, for few and for many images.

Images are generated noise of 32 x 32, 32 of each made-up person, and every epoch shows
one of each. Memory is that of a process of its own which reads, packs and trains: what
is its own (anonymous) beside what it maps of the packed file, which the system takes
back when others need it. It is sampled.

Run: ``make table memory`` (a minute), or ``ARGS="100000"`` for another size. A row of
another size in the table is kept.
"""

from __future__ import annotations

import os
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

from vit_dementia.benchmark.machine import provenance
from vit_dementia.config import DataConfig, RunConfig, TrainConfig, VitConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.files import write_text
from vit_dementia.training.run import train

TABLE = Path(__file__).with_suffix(".tsv")
SIZES = (2_000, 20_000)
SLICES = 32
SIDE = 32
KINDS = {"RssAnon:": "own_mib", "RssFile:": "mapped_mib"}


def main() -> None:
    """Measure each size in a process of its own, then write the table."""
    if sys.argv[1:2] == ["--measure"]:
        _measure(Path(sys.argv[2]))
        return
    for size in [int(word) for word in sys.argv[1:]] or SIZES:
        since = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            _generate(Path(folder) / "data", size)
            words = [sys.executable, __file__, "--measure", folder]
            told = subprocess.run(words, check=True, capture_output=True, text=True)
        row = dict(pair.split("=", 1) for pair in told.stdout.split())
        _put(row | provenance(f'make table memory ARGS="{size}"', since=since))


def _generate(folder: Path, count: int) -> None:
    """Write so many slices as PNG files, ``SLICES`` of each person."""
    rng = np.random.default_rng(0)
    for label in ("CN", "AD"):
        (folder / label).mkdir(parents=True)
    for number in range(count):
        person, place = divmod(number, SLICES)
        pixels = rng.integers(60, 255, (SIDE, SIDE), dtype=np.uint8)
        name = f"{('CN', 'AD')[person % 2]}/sub-{person:05}_slice-{place:02}.png"
        Image.fromarray(pixels).save(folder / name, compress_level=1)


def _measure(folder: Path) -> None:
    """Print what a training of two epochs took."""
    peak, done = dict.fromkeys(KINDS.values(), 0), threading.Event()
    watcher = threading.Thread(target=_watch, args=(peak, done))
    base = _memory()
    watcher.start()
    start = time.monotonic()
    cohort = Cohort.from_path(folder / "data")
    config = RunConfig(
        model="ViT-Ti/16",
        vit=VitConfig(embed_dim=24, depth=1, num_heads=2, mlp_dim=48),
        data=DataConfig(val=0.0, slices_per_participant=1),
        train=TrainConfig(epochs=2, batch_size=64),
    )
    train(cohort, config, out=folder / "run", cache=folder / "cache")
    seconds = time.monotonic() - start
    done.set()
    watcher.join()
    packed = sum(file.stat().st_size for file in (folder / "cache").glob("*.npy"))
    facts = {
        "images": len(cohort),
        "own_mib": round(peak["own_mib"] - base["own_mib"]),
        "mapped_mib": round(peak["mapped_mib"] - base["mapped_mib"]),
        "packed_mib": round(packed / 2**20),
        "seconds": round(seconds, 1),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }
    print(*(f"{name}={value}" for name, value in facts.items()))


def _watch(peak: dict[str, float], done: threading.Event) -> None:
    """Keep the most of each kind of memory that this process holds."""
    while not done.wait(0.2):
        for kind, found in _memory().items():
            peak[kind] = max(peak[kind], found)


def _memory() -> dict[str, float]:
    """Return the memory of this process by its kind, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    parts = [line.split() for line in lines]
    return {KINDS[part[0]]: int(part[1]) / 1024 for part in parts if part[0] in KINDS}


def _put(row: dict[str, Any]) -> None:
    """Put one row into the table in place of the one of the same size."""
    rows = [row]
    if TABLE.exists():
        kept = pd.read_csv(TABLE, sep="\t", dtype=str).to_dict("records")
        rows += [old for old in kept if old["images"] != row["images"]]
    rows.sort(key=lambda one: int(one["images"]))
    write_text(TABLE, pd.DataFrame(rows).to_csv(sep="\t", index=False))
    print(row)


if __name__ == "__main__":
    main()
