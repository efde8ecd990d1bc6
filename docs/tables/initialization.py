"""Make ``initialization.tsv``: which first weights train best from scratch.

The recipe ``tiny`` is trained with each scheme on the training part of several folds by
participant and looked at on their validation part only; no test part is scored. One row
a training: the lowest validation loss of its epochs, and the balanced accuracy by
participant of the epoch that is kept.

Run: ``make table initialization ARGS="DATA PARTICIPANTS"`` as for ``slices``. What is
in ``runs/table-initialization`` already goes on where it stopped.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from vit_dementia.benchmark.machine import commit_of_source
from vit_dementia.files import write_text
from vit_dementia.models.initialization import Scheme
from vit_dementia.training.history import read_history

HERE = Path(__file__).parent
WORK = Path("runs/table-initialization")
FOLDS = 2  # of 5
COHORT = (
    "DATA --participants PEOPLE --columns participant_id=subject,label=kaggle_class"
)
COMMAND = (
    f"train {COHORT} --split {WORK}/split.json --fold FOLD --recipe tiny --epochs 16"
    " --vit.initialization SCHEME --out OUT"
)


def main() -> None:
    """Train what is missing, then write the table from all that is there."""
    filled = dict(zip(("DATA", "PEOPLE"), sys.argv[1:3], strict=True))
    if not (WORK / "split.json").exists():
        _call(f"split {COHORT} --folds 5 --seed 0 --out {WORK}/split.json", filled)
    rows = [
        _row(scheme, fold, filled)
        for fold in range(FOLDS)
        for scheme in get_args(Scheme)
    ]
    table = pd.DataFrame(rows).sort_values(["scheme", "fold"])
    write_text(
        HERE / "initialization.tsv",
        table.to_csv(sep="\t", index=False, lineterminator="\n"),
    )


def _row(scheme: str, fold: int, filled: dict[str, str]) -> dict[str, Any]:
    out = WORK / f"{scheme}-{fold}"
    command = "train --resume OUT" if out.exists() else COMMAND
    _call(command, filled | {"SCHEME": scheme, "FOLD": str(fold), "OUT": str(out)})
    history = read_history(out / "history.jsonl")
    losses = [epoch.val_loss for epoch in history if epoch.val_loss is not None]
    scores = [epoch.val_balanced_accuracy or 0.0 for epoch in history]
    return {
        "scheme": scheme,
        "fold": fold,
        "val_loss": round(min(losses), 4),
        "val_loss_last": round(losses[-1], 4),
        "val_balanced_accuracy": round(max(scores), 4),
        "epochs": len(history),
        "seed": 0,
        "minutes": round(sum(epoch.seconds for epoch in history) / 60, 1),
        "commit": commit_of_source(),
        "command": "vit-dementia " + COMMAND,
    }


def _call(command: str, filled: dict[str, str]) -> None:
    words = [filled.get(word, word) for word in shlex.split(command)]
    subprocess.run([sys.executable, "-m", "vit_dementia", *words], check=True)


if __name__ == "__main__":
    main()
