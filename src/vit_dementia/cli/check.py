"""``vit-dementia check``."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from vit_dementia import DISCLAIMER
from vit_dementia.cli.options import CohortOptions, new_folder, read_cohort
from vit_dementia.cli.terminal import say, watch_for_people
from vit_dementia.errors import LeakageError

if TYPE_CHECKING:
    from vit_dementia.workflows.check_record import Check

_FIRST = 5  # files named on the terminal; check.json has them all


def check(
    data: Path,
    /,
    *,
    cohort: Annotated[CohortOptions, Parameter(name="*")] = CohortOptions(),
    split: Path | None = None,
    fold: int | None = None,
    price: Annotated[bool, Parameter(negative="")] = False,
    write_participants: Path | None = None,
    out: Path | None = None,
    json: bool = False,
) -> int:
    """Say who is in the data, whether they leak, and what a model could cheat with.

    Exit code 0: clean, or it cannot be told; 3: a leak was found.

    Example: vit-dementia check data/ --price --write-participants who.tsv

    Args:
        data: folders of images per class, or a table of them.
        split: split file to check [default: the train and test parts of the data].
        fold: the only fold of it to check [default: all of them].
        price: score quick models to see what the leak is worth.
        write_participants: table of who is on each scan, to be written as .tsv or .csv.
        out: folder for report.html and check.json [default: runs/TIME-check].
        json: print check.json on stdout.
    """
    from vit_dementia.data.splits import Split
    from vit_dementia.workflows import check as workflow
    from vit_dementia.workflows import who as people
    from vit_dementia.workflows.check_report import write_check

    if write_participants is not None:
        people.separator_of(write_participants)  # before the work, not after it
    # A split is one of the cohort as training sees it; the audit sees every file.
    read = None if split is None else Split.read(split, read_cohort(data, cohort))
    scans = read_cohort(data, cohort, as_found=True)
    found, who = workflow.check(
        scans, split=read, fold=fold, price=price, watch=watch_for_people()
    )
    folder = new_folder(out, "check")
    page = write_check(folder, found)
    _tell(found, data)
    if write_participants is not None:
        if who.ids is None:
            say(f"not written: {write_participants}: it cannot be told who is who")
        else:
            people.write_participants(write_participants, scans, who)
            say(f"written: {write_participants}")
    say(f"report: {page}")
    say(DISCLAIMER)
    if json:
        print(json_module.dumps(found.document(), indent=2, ensure_ascii=False))
    return LeakageError.exit_code if found.verdict == "leak" else 0


def _tell(found: Check, data: Path) -> None:
    """Tell it all on one screen."""
    from vit_dementia.workflows import check_words as words

    say(f"{words.VERDICTS[found.verdict].upper()}: {words.headline(found)}")
    say(words.people(found))
    if found.participants is None and found.grouping.method:
        say(words.how(found))
    for name, size in found.inventory.classes.items():
        whose = words.count(size.participants)
        say(f"  {name:24} {size.images:>7,} images, participants: {whose}")
    for name, num, _ in words.leak_rows(found):
        say(f"  {name:26} {num}")
    if found.price is not None:
        say(f"  {'accuracy of':26} this split, images at random, by participant")
        for name, cells in words.price_rows(found.price):
            say(f"  {name:26} {', '.join(cells)}")
        if sentence := words.price_sentence(found.price):
            say(sentence)
    say(words.shortcut_sentence(found))
    for name, num in words.trouble_rows(found):
        say(f"  {name:40} {num}")
    for problem in found.problems[:_FIRST]:
        say(f"  {problem.path}: {problem.kind}: {problem.detail}")
    if (more := len(found.problems) - _FIRST) > 0:
        say(f"  and {more:,} more in check.json")
    for note in found.notes:
        say(f"note: {note}")
    for what, command in words.steps(found, str(data)):
        say(f"{what}: {command}")
