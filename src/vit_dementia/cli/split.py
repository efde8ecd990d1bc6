"""``vit-dementia split``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vit_dementia.cli.options import CohortOptions, names_in, read_cohort, tell
from vit_dementia.cli.terminal import say
from vit_dementia.errors import ConfigError


def split(
    data: Path,
    /,
    *,
    cohort: Annotated[CohortOptions, Parameter(name="*")] = CohortOptions(),
    out: Path = Path("split.json"),
    folds: int = 1,
    repeats: int = 1,
    leave_site_out: Annotated[bool, Parameter(negative="")] = False,
    val: float = 0.15,
    test: float = 0.2,
    unit: Literal["participant", "image"] | None = None,
    stratify: str = "label",
    match: str | None = None,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Write who trains, chooses and tests: by participant, classes mixed alike.

    Example: vit-dementia split data/ --folds 5 --stratify label,sex --match age

    Args:
        data: folders of images per class, or a table of them.
        out: the split file.
        folds: 1: one test part; k: every participant is tested once in k folds.
        repeats: how often all of it is drawn anew, into further folds of the file.
        leave_site_out: a fold for each site, which tests while the others train.
        val: share of those who do not test that choose the best epoch.
        test: share held out for the final score, if there is one fold.
        unit: participant keeps people whole; image deals single images out: people
            then stand on both sides, and training needs --allow-leakage [default:
            participant where it is known who is on a scan].
        stratify: what is spread alike over the parts: label, sex, site.
        match: numbers whose distribution is alike in the parts: age.
        seed: of the draw.
        json: print the split as one JSON document on stdout.
    """
    from vit_dementia.data import splits

    if leave_site_out and (folds != 1 or repeats != 1):
        raise ConfigError(
            "--leave-site-out: makes a fold of each site; leave out --folds, --repeats"
        )
    scans = read_cohort(data, cohort)
    tell(scans)
    columns = {"stratify": names_in(stratify) or (), "match": names_in(match) or ()}
    if leave_site_out:
        made = splits.leave_site_out(scans, val=val, seed=seed, unit=unit, **columns)
    elif folds == 1:
        made = splits.holdout(
            scans, val=val, test=test, seed=seed, unit=unit, repeats=repeats, **columns
        )
    else:
        made = splits.k_folds(
            scans,
            folds=folds,
            val=val,
            seed=seed,
            unit=unit,
            repeats=repeats,
            **columns,
        )
    made.write(out)
    for note in made.notes(scans):
        say(f"note: {note}")
    say(f"written: {out}")
    if json:
        print(out.read_text(encoding="utf-8"), end="")
