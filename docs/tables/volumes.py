"""Make ``volumes.tsv``: slices and whole volumes of the same people, beside the floors.

Who has dementia (CDR above 0) among the people of a BIDS data set who have a diagnosis;
whoever has none is left out and never counts as healthy. The same five folds by
participant for every model, one setting of each, no other tried on these folds. Each is
scored on everybody, on people of 60 and over (where age tells little), and on those
whose volume is like the others: its correlation with the voxelwise median of all
volumes is ``LIKE_OTHERS`` or more. The predictions behind each row are written to
``volumes/``, under made-up names, and docs/explanation/volumes.md gets the table.

Run: ``make table volumes ARGS="DATA WEIGHTS"`` with the BIDS folder and the DeiT-tiny
weights. What is in ``runs/table-volumes`` already is not run again; further arguments
name models, to train these alone; one that was not run whole has no row. Models whose
runs are gone keep their predictions and rows, as long as the names made up for people
are still there.
"""

from __future__ import annotations

import json
import platform
import secrets
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from vit_dementia.benchmark.machine import commit_of_source
from vit_dementia.data.cohort import Cohort
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.evaluation.scores import score
from vit_dementia.files import read_json, replacing_folder, write_json, write_text
from vit_dementia.inference.rows import predictions_of_rows
from vit_dementia.preparation.pack import pack_scans
from vit_dementia.preparation.volumes import VolumePreprocessing
from vit_dementia.progress import Quiet
from vit_dementia.training.history import read_history
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.floors import floor_predictions
from vit_dementia.workflows.scoring import read_run

HERE = Path(__file__).parent
WORK = Path("runs/table-volumes")
PAGE = HERE.parent / "explanation" / "volumes.md"
START, END = "<!-- results -->", "<!-- /results -->"
FOLDS, SEED = 5, 0
DEMENTIA = dict.fromkeys(("very mild", "mild", "moderate"), "dementia")
LABELS = ",".join(f"{old}={new}" for old, new in DEMENTIA.items())
COHORT = f"DATA --label-map '{LABELS}' --visits baseline"
FROZEN = (
    "--init WEIGHTS --freeze backbone --vit.pooling mean --epochs 12"
    " --learning-rate 3e-3 --batch-size 32"
)
SLICES_OF_TINY = "--input slices --data.image-size 112 96"
COARSE = "--input volume --data.spacing-mm 8"
TUNED = "--recipe finetune --init WEIGHTS"
FROM_SLICES = (
    "--input volume --data.spacing-mm 2 --recipe finetune --init SLICES --epochs 12"
    " --batch-size 8"
)
ARMS = {
    "slices, from scratch": "--input slices --recipe tiny",
    "slices, own masked pre-training": f"{SLICES_OF_TINY} --init PRETRAINED"
    " --vit.dropout 0.1 --data.slices-per-participant 8 --epochs 20 --batch-size 16"
    " --learning-rate 5e-4",
    "slices, from DeiT-tiny, fine-tuned": f"{SLICES_OF_TINY} {TUNED}"
    " --data.slices-per-participant 8 --epochs 8",
    "slices, from DeiT-tiny, frozen": f"--input slices {FROZEN}",
    "slices by attention, from DeiT-tiny, frozen": "--input slices"
    f" --slice-pooling attention {FROZEN}",
    "volumes, from DeiT-tiny, frozen": "--input volume --data.spacing-mm 4"
    f" --vit.patch-size 8 {FROZEN}",
    "volumes, from DeiT-tiny, fine-tuned": f"{COARSE} --vit.patch-size 6 {TUNED}"
    " --epochs 15",
    "volumes, own masked pre-training": f"{COARSE} --init PRETRAINED"
    " --vit.pooling mean --vit.dropout 0.1 --vit.drop-path 0.1 --epochs 30"
    " --batch-size 8 --learning-rate 1e-3",
    "volumes, from slices with own pre-training": FROM_SLICES,
    "volumes, from slices of DeiT-tiny": FROM_SLICES,
    "volumes, from scratch": "--recipe volumes",
}
# Whose network of the same fold, which knows the same people, is inflated.
SLICES = {
    "volumes, from slices with own pre-training": "slices, own masked pre-training",
    "volumes, from slices of DeiT-tiny": "slices, from DeiT-tiny, fine-tuned",
}
# Of those without a diagnosis, whom no fold tests; as the arm from scratch otherwise.
PRETRAININGS = {
    "slices, own masked pre-training": f"{SLICES_OF_TINY} --recipe mae"
    " --model ViT-Ti/16 --vit.depth 6",
    "volumes, own masked pre-training": f"{COARSE} --recipe mae --model ViT-Ti/16"
    " --vit.patch-size 6 --vit.pooling mean --vit.embed-dim 96 --vit.depth 3"
    " --vit.mlp-dim 288 --epochs 100 --batch-size 16",
}
PAIRS = (
    ("slices, own masked pre-training", "slices, from scratch"),
    ("slices, from DeiT-tiny, fine-tuned", "slices, from scratch"),
    ("volumes, from slices with own pre-training", "volumes, own masked pre-training"),
    ("volumes, from slices of DeiT-tiny", "volumes, from DeiT-tiny, fine-tuned"),
    ("volumes, from slices of DeiT-tiny", "volumes, from scratch"),
    ("volumes, from slices of DeiT-tiny", "slices, from DeiT-tiny, fine-tuned"),
)  # that differ in how they begin, or in what they read
LINEAR = "linear model on pixels"
FLOORS = (
    "majority class",
    "age and sex alone",
    "linear model on silhouette and background",
    LINEAR,
)
FLOORS_OF = "volumes, from DeiT-tiny, frozen"  # whose voxels the linear models see
OLD = 60  # years
LIKE_OTHERS = 0.87
GRID = VolumePreprocessing(size=(96, 112, 96), spacing_mm=2.0)


def main() -> None:
    """Run what is missing, then write the table from all that is there."""
    filled = dict(zip(("DATA", "WEIGHTS"), sys.argv[1:3], strict=True))
    only = sys.argv[3:]
    if not (WORK / "split.json").exists():
        _call(
            f"split {COHORT} --folds {FOLDS} --seed {SEED} --out {WORK}/split.json",
            filled,
        )
    for arm in only or ARMS:
        if arm in PRETRAININGS:
            _pretrain(arm, Path(filled["DATA"]))
        for fold in range(FOLDS):
            _run(arm, fold, filled)
    _write_table(Path(filled["DATA"]))


def _pretrain(arm: str, data: Path) -> None:
    """Show a network the scans of everybody without a diagnosis, once for all folds."""
    out, others = _pretraining(arm), WORK / "others"
    if (out / "commit.json").exists():
        return
    if not others.exists():
        everyone = Cohort.from_path(data, label_map=DEMENTIA, keep_unlabelled=True)
        table = everyone.table
        is_known = table["label"].isin(("CN", "dementia"))
        known = set(table["participant_id"][is_known])
        paths = table["path"][~table["participant_id"].isin(known)]
        with replacing_folder(others) as aside:
            for path in paths:
                (aside / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(data / path, aside / path)
    places = {"OTHERS": str(others), "OUT": str(out)}
    _call(
        "pretrain --resume OUT" if out.exists() else _pretraining_command(arm), places
    )
    write_json(out / "commit.json", commit_of_source())


def _run(arm: str, fold: int, filled: dict[str, str]) -> None:
    out = _folder(arm, fold)
    if (out / "commit.json").exists():
        return
    places = {"FOLD": str(fold), "OUT": str(out), "SPLIT": str(WORK / "split.json")}
    places |= {"PRETRAINED": str(_pretraining(arm))}
    if arm in SLICES:
        _run(SLICES[arm], fold, filled)
        places["SLICES"] = str(_folder(SLICES[arm], fold))
    command = "train --resume OUT" if out.exists() else _command(arm)
    _call(command, filled | places)
    write_json(out / "commit.json", commit_of_source())


def _command(arm: str) -> str:
    return (
        f"train {COHORT} --split SPLIT --fold FOLD --seed {SEED} {ARMS[arm]} --out OUT"
    )


def _pretraining_command(arm: str) -> str:
    return (
        f"pretrain OTHERS {PRETRAININGS[arm]} --data.test 0 --data.val 0.1"
        f" --seed {SEED} --out OUT"
    )


def _folder(arm: str, fold: int) -> Path:
    return WORK / arm.replace(",", "").replace(" ", "-") / str(fold)


def _pretraining(arm: str) -> Path:
    return _folder(arm, 0).with_name("pretraining")


def _call(command: str, filled: dict[str, str]) -> None:
    words = [filled.get(word, word) for word in shlex.split(command)]
    subprocess.run([sys.executable, "-m", "vit_dementia", *words], check=True)


def _write_table(data: Path) -> None:
    everyone = Cohort.from_path(data, label_map=DEMENTIA, visits="baseline")
    facts = pd.DataFrame(
        {
            "old": everyone.table["age"].to_numpy() >= OLD,
            "like_others": _like_others(data, everyone),
        },
        index=everyone.table["participant_id"],
    )
    here = [arm for arm in ARMS if (_folder(arm, FOLDS - 1) / "commit.json").exists()]
    told: dict[str, list[Predictions]] = defaultdict(list)
    for arm in here:
        for fold in range(FOLDS):
            answers = _answers(arm, fold, everyone, with_floors=arm == FLOORS_OF)
            for model, predictions in answers.items():
                told[model].append(predictions)
    others = [name for name in (*FLOORS, *ARMS) if name not in told]
    gone = [name for name in others if _file(name).exists()]
    names = _made_up_names(everyone.table["participant_id"], is_known=bool(gone))
    tables = {model: _written(model, told[model], facts, names) for model in told}
    tables |= {model: pd.read_csv(_file(model), sep="\t") for model in gone}
    before = pd.read_csv(HERE / "volumes.tsv", sep="\t") if gone else pd.DataFrame()
    rows = [
        row | (_origin(model) if model in told else _origin_of(model, before))
        for model in (*FLOORS, *ARMS)
        if model in tables
        for row in rows_of(model, tables)
    ]
    frame = pd.DataFrame(rows)
    write_text(
        HERE / "volumes.tsv", frame.to_csv(sep="\t", index=False, lineterminator="\n")
    )
    _fill_page()


def page_table() -> str:
    """Return the rows of ``volumes.tsv`` as the page shows them."""
    table = pd.read_csv(HERE / "volumes.tsv", sep="\t")
    lines = []
    for group, rows in table.groupby("group", sort=False):
        first = rows.iloc[0]
        lines += [
            f"**{str(group).capitalize()}**: {first.n_participants} people,"
            f" {first.n_dementia} with dementia",
            "",
            "| model | AUROC | above the linear model |",
            "| --- | --- | --- |",
        ]
        lines += [
            f"| {row.model} | {_with_interval(row, 'auroc')} |"
            f" {_with_interval(row, 'above_linear')} |"
            for row in rows.itertuples()
        ]
        lines.append("")
    lines += ["**Everybody**, one against another", "", "| | AUROC |", "| --- | --- |"]
    for one, other in PAIRS:
        if not (_file(one).exists() and _file(other).exists()):
            continue
        told = _scores(*(pd.read_csv(_file(name), sep="\t") for name in (one, other)))
        said = _with_interval(pd.Series(told), "above_linear")
        lines.append(f"| {one} \N{MINUS SIGN} {other} | {said} |")
    return "\n".join([*lines, ""])


def _with_interval(row: Any, name: str) -> str:
    value, low = getattr(row, name), getattr(row, f"{name}_low")
    if pd.isna(value):
        return ""
    high = getattr(row, f"{name}_high")
    said = f"{value:.2f}" if pd.isna(low) else f"{value:.2f} [{low:.2f}, {high:.2f}]"
    return said.replace("-", "\N{MINUS SIGN}")


def _fill_page() -> None:
    before, rest = PAGE.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    write_text(PAGE, f"{before}{START}\n{page_table()}{END}{after}")


def _answers(
    arm: str, fold: int, everyone: Cohort, *, with_floors: bool
) -> dict[str, Predictions]:
    """Return what a model, and perhaps the floors, say of the test people of a fold."""
    run = RunFolder.open(_folder(arm, fold))
    reading = read_run(run, data=everyone, watch=Quiet())
    known, asked = reading.part("train"), reading.part("test")
    answer, scores = reading.answer(asked.images[asked.rows])
    floors = {}
    if with_floors:
        told = floor_predictions(
            known,
            asked,
            classes=reading.model.classes,
            trained_on=known.label[known.first],
        )
        floors = {name: told[name] for name in FLOORS}
    own = predictions_of_rows(asked.cohort, asked.rows, answer, scores=scores)
    return {**floors, arm: own}


def _origin(model: str) -> dict[str, Any]:
    if model not in ARMS:
        return {"minutes": None, "seed": SEED}
    return {
        "minutes": _minutes(model),
        "seed": SEED,
        "commit": read_json(_folder(model, 0) / "commit.json"),
        "machine": f"{platform.machine()}, 1 thread, shared",
        "command": " && ".join(f"vit-dementia {one}" for one in _commands(model)),
    }


def _commands(arm: str) -> list[str]:
    """Return what makes a network, beginning with what it begins from."""
    commands = [_command(arm)]
    if arm in PRETRAININGS:
        commands.insert(0, _pretraining_command(arm).replace("OUT", "PRETRAINED"))
    if arm in SLICES:
        *before, slices = _commands(SLICES[arm])
        commands = [*before, slices.replace("--out OUT", "--out SLICES"), *commands]
    return commands


def _origin_of(model: str, before: pd.DataFrame) -> dict[str, Any]:
    """Return what the table said of how a model was made."""
    kept = ["minutes", "seed", "commit", "machine", "command"]
    told: dict[str, Any] = before.loc[before.model == model, kept].iloc[0].to_dict()
    return told


def _minutes(arm: str) -> float:
    """Return how long the epochs of all folds took, and of what came before them."""
    runs = [_folder(arm, fold) for fold in range(FOLDS)]
    runs += [_pretraining(arm)] if arm in PRETRAININGS else []
    seconds = [
        epoch.seconds for run in runs for epoch in read_history(run / "history.jsonl")
    ]
    before = _minutes(SLICES[arm]) if arm in SLICES else 0.0
    return round(sum(seconds) / 60 + before, 1)


def _written(
    model: str, parts: list[Predictions], facts: pd.DataFrame, names: dict[str, str]
) -> pd.DataFrame:
    """Write made-up names, labels and probabilities; return the table."""
    people = [
        part.by_participant().table.assign(fold=n) for n, part in enumerate(parts)
    ]
    told = pd.concat(people, ignore_index=True)
    known = facts.loc[told.participant_id]
    frame = pd.DataFrame(
        {
            "person": [names[who] for who in told.participant_id],
            "label": told.label,
            "p_CN": told.p_CN.round(6),
            "p_dementia": told.p_dementia.round(6),
            "fold": told.fold,
            "old": known.old.to_numpy(),
            "like_others": known.like_others.to_numpy(),
        }
    ).sort_values("person", ignore_index=True)
    (HERE / "volumes").mkdir(exist_ok=True)
    write_text(_file(model), frame.to_csv(sep="\t", index=False, lineterminator="\n"))
    return frame


def _file(model: str) -> Path:
    return HERE / "volumes" / file_name(model)


def file_name(model: str) -> str:
    """Name the predictions of a model.

    >>> file_name("volumes, from scratch")
    'volumes-from-scratch.tsv'
    """
    return model.replace(",", "").replace(" ", "-") + ".tsv"


def _made_up_names(participants: pd.Series, *, is_known: bool) -> dict[str, str]:
    """Return a random name for each participant, the same in all files.

    Args:
        is_known: some files stay as they are, so the names must be those of before.
    """
    file = WORK / "made-up-names.json"
    if is_known and not file.exists():
        raise SystemExit(
            f"{file} is gone, and with it who is who; run all models again"
        )
    names: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    new = sorted(set(participants) - set(names))
    secrets.SystemRandom().shuffle(new)
    names |= {who: f"person-{len(names) + n:03}" for n, who in enumerate(new, start=1)}
    write_json(file, names)
    return names


def rows_of(model: str, tables: dict[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """Return the scores of a model on everybody and on each group of people."""
    own = tables[model]
    groups: dict[str, Bool[np.ndarray, " n"]] = {
        "everybody": np.ones(len(own), bool),
        "60 and over": own.old.to_numpy(),
        "like the others": own.like_others.to_numpy(),
    }
    return [
        {"model": model, "group": group} | _scores(own[chosen], tables[LINEAR][chosen])
        for group, chosen in groups.items()
    ]


def _scores(own: pd.DataFrame, other: pd.DataFrame) -> dict[str, Any]:
    told, floor = _predictions(own), _predictions(other)
    fold_of = dict(zip(own.person, own.fold, strict=True))
    floors = {} if own.equals(other) else {LINEAR: floor}
    metrics = score(told, fold_of=fold_of, floors=floors, seed=SEED)
    people = metrics["by_participant"]
    entry = people["scores"]["auroc"]
    above = metrics["above_floor"].get("auroc", {}).get("difference", {})
    return {
        "n_participants": len(own),
        "n_dementia": int((own.label == "dementia").sum()),
        "auroc": _rounded(entry["value"]),
        "auroc_low": _rounded(entry.get("low")),
        "auroc_high": _rounded(entry.get("high")),
        "above_linear": _rounded(above.get("value")),
        "above_linear_low": _rounded(above.get("low")),
        "above_linear_high": _rounded(above.get("high")),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _predictions(table: pd.DataFrame) -> Predictions:
    count = len(table)
    return Predictions.from_arrays(
        ("CN", "dementia"),
        participant_ids=table.person.tolist(),
        session_ids=["n/a"] * count,
        paths=table.person.tolist(),
        labels=table.label.tolist(),
        probabilities=table[["p_CN", "p_dementia"]].to_numpy(float),
    )


def _like_others(data: Path, asked: Cohort) -> Bool[np.ndarray, " n"]:
    """Say of each volume asked for whether it is like all volumes of the data set."""
    cohort = Cohort.from_path(data, keep_unlabelled=True)
    cohort, volumes = pack_scans(cohort, GRID)
    alike = dict(zip(cohort.table["path"], likeness(volumes), strict=True))
    return np.array([alike[path] >= LIKE_OTHERS for path in asked.table["path"]])


def likeness(volumes: np.ndarray) -> Float[np.ndarray, " n"]:
    """Return the correlation of each volume with the voxelwise median of all."""
    planes = range(volumes.shape[2])
    middle = np.stack([np.median(volumes[:, 0, z], axis=0) for z in planes]).ravel()
    return np.array([np.corrcoef(one.ravel(), middle)[0, 1] for one in volumes])


if __name__ == "__main__":
    main()
