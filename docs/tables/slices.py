"""Make ``slices.tsv``: the results on the 4-class slices, and what not to believe.

Every model is trained and scored by the command that stands in its row. Three splits:
five folds by participant; the published train and test folders, which share every
participant; and a random split of images. The predictions behind each row are written
to ``slices/``, participants under made-up names, and the README gets the table.

Run: ``make table slices ARGS="DATA PARTICIPANTS WEIGHTS"`` with the folder that holds
``train/`` and ``test/``, the table that says who is on which slice, and the DeiT-tiny
weights. What is in ``runs/table-slices`` already is not run again.
"""

from __future__ import annotations

import json
import platform
import secrets
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from vit_dementia.benchmark.machine import commit_of_source
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.evaluation.scores import score
from vit_dementia.files import read_json, write_json, write_text

HERE = Path(__file__).parent
WORK = Path("runs/table-slices")
SEED = 0
COLUMNS = "--columns participant_id=subject,label=kaggle_class"
START, END = "<!-- results -->", "<!-- /results -->"
SPLITS = {
    "by participant": "**By participant**, 5 folds, every participant scored once by a "
    "model that never saw them (scores are by participant):",
    "published folders": "What not to believe: the **published folders**, where every "
    "test participant also stands in training (scores are by image):",
    "random images": "What not to believe: a **random split of images** (scores are by "
    "image):",
}
LEAK = "--allow-leakage 'to show its price'"


@dataclass(frozen=True)
class Arm:
    """One model on one split."""

    split: str
    model: str
    command: str  # DATA, PEOPLE, WEIGHTS and OUT are filled in
    evaluation: str  # below OUT
    unit: str = "image"

    @property
    def name(self) -> str:
        """Return the name of the arm's folder and files."""
        return f"{self.split}-{self.model}".replace(" ", "-")


def _arms() -> list[Arm]:
    shared = f"DATA --participants PEOPLE {COLUMNS} --seed {SEED}"
    fine_tune = f"{shared} --recipe finetune --init WEIGHTS"
    folds = "--folds 5 --out OUT"
    return [
        Arm(
            "by participant",
            "from scratch",
            f"cross-validate {shared} --recipe tiny {folds}",
            "evaluation/out-of-fold",
            "participant",
        ),
        Arm(
            "by participant",
            "fine-tuned",
            f"cross-validate {fine_tune} {folds}",
            "evaluation/out-of-fold",
            "participant",
        ),
        Arm(
            "published folders",
            "fine-tuned",
            f"train {fine_tune} {LEAK} --out OUT",
            "evaluation/test",
        ),
        Arm(
            "random images",
            "fine-tuned",
            f"train {fine_tune} {LEAK} --split {WORK}/random.json --out OUT",
            "evaluation/test",
        ),
    ]


def main() -> None:
    """Run what is missing, then write the table from all that is there."""
    filled = dict(zip(("DATA", "PEOPLE", "WEIGHTS"), sys.argv[1:4], strict=True))
    only = sys.argv[4:]  # names of arms, to run some of them elsewhere
    random = WORK / "random.json"
    if not random.exists():
        _call(
            f"split DATA --participants PEOPLE {COLUMNS} --unit image --seed {SEED} "
            f"--out {random}",
            filled,
        )
    for arm in _arms():
        if not only or arm.name in only:
            _run(arm, filled)
    if not only:
        _write_table()


def _run(arm: Arm, filled: dict[str, str]) -> None:
    out = WORK / arm.name
    record = WORK / f"{arm.name}.json"
    if record.exists():
        return
    start = time.monotonic()
    _call(arm.command, filled | {"OUT": str(out)})
    if arm.command.startswith("train"):
        _call(f"evaluate {out}", filled)
    facts = {
        "minutes": round((time.monotonic() - start) / 60, 1),
        "commit": commit_of_source(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, 1 thread",
    }
    write_json(record, facts)


def _call(command: str, filled: dict[str, str]) -> None:
    words = [filled.get(word, word) for word in shlex.split(command)]
    subprocess.run([sys.executable, "-m", "vit_dementia", *words], check=True)


def _write_table() -> None:
    rows: list[dict[str, Any]] = []
    for arm in _arms():
        folder = WORK / arm.name / arm.evaluation
        facts = read_json(WORK / f"{arm.name}.json")
        sources = {arm.model: folder / "predictions.tsv"}
        if arm.model == "fine-tuned":  # floors do not depend on the network
            sources |= {
                floor.stem.replace("-", " "): floor
                for floor in sorted((folder / "floors").glob("*.tsv"))
            }
        folds = _folds(arm)
        for model, file in sources.items():
            rows.append(_row(arm, model, Predictions.read(file), folds, facts))
    table = pd.DataFrame(rows)
    write_text(
        HERE / "slices.tsv", table.to_csv(sep="\t", index=False, lineterminator="\n")
    )
    _fill_readme()


def _folds(arm: Arm) -> dict[str, int] | None:
    """Return in which fold each participant was scored."""
    split = read_json(WORK / arm.name / "split.json")
    if arm.unit != "participant":
        return None
    return {
        participant: number
        for number, fold in enumerate(split["folds"])
        for participant in fold["test"]
    }


def _row(
    arm: Arm,
    model: str,
    predictions: Predictions,
    folds: dict[str, int] | None,
    facts: dict[str, Any],
) -> dict[str, Any]:
    metrics = score(predictions, fold_of=folds, seed=SEED)
    section = metrics[f"by_{arm.unit}"]
    file = _write_predictions(arm, model, predictions, folds)
    is_floor = model != arm.model
    scores: dict[str, Any] = {}
    for name in ("auroc", "accuracy", "balanced_accuracy"):
        entry = section["scores"][name]
        scores |= {
            name: entry["value"],
            f"{name}_low": entry.get("low"),
            f"{name}_high": entry.get("high"),
        }
    return {
        "split": arm.split,
        "model": model,
        "unit": arm.unit,
        "n_participants": section["n_participants"],
        "n_images": section["n_images"],
        **{key: None if v is None else round(v, 4) for key, v in scores.items()},
        "seed": SEED,
        "minutes": None if is_floor else facts["minutes"],
        "commit": facts["commit"],
        "date": facts["date"],
        "machine": facts["machine"],
        "command": "vit-dementia " + arm.command,
        "predictions": file,
    }


def _write_predictions(
    arm: Arm, model: str, predictions: Predictions, folds: dict[str, int] | None
) -> str:
    """Write made-up names, labels and probabilities; return the file's name."""
    chosen = predictions.by_participant() if arm.unit == "participant" else predictions
    table = chosen.table
    known_as = _made_up_names(predictions)
    columns = {
        "person": [known_as[participant] for participant in table.participant_id],
        "label": table.label,
        **{f"p_{name}": table[f"p_{name}"].round(6) for name in predictions.classes},
    }
    if folds is not None:
        columns["fold"] = [folds[participant] for participant in table.participant_id]
    name = f"slices/{arm.split}-{model}.tsv".replace(" ", "-")
    (HERE / "slices").mkdir(exist_ok=True)
    frame = pd.DataFrame(columns).sort_values(["person", "label"], kind="stable")
    write_text(HERE / name, frame.to_csv(sep="\t", index=False, lineterminator="\n"))
    return name


def _made_up_names(predictions: Predictions) -> dict[str, str]:
    """Return a random name for each participant, the same in all files."""
    file = WORK / "made-up-names.json"
    names: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    new = sorted(set(predictions.table.participant_id) - set(names))
    secrets.SystemRandom().shuffle(new)
    names |= {who: f"person-{len(names) + n:03}" for n, who in enumerate(new, start=1)}
    write_json(file, names)
    return names


def readme_table() -> str:
    """Return the rows of ``slices.tsv`` as the README shows them."""
    table = pd.read_csv(HERE / "slices.tsv", sep="\t")
    lines = []
    for split, words in SPLITS.items():
        lines += [
            f"{words}",
            "",
            "| model | participants | images | AUROC, none against any | accuracy |",
            "| --- | ---: | ---: | --- | --- |",
        ]
        rows = table[table.split == split].sort_values("auroc", kind="stable")
        lines += [
            f"| {row.model} | {row.n_participants} | {row.n_images} | "
            f"{_with_interval(row, 'auroc')} | {_with_interval(row, 'accuracy')} |"
            for row in rows.itertuples()
        ]
        lines.append("")
    return "\n".join(lines)


def _with_interval(row: Any, name: str) -> str:
    value, low = getattr(row, name), getattr(row, f"{name}_low")
    high = getattr(row, f"{name}_high")
    return f"{value:.2f}" if pd.isna(low) else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def _fill_readme() -> None:
    readme = HERE.parents[1] / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    write_text(readme, f"{before}{START}\n{readme_table()}{END}{after}")


if __name__ == "__main__":
    main()
