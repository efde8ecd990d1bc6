"""Score a table of predictions from any tool, without the model or the images."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd

from vit_dementia.data.classes import UNKNOWN, order_classes
from vit_dementia.data.participants import canonical_participant
from vit_dementia.evaluation import floors
from vit_dementia.evaluation.calibrated import LEVEL
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.evaluation.scores import score
from vit_dementia.evaluation.subgroups import age_bands
from vit_dementia.files import adding_to, read_regular, write_json
from vit_dementia.limits import LIMITS
from vit_dementia.workflows.floors import CHANCE, MAJORITY
from vit_dementia.workflows.report.write import write_report

FROM_ELSEWHERE = (
    "The table says nothing of how the model was trained: whether somebody scored here "
    "was trained on cannot be seen, and floors that learn are missing. Majority and "
    "chance are taken from the participants scored."
)


def evaluate_table(
    path: Path,
    *,
    out: Path,
    classes: Sequence[str] | None = None,
    positive: Sequence[str] | None = None,
    prevalence: float | None = None,
    level: float = LEVEL,
    seed: int = 0,
) -> Path:
    """Write predictions, metrics and report of a table into ``out``; return it.

    Args:
        path: a TSV with ``label`` and ``p_<class>``; ``participant_id``, ``path``,
            ``age``, ``sex`` and ``site`` are used where they are there.
        out: where to write.
        classes: their order; by default that of severity, else that of the columns.
        positive: the classes to tell from the others; by default all but the first.
        prevalence: share of people with the condition where the model would be used.
        level: how often a prediction set is to hold the truth.
        seed: of the resampling.

    Raises:
        ManifestError: with every fault of the table.
    """
    told, ordered = read_predictions(path, classes)
    told.write(out / "predictions.tsv")
    if told.participants_known:
        told.by_participant().write(out / "predictions_participants.tsv")
    beside = _floors(told, seed)
    metrics = score(
        told,
        positive=positive,
        ordered=ordered,
        floors=beside,
        prevalence=prevalence,
        level=level,
        groups=_groups(path, told),
        seed=seed,
    )
    metrics["notes"].append(FROM_ELSEWHERE)
    metrics |= {"repeats": None, "robustness": None}
    with adding_to(out) as aside:
        write_json(aside / "metrics.json", metrics)
        write_report(aside, metrics=metrics, predictions=told, floors=beside)
    return out


def read_predictions(
    path: Path, classes: Sequence[str] | None = None
) -> tuple[Predictions, bool]:
    """Read a table, its participants in their one spelling; say if classes are ordered.

    Raises:
        ManifestError: with every fault of the table.
    """
    told = Predictions.read(path, classes)
    by_severity, known = order_classes(told.classes)
    if classes is None and known:
        told = Predictions.read(path, by_severity)
    told.table["participant_id"] = [
        who if who == UNKNOWN else canonical_participant(who)
        for who in told.table["participant_id"]
    ]
    return told, known and told.classes == by_severity


def _floors(told: Predictions, seed: int) -> dict[str, Predictions]:
    """Return the floors that need nothing but the labels scored."""
    labeled = told.labeled()
    known = told.participants_known
    people = labeled.by_participant().labeled() if known else labeled
    label, k = people.labels, len(told.classes)
    if not len(label):
        return {}
    key = "participant_id" if known else "path"
    place = {who: row for row, who in enumerate(people.table[key])}
    chance = floors.stratified_chance(
        label, len(label), num_classes=k, rng=np.random.default_rng(seed)
    )
    answers = {
        MAJORITY: floors.majority(label, len(told.table), num_classes=k),
        # Whoever has no label is not scored, so any answer will do.
        CHANCE: chance[[place.get(who, 0) for who in told.table[key]]],
    }
    return {name: _told(told, answer) for name, answer in answers.items()}


def _told(told: Predictions, probabilities: np.ndarray) -> Predictions:
    table = told.table
    return Predictions.from_arrays(
        told.classes,
        participant_ids=table["participant_id"].tolist(),
        session_ids=table["session_id"].tolist(),
        paths=table["path"].tolist(),
        labels=table["label"].tolist(),
        probabilities=probabilities,
    )


def _groups(path: Path, told: Predictions) -> dict[str, dict[str, str]]:
    """Return what the table's own columns say of people: age band, sex, site."""
    content = BytesIO(read_regular(path, most_bytes=LIMITS.table_bytes))
    table = pd.read_csv(content, sep="\t", dtype=str, keep_default_na=False)
    key = "participant_id" if told.participants_known else "path"
    groups = {}
    for name in ("age", "sex", "site"):
        if name not in table or (told.table[key] == UNKNOWN).any():
            continue
        values = table[name].tolist()
        if name == "age":
            values = age_bands(pd.to_numeric(table[name], errors="coerce").to_numpy())
        groups[name] = dict(zip(told.table[key], values, strict=True))
    return groups
