"""Make ``prepare.tsv``: what preparing a scan takes, for each pipeline.

Scans are prepared by the command line, one after another in one worker, and once more
into another folder, to see whether the bytes are the same. Seconds are those that a
core was at work on a scan, worker and command together, so that a busy machine does not
change them; memory is the peak of the larger process.

Run: ``make table prepare``, or ``ARGS="PIPELINE [DATA NAME]"`` for one pipeline, on
made-up whole heads of 2 mm or on DATA, which the table calls NAME. Other rows are kept.
Minutes for each scan with ``t1-linear``.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pandas as pd
import torch

from vit_dementia.benchmark.machine import processor_name, provenance
from vit_dementia.data.phantoms.cohort import make_phantoms
from vit_dementia.files import write_text
from vit_dementia.preparation.pipeline import Name, Pipeline

TABLE = Path(__file__).with_suffix(".tsv")
PIPELINES = ("none", "fast", "t1-linear")
PHANTOMS, SCANS = "phantom, 96 x 120 x 128 voxels of 2 mm", 2


def main() -> None:
    """Measure each pipeline in a process of its own, then write the table."""
    if sys.argv[1:2] == ["--measure"]:
        _measure(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
        return
    chosen, *scans = sys.argv[1:] or [""]
    for pipeline in [chosen] if chosen else PIPELINES:
        since = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            data, name = scans or [f"{folder}/heads", PHANTOMS]
            if name == PHANTOMS:
                make_phantoms(
                    Path(data), participants=SCANS, volumes=True, whole_head=True
                )
            words = [sys.executable, __file__, "--measure", pipeline, data, folder]
            told = subprocess.run(words, check=True, capture_output=True, text=True)
        row = dict(pair.split("=", 1) for pair in told.stdout.split())
        asked = f"{pipeline} DATA '{name}'" if scans else pipeline
        made = provenance(f'make table prepare ARGS="{asked}"', since=since)
        _put({"pipeline": pipeline, "scan": name, **row, **_facts(pipeline), **made})


def _measure(pipeline: str, data: Path, folder: Path) -> None:
    """Print what preparing the scans took, and whether it gives the same again."""
    # Whole heads are not where the template is: with `none` they are kept all the same.
    words: list[str | Path] = [sys.executable, "-m", "vit_dementia", "prepare"]
    words += [
        data,
        folder / "one",
        "--pipeline",
        pipeline,
        "--workers",
        "1",
        "--keep-failed",
    ]
    subprocess.run(words, check=False, stdout=sys.stderr)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    made = _bytes_in(folder / "one")
    words[5] = folder / "two"
    subprocess.run(words, check=False, stdout=sys.stderr)
    seconds = (spent.ru_utime + spent.ru_stime) / len(made)
    print(f"scans={len(made)}", f"cpu_s_per_scan={seconds:.1f}")
    print(f"peak_mib={spent.ru_maxrss / 1024:.0f}")
    print(f"same_again={'yes' if _bytes_in(folder / 'two') == made else 'no'}")


def _bytes_in(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each prepared volume."""
    return {
        file.name: sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*_T1w.nii.gz"))
    }


def _facts(pipeline: str) -> dict[str, str]:
    software = Pipeline(pipeline=cast(Name, pipeline)).facts()["software"]
    return {
        "software": ", ".join(f"{n} {v}" for n, v in software.items()) or "-",
        "processor": processor_name(torch.device("cpu")),
    }


def _put(row: dict[str, Any]) -> None:
    """Write a row, in place of the one of the same pipeline and scans."""
    rows = [row]
    if TABLE.exists():
        old = pd.read_csv(TABLE, sep="\t", dtype=str, keep_default_na=False)
        same = (old.pipeline == row["pipeline"]) & (old.scan == row["scan"])
        rows += old[~same].to_dict("records")
    rows.sort(key=lambda one: (one["scan"] != PHANTOMS, one["scan"]))
    rows.sort(key=lambda one: PIPELINES.index(one["pipeline"]))
    table = pd.DataFrame(rows)
    write_text(TABLE, table.to_csv(sep="\t", index=False, lineterminator="\n"))


if __name__ == "__main__":
    main()
