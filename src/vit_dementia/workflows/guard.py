"""The leak part of the check, which training runs by itself where ids are unknown.

Where ids are given the training compares them, and the bytes of the files, itself. What
the images told is kept in the cache, by the cohort and the split, so that folds and
later runs do not look again; only counts are kept, no names and no paths.

Shapes: n scans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from vit_dementia.config import RunConfig
from vit_dementia.data.cache import default_cache, make_private
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import Split, roles
from vit_dementia.errors import LeakageError
from vit_dementia.files import fingerprint, read_json, write_json
from vit_dementia.progress import Quiet, Watch
from vit_dementia.training.material import make_split
from vit_dementia.workflows.check_record import LeakCounts, counts_of, gravity

FORMAT = 1
HOW_TO_MEND = (
    "see it by vit-dementia check DATA; write down who is who by --write-participants "
    "FILE, split by participant with --participants FILE, or give the reason by "
    "--allow-leakage"
)


@dataclass(frozen=True)
class Hidden:
    """What the images say of the worst fold of a split, where ids are unknown.

    Attributes:
        leaks: what stands on both sides; None where ids are known or nothing is split.
    """

    leaks: LeakCounts | None

    def __bool__(self) -> bool:
        """Whether the test part leaks; who chooses the epoch is only told."""
        return self.leaks is not None and any(gravity(self.leaks)[:3])

    def sentence(self) -> str:
        """Say it to a person in one line.

        >>> Hidden(LeakCounts(2, 8, 9, 0, 0)).sentence()
        'by their images, 8 of 9 test images show somebody who also stands in training'
        """
        leaks = self.leaks
        if leaks is None:
            return "participants are known: their ids are compared"
        if num := leaks.test_images_with_participant_in_train:
            what = "show somebody who also stands in training"
            return f"by their images, {num} of {leaks.test_images} test images {what}"
        if num := max(
            leaks.test_images_near_duplicate_in_train or 0,
            leaks.neighbouring_slices or 0,
        ):
            what = "have a copy or a neighboring slice in training"
            return f"by their images, {num} of {leaks.test_images} test images {what}"
        if leaks.participants_shared is None:
            return "their images do not tell either who stands on both sides"
        if num := leaks.participants_shared:
            return (
                f"by their images, {num} people of val also stand in train: the epoch "
                "is chosen on people it was trained on"
            )
        return "by their images, nobody in test also stands in training"


def guarded(
    cohort: Cohort,
    split: Split | None,
    config: RunConfig,
    *,
    every_fold: bool = False,
    cache: Path | None = None,
    watch: Watch | None = None,
) -> Split:
    """Return the split to train on, made if none is given, if it does not leak.

    Args:
        cohort: every scan there is.
        split: who trains, chooses and tests; None: the data's own, or a new one.
        config: of the run; its ``allow_leakage`` lets leaks pass, which are told.
        every_fold: all folds will be trained, not that of ``config`` alone.
        cache: where what the images told is kept.
        watch: told of the progress and of what was found.

    Raises:
        LeakageError: if the images show somebody, or something, on both sides.
    """
    watch = watch or Quiet()
    split = split or make_split(cohort, config)
    if cohort.participants_known:
        return split
    parts = [roles(cohort, fold) for fold in split.folds]
    found = hidden_leaks(cohort, parts, cache=cache, watch=watch)
    hidden = worst_of(found if every_fold else found[config.fold : config.fold + 1])
    if hidden and not config.allow_leakage:
        raise LeakageError(f"leak: {hidden.sentence()}; {HOW_TO_MEND}")
    watch.say(hidden.sentence())
    return split


def worst_of(found: Sequence[LeakCounts]) -> Hidden:
    """Return what is told of several folds: the worst of them."""
    return Hidden(max(found, key=gravity, default=None))


def hidden_leaks(
    cohort: Cohort,
    parts: Sequence[Shaped[np.ndarray, " n"]],
    *,
    cache: Path | None = None,
    watch: Watch | None = None,
) -> list[LeakCounts]:
    """Return what stands on both sides in each fold, told by the images.

    Nothing if ids are known. What was found is kept by cohort and split.

    Args:
        cohort: all scans.
        parts: the part of each scan in each fold.
        cache: where what the images told is kept.
        watch: told of the progress.
    """
    if cohort.participants_known:
        return []
    folder = cache or default_cache()
    folds = [[str(role) for role in part] for part in parts]
    states = [_state(file) for file in cohort.files()]
    key = fingerprint([FORMAT, cohort.fingerprint, states, folds])[:32]
    path = folder / f"leaks-{key}.json"
    if not path.exists():
        counts = _looked(cohort, folds, watch or Quiet())
        make_private(folder)
        write_json(path, [asdict(one) for one in counts])
    return [LeakCounts(**one) for one in read_json(path)]


def _looked(
    cohort: Cohort, folds: Sequence[Sequence[str]], watch: Watch
) -> list[LeakCounts]:
    from vit_dementia.audit.leaks import leaks_across
    from vit_dementia.audit.likenesses import look_alikes
    from vit_dementia.audit.pictures import look_at
    from vit_dementia.workflows.who import tell_who

    watch.say("participants are unknown: looking for leaks in the images")
    pictures = look_at(cohort, watch=watch)
    alike = look_alikes(pictures)
    ids = tell_who(pictures, alike).ids
    row_of = {path: row for row, path in enumerate(cohort.table["path"])}
    seen = [row_of[path] for path in pictures.cohort.table["path"]]
    return [
        counts_of(leaks_across([fold[row] for row in seen], ids, pictures, alike=alike))
        for fold in folds
    ]


def _state(file: Path) -> list[int]:
    """Return what changes when a file is written anew; nothing if it is not there."""
    try:
        found = file.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]
