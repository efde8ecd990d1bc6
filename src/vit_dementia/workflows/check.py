"""The audit of a cohort, whole: who is in it, leaks, price, shortcuts.

Shapes: n readable scans.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped

from vit_dementia.audit.inventory import take_inventory
from vit_dementia.audit.leaks import leaks_across
from vit_dementia.audit.likenesses import Likenesses, look_alikes
from vit_dementia.audit.pictures import Pictures, look_at
from vit_dementia.audit.price import price as price_of
from vit_dementia.audit.shortcuts import find_shortcuts
from vit_dementia.data.classes import UNKNOWN
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import Split, roles
from vit_dementia.errors import ConfigError
from vit_dementia.progress import Quiet, Watch
from vit_dementia.workflows.check_pictures import show_pairs, show_people
from vit_dementia.workflows.check_record import Check, counts_of, gravity
from vit_dementia.workflows.who import Who, tell_who

Roles = Shaped[np.ndarray, " n"]


def check(
    cohort: Cohort,
    *,
    split: Split | None = None,
    fold: int | None = None,
    price: bool = False,
    watch: Watch | None = None,
) -> tuple[Check, Who]:
    """Look at every scan once and return everything that was found, and who is who.

    Args:
        cohort: as it was found (``Cohort.from_path(..., as_found=True)``).
        split: who trains and tests; the parts that the data bring if left out.
        fold: the only fold of it to check; all of them if left out.
        price: also score quick models on this and on other splits.
        watch: told of the progress.

    Raises:
        DataError: if no scan can be read.
        ConfigError: if the split has no such fold.
    """
    watch = watch or Quiet()
    folds = folds_of(cohort, split, fold)
    pictures = look_at(cohort, watch=watch)
    watch.say("comparing images: who looks like whom")
    alike = look_alikes(pictures)
    who = tell_who(pictures, alike)
    parts = [roles_of(pictures.cohort, split, number) for number in folds]
    leaks = [
        leaks_across(part.tolist(), who.merged, pictures, alike=alike) for part in parts
    ]
    worst = max(range(len(leaks)), key=lambda fold: gravity(leaks[fold]), default=None)
    roles_told = parts[worst].tolist() if worst is not None else [""] * len(pictures)
    found = Check(
        images=len(pictures),
        participants=who.num_people,
        participant_source=who.source,
        grouping=who.how,
        inventory=take_inventory(pictures, who.ids),
        contradictions=who.contradictions,
        near_groups=_near_groups(pictures, alike),
        leaks=None if worst is None else counts_of(leaks[worst]),
        price=price_of(pictures, roles_told if parts else None, who.ids)
        if price
        else None,
        shortcuts=() if who.ids is None else find_shortcuts(pictures, who.ids),
        notes=cohort.notes,
        pairs=()
        if worst is None
        else show_pairs(pictures.thumbnails, leaks[worst].worst, roles_told),
        strips=()
        if who.ids is None
        else show_people(
            pictures.thumbnails, who.ids, who.slices, who.confidence, roles_told
        ),
    )
    return found, who


def folds_of(cohort: Cohort, split: Split | None, fold: int | None) -> list[int]:
    """Return the numbers of the folds to check; none where there is no split."""
    if split is None:
        return [0] if cohort.brings_split else []
    if fold is None:
        return list(range(len(split.folds)))
    if not 0 <= fold < len(split.folds):
        raise ConfigError(
            f"fold: found {fold}; the split has {len(split.folds)}, from 0"
        )
    return [fold]


def roles_of(cohort: Cohort, split: Split | None, fold: int) -> Roles:
    """Return the part of each scan; where nothing is in test, val is the test part."""
    if split is None:
        told = cohort.table["split"].to_numpy()
        part = np.where(told == UNKNOWN, "", told).astype("<U5")
    else:
        part = roles(cohort, split.folds[fold])
    return part if (part == "test").any() else np.where(part == "val", "test", part)


def _near_groups(pictures: Pictures, alike: Likenesses) -> list[list[str]]:
    """Return the paths of scans that are copies of one another, altered or not."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    first, second = alike.pairs[alike.copies].T
    links = coo_matrix(
        (np.ones(len(first)), (first, second)), shape=(len(pictures),) * 2
    )
    group = connected_components(links, directed=False)[1]
    paths = pictures.cohort.table["path"].to_numpy()
    return [list(paths[group == one]) for one in np.flatnonzero(np.bincount(group) > 1)]
