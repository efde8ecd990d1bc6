"""Several finished runs, or tables of predictions, on the same participants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from vit_dementia.errors import DataError
from vit_dementia.evaluation.comparing import compare
from vit_dementia.files import replacing, write_json
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.evaluate_table import read_predictions

TABLE = "predictions.tsv"
OUT_OF_FOLD = "out-of-fold"
RESULT, ROWS = "comparison.json", "comparison.tsv"


def compare_runs(
    runs: Sequence[Path],
    *,
    out: Path,
    role: str = "test",
    positive: Sequence[str] | None = None,
    seed: int = 0,
) -> Path:
    """Write ``comparison.json`` and ``comparison.tsv`` into ``out``; return the former.

    Args:
        runs: run folders that were evaluated, cross-validations, or predictions tables.
        out: where to write.
        role: whose predictions of a run: that part of its split.
        positive: the classes to tell from the others; by default all but the first.
        seed: of the resampling.

    Raises:
        DataError: if a run was not evaluated, folds differ, or the runs cannot be
            compared; see ``evaluation.comparing``.
    """
    names = short_names(runs)
    tables = {name: _table_of(path, role) for name, path in names.items()}
    document = compare(
        {name: read_predictions(table)[0] for name, table in tables.items()},
        positive=positive,
        fold_of=_folds_of_all(names, tables),
        seed=seed,
    )
    with replacing(out / ROWS) as aside:
        rows(document).to_csv(aside, sep="\t", index=False, lineterminator="\n")
    write_json(out / RESULT, document)
    return out / RESULT


def short_names(paths: Sequence[Path]) -> dict[str, Path]:
    """Name each path by its last parts, as few as tell all of them apart.

    >>> list(short_names([Path("runs/a/model"), Path("runs/b/model")]))
    ['a/model', 'b/model']

    Raises:
        DataError: if a path is named twice.
    """
    whole = [path.resolve() for path in paths]
    twice = sorted({str(path) for path in whole if whole.count(path) > 1})
    if twice:
        raise DataError(f"compare: {', '.join(twice)} named twice; name each run once")
    for depth in range(1, max((len(path.parts) for path in whole), default=1) + 1):
        names = ["/".join(path.parts[-depth:]) for path in whole]
        if len(set(names)) == len(names):
            break
    return dict(zip(names, paths, strict=True))


def rows(document: Mapping[str, Any]) -> pd.DataFrame:
    """Return a comparison as a table: one line for each pair of runs and score."""
    lines = []
    for pair in document["pairs"]:
        for score in ("auroc", "accuracy", "balanced_accuracy"):
            found = pair[score]
            difference = found["difference"]
            lines.append(
                {
                    "first": pair["first"],
                    "second": pair["second"],
                    "score": score,
                    "difference": difference["value"],
                    "low": difference.get("low"),
                    "high": difference.get("high"),
                    "p_value": found.get("p_value"),
                    "p_corrected": found.get("p_corrected"),
                    "only_first": found.get("only_first"),
                    "only_second": found.get("only_second"),
                    "method": difference.get("method", difference.get("undefined")),
                }
            )
    return pd.DataFrame(lines).astype(object).fillna("n/a")


def _table_of(path: Path, role: str) -> Path:
    """Return the predictions of a run, or the table itself."""
    if path.is_file():
        return path
    folder = path / "evaluation"
    for part in (role, OUT_OF_FOLD):
        if (folder / part / TABLE).is_file():
            return folder / part / TABLE
    raise DataError(
        f"{path}: found no evaluation/{role}/{TABLE}; needs an evaluated run or a "
        f"predictions table; run: vit-dementia evaluate {path} --role {role}"
    )


def _folds_of_all(
    names: Mapping[str, Path], tables: Mapping[str, Path]
) -> dict[str, int] | None:
    """Say in which fold everybody was scored; None if no run is a cross-validation.

    Raises:
        DataError: if only some are, or their folds differ: pairs of participants are
            then not compared by the same models.
    """
    found = {
        name: _folds_of(names[name])
        for name, table in tables.items()
        if table.parent.name == OUT_OF_FOLD
    }
    if not found:
        return None
    first, folds = next(iter(found.items()))
    others = [name for name in names if found.get(name) != folds]
    if others:
        raise DataError(
            f"compare: {first} is cross-validated, and {', '.join(others)} not on the "
            "same folds; cross-validate all with the same --split FILE"
        )
    return folds


def _folds_of(path: Path) -> dict[str, int]:
    run = RunFolder.open(path)
    split = run.split(run.cohort())
    return {who: fold for fold, part in enumerate(split.folds) for who in part.test}
