"""``vit-dementia split``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vit_dementia.cli.options import CohortOptions, read_cohort, tell
from vit_dementia.cli.terminal import say


def split(
    data: Path,
    /,
    *,
    cohort: Annotated[CohortOptions, Parameter(name="*")] = CohortOptions(),
    out: Path = Path("split.json"),
    folds: int = 1,
    val: float = 0.15,
    test: float = 0.2,
    unit: Literal["participant", "image"] | None = None,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Write who trains, chooses and tests: by participant, classes mixed alike.

    Example: vit-dementia split data/ --folds 5 --out folds.json

    Args:
        data: folders of images per class, or a table of them.
        out: the split file.
        folds: 1: one test part; k: every participant is tested once in k folds.
        val: share of those who do not test that choose the best epoch.
        test: share held out for the final score, if there is one fold.
        unit: participant keeps people whole; image deals single images out: people
            then stand on both sides, and training needs --allow-leakage [default:
            participant where it is known who is on a scan].
        seed: of the draw.
        json: print the split as one JSON document on stdout.
    """
    from vit_dementia.data.splits import holdout, k_folds

    scans = read_cohort(data, cohort)
    tell(scans)
    if folds == 1:
        made = holdout(scans, val=val, test=test, seed=seed, unit=unit)
    else:
        made = k_folds(scans, folds=folds, val=val, seed=seed, unit=unit)
    made.write(out)
    for note in made.notes(scans):
        say(f"note: {note}")
    say(f"written: {out}")
    if json:
        print(out.read_text(encoding="utf-8"), end="")
