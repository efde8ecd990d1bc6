from __future__ import annotations

from pathlib import Path

from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import holdout, roles
from vit_dementia.data.storage import frame
from vit_dementia.workflows.tune import without_test


def test_a_search_never_sees_whoever_tests() -> None:
    cells = {
        "path": [f"{n}.png" for n in range(40)],
        "participant_id": [f"p{n // 2}" for n in range(40)],
        "label": ["CN", "CN", "AD", "AD"] * 10,
    }
    cohort = Cohort(
        root=Path("nowhere"), table=frame(cells), classes=("CN", "AD"), ordered=True
    )
    split = holdout(cohort, val=0.2, test=0.3, seed=0)
    left, part = without_test(cohort, split, 0)
    assert part.folds[0].test == ()
    assert not set(left.table["participant_id"]) & set(split.folds[0].test)
    assert set(roles(left, part.folds[0])) == {"train", "val"}
    assert len(left) < len(cohort)
