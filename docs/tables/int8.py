"""Make ``int8.tsv``: what whole numbers of 8 bits change, in score and in speed.

Each row is a finished run whose scans are where they were: its model is exported with
8-bit numbers (calibrated on its training scans), scored on its validation part before
and after, and timed in turns with PyTorch in float32 and bf16 and with ONNX Runtime in
float32, on one thread. The clock counts the time of the processor, so that what else
runs on the machine does not count; ratios are medians over the rounds.

Run: ``make table int8 ARGS="NAME=RUN..."``, NAME as the row is to be called. A few
minutes. docs/how-to/export.md gets the numbers.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from vit_dementia.benchmark.machine import processor_name, provenance
from vit_dementia.benchmark.timing import interleaved, ratio_to
from vit_dementia.export.formats import open_onnx, write_onnx
from vit_dementia.files import write_text
from vit_dementia.inference.compute import Precision, computes_in_bf16, make_fabric
from vit_dementia.inference.model_folder import SavedModel, read_model_folder
from vit_dementia.workflows.export_int8 import export_int8

HERE = Path(__file__).parent
PAGE = HERE.parent / "how-to" / "export.md"
START, END = "<!-- int8 -->", "<!-- /int8 -->"
SECONDS = 40.0  # that the rounds of a row last at least
BATCH = 8


def main() -> None:
    """Measure every run, and write table and page."""
    since = time.monotonic()
    torch.set_num_threads(1)
    rows = [_row(*word.split("=", 1)) for word in sys.argv[1:]]
    assert rows, "needs NAME=RUN"
    facts = {
        "processor": processor_name(torch.device("cpu")),
        "has_bf16": computes_in_bf16("cpu"),
        "load": round(os.getloadavg()[2], 1),  # over the last 15 minutes
        "cores": os.cpu_count(),
        **provenance('make table int8 ARGS="NAME=RUN..."', since=since),
    }
    table = pd.DataFrame([row | facts for row in rows])
    write_text(
        HERE / "int8.tsv", table.to_csv(sep="\t", index=False, lineterminator="\n")
    )
    before, rest = PAGE.read_text(encoding="utf-8").split(START)
    text = f"{before}{START}\n{page_of(table)}{END}{rest.split(END)[1]}"
    write_text(PAGE, text)


def _row(name: str, run: str) -> dict[str, Any]:
    model = read_model_folder(Path(run))
    with tempfile.TemporaryDirectory() as folder:
        rounded = export_int8(Path(run), Path(folder) / "int8")
        (Path(folder) / "float32").mkdir()
        write_onnx(model, Path(folder) / "float32")
        times = _times(
            model,
            {
                "onnx": open_onnx(Path(folder) / "float32"),
                "int8": open_onnx(rounded.path),
            },
        )
    before, after = rounded.before, rounded.after
    return {
        "model": name,
        "participants": rounded.num_units,
        "scans": rounded.num_scans,
        "calibrated_on": rounded.num_calibration,
        "auroc": _short(before.auroc),
        "auroc_int8": _short(after.auroc),
        "balanced_accuracy": _short(before.balanced_accuracy),
        "balanced_accuracy_int8": _short(after.balanced_accuracy),
        "same_class": _short(rounded.same_class),
        **{
            f"{way}_per_s": float(f"{BATCH / np.median(taken):.4g}")
            for way, taken in times.items()
        },
        **{
            f"ratio_to_{way}": round(ratio_to(times["int8"], times[way]), 2)
            for way in ("fp32", "bf16", "onnx")
        },
        "batch": BATCH,
        "rounds": len(times["int8"]),
    }


def _times(
    model: SavedModel, others: dict[str, Callable[[np.ndarray], np.ndarray]]
) -> dict[str, Float[np.ndarray, " r"]]:
    """Return the seconds that each way took for a batch in each round."""
    shape = (BATCH, model.preprocessing.channels, *model.preprocessing.size)
    images = np.random.default_rng(0).normal(size=shape).astype(np.float32)

    def by_torch(precision: Precision) -> Callable[[], None]:
        fabric = make_fabric("cpu", precision)
        network = fabric.setup_module(model.network)
        shown = torch.from_numpy(images)

        def work() -> None:
            with torch.inference_mode():
                network(shown)

        return work

    def by(answer: Callable[[np.ndarray], np.ndarray]) -> Callable[[], None]:
        def work() -> None:
            answer(images)

        return work

    ways = {"fp32": by_torch("fp32"), "bf16": by_torch("bf16")}
    ways |= {name: by(answer) for name, answer in others.items()}
    return interleaved(ways, seconds=SECONDS, clock=time.process_time)


def _short(score: float | None) -> float | None:
    return None if score is None else round(score, 3)


def page_of(table: pd.DataFrame) -> str:
    """Return what the page says of each model: scores, then images a second."""
    lines = [
        "| model | people, slices | AUROC | balanced accuracy | same class | "
        "times as fast as PyTorch fp32 | as PyTorch bf16 | as ONNX Runtime fp32 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row.model} | {row.participants}, {row.scans} | "
        f"{row.auroc:.3f} to {row.auroc_int8:.3f} | "
        f"{row.balanced_accuracy:.3f} to {row.balanced_accuracy_int8:.3f} | "
        f"{100 * row.same_class:.1f} % | {row.ratio_to_fp32:.2f} | "
        f"{row.ratio_to_bf16:.2f} | {row.ratio_to_onnx:.2f} |"
        for row in table.itertuples()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
