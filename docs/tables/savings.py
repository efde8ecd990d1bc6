"""Make ``savings.tsv``: what not doing needless work is worth, as ratios.

Both ways of a row take turns in one process; the ratio is the median over the rounds.
The clock counts the time of the processor, on one thread, so that what else runs on the
machine does not count:

- prediction of slices: only the patches that show a head, in the precision this
  processor gets by default, against all patches in float32;
- a training step from scratch: the same, against ``torch.nn.TransformerEncoder`` of the
  same size in float32, which is what a script of the field does;
- ten epochs of a head on a frozen backbone, of a tiny network and of the default one:
  its features kept, against computed anew.

Run: ``make table savings ARGS="DATA"``, DATA a folder of images per class.
Half an hour.
"""

from __future__ import annotations

import copy
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import UInt8

import vit_dementia as vd
from vit_dementia.benchmark.entries import ENTRIES, build
from vit_dementia.benchmark.machine import processor_name, provenance
from vit_dementia.benchmark.timing import interleaved, ratio_to
from vit_dementia.benchmark.work import Number, worker
from vit_dementia.data.phantoms.cohort import make_phantoms
from vit_dementia.files import write_text
from vit_dementia.inference.compute import Precision, computes_in_bf16, make_fabric
from vit_dementia.inference.forward import logits_of
from vit_dementia.models.variants import architecture
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.preparation.foreground import find_foreground
from vit_dementia.preparation.pack import pack_scans
from vit_dementia.preparation.slices import SlicePreprocessing

TABLE = Path(__file__).with_suffix(".tsv")
SECONDS = 60.0  # that the rounds of a row last at least
SIZE = (208, 176)
BATCH = 8
EPOCHS = 10


def main() -> None:
    """Measure each row and write the table."""
    since = time.monotonic()
    torch.set_num_threads(1)
    images, preprocessing = _slices(Path(sys.argv[1]))
    whole = VisionTransformer(
        architecture(
            "ViT-B/16",
            image_size=images.shape[2:],
            channels=images.shape[1],
            num_classes=4,
        )
    )
    visible = find_foreground(images, whole.architecture.patch_size)
    assert visible is not None, "every patch of these slices shows something"
    reduced = copy.deepcopy(whole).seeing(visible)
    patches = {"patches": len(visible), "of": whole.architecture.num_patches}
    rows = [
        _prediction(reduced, whole, images, preprocessing) | patches,
        _training(reduced, whole, images, preprocessing) | patches,
        _frozen("ViT-Ti/16"),
        _frozen("ViT-B/16"),
    ]
    facts = {
        "processor": processor_name(torch.device("cpu")),
        **provenance('make table savings ARGS="DATA"', since=since),
    }
    table = pd.DataFrame([row | facts for row in rows])
    if TABLE.exists():  # what other processors made of it stays
        before = pd.read_csv(TABLE, sep="\t")
        others = before[before.processor != facts["processor"]]
        table = pd.concat([others, table], ignore_index=True)
    for name in ("patches", "of"):
        table[name] = table[name].astype("Int64")
    write_text(TABLE, table.to_csv(sep="\t", index=False, lineterminator="\n"))


def _slices(
    data: Path,
) -> tuple[UInt8[np.ndarray, "n c h w"], SlicePreprocessing]:
    preprocessing = SlicePreprocessing(size=SIZE, mean=0.5, std=0.25)
    cohort = vd.Cohort.from_path(data)
    return pack_scans(cohort, preprocessing)[1], preprocessing


def _prediction(
    reduced: VisionTransformer,
    whole: VisionTransformer,
    images: UInt8[np.ndarray, "n c h w"],
    preprocessing: SlicePreprocessing,
) -> dict[str, Any]:
    rows = np.arange(2 * BATCH)

    def predict(model: VisionTransformer, precision: Precision) -> Callable[[], None]:
        fabric = make_fabric("cpu", precision)
        ready = fabric.setup_module(model)

        def work() -> None:
            logits_of(ready, images, rows, preprocessing, fabric)

        return work

    return _row(
        "prediction of slices, ViT-B/16, images/s",
        2 * BATCH,
        ours=predict(reduced, "auto"),
        other=predict(whole, "fp32"),
    )


def _training(
    reduced: VisionTransformer,
    whole: VisionTransformer,
    images: UInt8[np.ndarray, "n c h w"],
    preprocessing: SlicePreprocessing,
) -> dict[str, Any]:
    batch = preprocessing.normalize(torch.from_numpy(images[:BATCH].copy()))
    peer = next(entry for entry in ENTRIES if entry.name == "TransformerEncoder")
    usual: Number = "bf16" if computes_in_bf16("cpu") else "fp32"
    ours = worker(reduced, what="training", precision=usual)
    theirs = worker(
        build(peer, whole.architecture), what="training", precision="fp32", fused=False
    )
    return _row(
        "training step, ViT-B/16, images/s",
        BATCH,
        ours=lambda: ours(batch),
        other=lambda: theirs(batch),
    )


def _frozen(model: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_phantoms(root / "data", participants=32, slices=6, seed=0)
        cohort = vd.Cohort.from_path(root / "data")
        numbers = count()

        def train(freeze: str) -> Callable[[], None]:
            def work() -> None:
                number = next(numbers)
                vd.train(
                    cohort,
                    model=model,
                    train={"epochs": EPOCHS, "freeze": freeze},
                    out=root / f"run-{number}",
                    cache=root / f"cache-{number}",
                )

            return work

        return _row(
            f"{EPOCHS} epochs of a head, {model}, trainings/s",
            1,
            ours=train("backbone"),
            other=train("12-blocks"),
        )


def _row(
    what: str, number: int, *, ours: Callable[[], None], other: Callable[[], None]
) -> dict[str, Any]:
    times = interleaved(
        {"ours": ours, "other": other}, seconds=SECONDS, clock=time.process_time
    )
    return {
        "what": what,
        "ours": float(f"{number / np.median(times['ours']):.4g}"),
        "other": float(f"{number / np.median(times['other']):.4g}"),
        "ratio": round(ratio_to(times["ours"], times["other"]), 2),
        "rounds": len(times["ours"]),
    }


if __name__ == "__main__":
    main()
