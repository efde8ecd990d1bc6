"""Score the trials that stand for their arms on the test participants; write the table.

Once, after the last choice: ``few-people/arms.tsv``, the predictions behind it in
``few-people/predictions/``, participants under made-up names, and the tables in
``docs/explanation/few-people.md``, and the report of the fine-tuned network in
``few-people/report.html``, which shows no scan and names nobody.

An arm whose runs are no longer at hand is neither trained nor asked again: what was
published of it stands, and its people are known by what the linear floor says of them.

Run: ``make table few_people_scores ARGS="DATA PEOPLE WEIGHTS"``, as ``few_people``.
"""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from few_people import (
    HERE,
    PROTOCOL,
    WORK,
    Study,
    Trial,
    auroc_of,
    read_trials,
    study_of,
    told_by,
)

from vit_dementia.evaluation.comparisons import paired_interval
from vit_dementia.evaluation.entries import entry_of
from vit_dementia.evaluation.measures import MEASURES
from vit_dementia.evaluation.predictions import UNKNOWN, Predictions
from vit_dementia.evaluation.rows import Rows
from vit_dementia.evaluation.scores import score
from vit_dementia.files import write_text
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.floors import LINEAR
from vit_dementia.workflows.report.options import ReportOptions
from vit_dementia.workflows.report.study import OUT_OF_FOLD
from vit_dementia.workflows.report.study import study_of as study_facts
from vit_dementia.workflows.report.write import write_report
from vit_dementia.workflows.scoring import groups_of

ARMS = HERE / "arms.tsv"
FLOOR, TOGETHER, REPORTED = "linear", "together", "deit"
PAGE = HERE.parents[1] / "explanation" / "few-people.md"


def main() -> None:
    """Ask what was not asked yet; write the table."""
    study, _ = study_of(sys.argv[1:])
    chosen = standing()
    here = [arm for arm, name in chosen.items() if is_at_hand(Trial(name))]
    told = {arm: asked(Trial(chosen[arm]), study, "test") for arm in here}
    floor = together(told[FLOOR])
    fold_of = {
        str(who): number
        for number, part in enumerate(told[FLOOR])
        for who in part.table.participant_id
    }
    known_as = made_up_names(floor)
    told |= {arm: published(arm, known_as) for arm in chosen if arm not in here}
    members = [arm for arm in PROTOCOL["arms"][TOGETHER]["members"] if arm in told]
    told[TOGETHER] = mean_of([told[arm] for arm in members])
    made_of = {arm: [arm] for arm in here} | {TOGETHER: members}
    before = arms_before()
    rows = [
        {
            "arm": arm,
            "trial": chosen.get(arm, "+".join(members)),
            "val_auroc": val_auroc([chosen[one] for one in made_of[arm]], study),
            **scores_of(together(told[arm]), floor, fold_of, is_floor=arm == FLOOR),
            **cost_of([chosen[one] for one in made_of[arm]], before),
            "predictions": write_predictions(
                arm, together(told[arm]), fold_of, known_as
            ),
        }
        if arm in made_of
        else before[arm]
        for arm in PROTOCOL["arms"]
        if arm in told
    ]
    table = pd.DataFrame(rows)
    write_text(ARMS, table.to_csv(sep="\t", index=False, lineterminator="\n"))
    fill_page()
    if REPORTED in here:
        write_page(study, Trial(chosen[REPORTED]), told[REPORTED], floor, fold_of)


def is_at_hand(trial: Trial) -> bool:
    """Say whether a trial can be asked: its runs are there, or it needs none."""
    return trial.arm == FLOOR or trial.folder.exists()


def arms_before() -> dict[str, dict[str, Any]]:
    """Return what was published of each arm."""
    if not ARMS.exists():
        return {}
    rows = pd.read_csv(ARMS, sep="\t").to_dict("records")
    return {str(row["arm"]): {str(k): v for k, v in row.items()} for row in rows}


def published(arm: str, known_as: dict[str, str]) -> list[Predictions]:
    """Return what was published of an arm, a row a participant, fold by fold."""
    table = pd.read_csv(HERE / "predictions" / f"{arm}.tsv", sep="\t")
    who = {name: one for one, name in known_as.items()}
    columns = [name for name in map(str, table) if name.startswith("p_")]
    return [
        Predictions.from_arrays(
            [name.removeprefix("p_") for name in columns],
            participant_ids=[who[name] for name in part.person],
            session_ids=[UNKNOWN] * len(part),
            paths=[UNKNOWN] * len(part),
            labels=part.label.tolist(),
            probabilities=part[columns].to_numpy(dtype=np.float64),
        )
        for _, part in table.groupby("fold")
    ]


def standing() -> dict[str, str]:
    """Return the trial that stands for each arm: the highest on validation parts.

    Of equals the one that ran first.
    """
    trials = read_trials().dropna(subset="val_auroc")  # those that were finished
    best = trials.sort_values("val_auroc", ascending=False, kind="stable")
    first = best.drop_duplicates("arm").set_index("arm")["trial"]
    return {arm: first[arm] for arm in PROTOCOL["arms"] if arm in first}


def asked(trial: Trial, study: Study, role: str) -> list[Predictions]:
    """Return what each fold of a trial says, asked once and kept."""
    told = []
    for fold in range(PROTOCOL["folds"]):
        file = WORK / trial.name / f"{role}-{fold}.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            told_by(trial, study, fold, role).write(file)
        told.append(Predictions.read(file))
    return told


def mean_of(arms: list[list[Predictions]]) -> list[Predictions]:
    """Return the mean of what several arms say of the same people, fold by fold."""
    told = []
    for parts in zip(*arms, strict=True):
        pooled = [part.by_participant() for part in parts]  # in order of id
        columns = [f"p_{name}" for name in pooled[0].classes]
        mean = sum(part.probabilities for part in pooled) / len(pooled)
        table = pooled[0].table.assign(**dict(zip(columns, mean.T, strict=True)))
        told.append(Predictions(pooled[0].classes, table))
    return told


def together(parts: list[Predictions]) -> Predictions:
    """Put the test parts of all folds in one table."""
    tables = [part.table for part in parts]
    return Predictions(parts[0].classes, pd.concat(tables, ignore_index=True))


def scores_of(
    told: Predictions, floor: Predictions, fold_of: dict[str, int], *, is_floor: bool
) -> dict[str, Any]:
    """Return AUROC within folds, its difference to the floor, and AUROC across."""
    measure, seed = MEASURES["auroc"], PROTOCOL["seed"]
    ours, theirs = rows_of(told, fold_of), rows_of(floor, fold_of)
    across = rows_of(told, None)
    above: dict[str, Any] = {}
    if not is_floor:
        interval = paired_interval(measure, ours, theirs, seed=seed)
        above = {
            "value": measure.value(ours) - measure.value(theirs),
            "low": interval.low,
            "high": interval.high,
        }
    return {
        "n_participants": len(ours.label),
        "n_images": len(floor.table),
        **numbers("auroc", dict(entry_of(measure, ours, seed=seed))),
        **numbers("across_folds", dict(entry_of(measure, across, seed=seed))),
        **numbers("above_floor", above),
    }


def rows_of(told: Predictions, fold_of: dict[str, int] | None) -> Rows:
    """Return one row a participant, in order of id."""
    people = told.by_participant().labeled()
    return Rows.of(people, positive=told.classes[1:], fold_of=fold_of)


def write_page(
    study: Study,
    trial: Trial,
    parts: list[Predictions],
    floor: Predictions,
    fold_of: dict[str, int],
) -> None:
    """Write the report of one trial's test predictions, as cross-validation does."""
    told, floors = together(parts), {LINEAR: floor}
    groups = groups_of(study.cohort)
    metrics = score(
        told, fold_of=fold_of, floors=floors, groups=groups, seed=PROTOCOL["seed"]
    )
    metrics |= {"repeats": None, "robustness": None}
    known = study_facts(
        RunFolder.open(trial.folder),
        OUT_OF_FOLD,
        readable=study.cohort,
        options=ReportOptions(
            data_source="Kaggle's Alzheimer's Dataset (4 class of images), slices "
            "of OASIS-1; 150 of its 200 people",
            data_license="ODbL 1.0 as told by its page; the OASIS data use terms",
        ),
    )
    page = write_report(
        WORK / "report",
        metrics=metrics,
        predictions=told,
        floors=floors,
        study=known,
        fold_of=fold_of,
    )
    write_text(HERE / "report.html", page.read_text(encoding="utf-8"))


def numbers(name: str, entry: dict[str, Any]) -> dict[str, float | None]:
    """Return a score and its interval under three names."""
    values = (entry.get(key) for key in ("value", "low", "high"))
    return {
        f"{name}{suffix}": None if value is None else round(value, 4)
        for suffix, value in zip(("", "_low", "_high"), values, strict=True)
    }


def val_auroc(names: list[str], study: Study) -> float | None:
    """Return the AUROC of the mean of some trials on the validation parts.

    None where the runs of one are gone: only test predictions were published.
    """
    if not all(is_at_hand(Trial(name)) for name in names):
        return None
    told = [asked(Trial(name), study, "val") for name in names]
    return round(auroc_of(mean_of(told)), 4)


def cost_of(names: list[str], before: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the minutes of some trials."""
    spent = {name: pretraining_minutes(Trial(name), before) for name in names}
    return {
        "minutes": round(
            float(read_trials().set_index("trial").minutes[names].sum()), 1
        ),
        "pretraining_minutes": round(sum(spent.values()), 1),
    }


def pretraining_minutes(trial: Trial, before: dict[str, dict[str, Any]]) -> float:
    """Return how long a trial pre-trained in all folds."""
    if not is_at_hand(trial):
        return float(before[trial.arm]["pretraining_minutes"])
    files = (trial.folder / "pretraining").glob("*/history.jsonl")
    lines = [line for file in files for line in file.read_text().splitlines()]
    return sum(json.loads(line)["seconds"] for line in lines) / 60


def write_predictions(
    arm: str, told: Predictions, fold_of: dict[str, int], known_as: dict[str, str]
) -> str:
    """Write made-up names, labels and probabilities; return the file's name."""
    table = told.by_participant().table
    columns = {
        "person": [known_as[who] for who in table.participant_id],
        "label": table.label,
        **{f"p_{name}": table[f"p_{name}"].round(6) for name in told.classes},
        "fold": [fold_of[who] for who in table.participant_id],
    }
    name = f"predictions/{arm}.tsv"
    frame = pd.DataFrame(columns).sort_values("person", kind="stable")
    write_text(HERE / name, frame.to_csv(sep="\t", index=False, lineterminator="\n"))
    return name


def made_up_names(floor: Predictions) -> dict[str, str]:
    """Return a random name for each participant, the same in all files.

    Names that were published are kept: of the linear floor's predictions each
    participant has one, to all six digits, and nobody another's.

    Raises:
        ValueError: if somebody published is not found among the participants.
    """
    file = HERE / "predictions" / f"{FLOOR}.tsv"
    pooled = floor.by_participant()
    people = pooled.table.participant_id.tolist()
    if not file.exists():
        shuffled = list(people)
        secrets.SystemRandom().shuffle(shuffled)
        return {who: f"person-{n:03}" for n, who in enumerate(shuffled, 1)}
    table = pd.read_csv(file, sep="\t")
    columns = [f"p_{name}" for name in pooled.classes]
    apart = np.abs(table[columns].to_numpy()[:, None] - pooled.probabilities).max(-1)
    is_same = apart < 1e-6
    if not (is_same.sum(axis=0) == 1).all() or not (is_same.sum(axis=1) == 1).all():
        raise ValueError(f"{file}: not what the linear floor says of these people")
    return dict(zip(people, table.person[is_same.argmax(axis=0)], strict=True))


def arms_table() -> str:
    """Return the rows of ``arms.tsv`` as the page shows them."""
    lines = [
        "| how it learned | AUROC, no dementia against any | minus the linear floor | "
        "across folds | on validation parts | minutes, of them before labels |",
        "| --- | --- | --- | --- | ---: | --- |",
    ]
    for row in pd.read_csv(ARMS, sep="\t").itertuples():
        above = "" if row.arm == FLOOR else told_as(row, "above_floor", "+.2f")
        val = "" if pd.isna(row.val_auroc) else f"{row.val_auroc:.2f}"
        lines.append(
            f"| {PROTOCOL['arms'][row.arm]['title']} (`{row.trial}`) | "
            f"{told_as(row, 'auroc')} | {above} | {row.across_folds:.2f} | "
            f"{val} | {row.minutes:.0f}, {row.pretraining_minutes:.0f} |"
        )
    return "\n".join(lines) + "\n"


def trials_table() -> str:
    """Return the rows of ``trials.tsv`` as the page shows them."""
    lines = [
        "| trial | pictures | AUROC on validation parts | minutes | what it is |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    for row in read_trials().itertuples():
        file = HERE / "trials" / f"{row.trial}.toml"
        words = "as in the report"
        if file.exists():
            head = file.read_text(encoding="utf-8").split("\n\n")[0].splitlines()
            words = " ".join(x.lstrip("# ") for x in head if x.startswith("#"))
        val = f"{row.val_auroc:.3f}"
        if pd.isna(row.val_auroc):
            val = f"stopped after fold {row.folds} of {PROTOCOL['folds']}"
        lines.append(
            f"| `{row.trial}` | {row.images} | {val} | {row.minutes:.0f} | {words} |"
        )
    return "\n".join(lines) + "\n"


def told_as(row: Any, name: str, form: str = ".2f") -> str:
    """Return a score with its interval in words."""
    value, low, high = (getattr(row, f"{name}{x}") for x in ("", "_low", "_high"))
    if pd.isna(low):
        return f"{value:{form}}"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def fill_page(page: Path = PAGE) -> None:
    """Put both tables between their marks."""
    text = page.read_text(encoding="utf-8")
    for mark, table in (("arms", arms_table()), ("trials", trials_table())):
        before, rest = text.split(f"<!-- {mark} -->")
        after = rest.split(f"<!-- /{mark} -->")[1]
        text = f"{before}<!-- {mark} -->\n{table}<!-- /{mark} -->{after}"
    write_text(page, text)


if __name__ == "__main__":
    main()
