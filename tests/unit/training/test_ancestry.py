"""Whoever trained the weights that a run begins with was seen by it."""

from __future__ import annotations

import pandas as pd

from vit_dementia.config import RunConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import Fold, Split
from vit_dementia.training.ancestry import Seen, ancestors, seen_in
from vit_dementia.training.run_folder import RunFolder


def _run(path, init: str, participants: list[str], **parts: tuple[str, ...]):
    """Write the folder of a run that was never trained."""
    table = pd.DataFrame(
        {
            "path": [f"{who}.png" for who in participants],
            "participant_id": participants,
            "session_id": "n/a",
            "slice": "n/a",
            "label": "n/a",
            "split": "n/a",
            "age": float("nan"),
            "sex": "n/a",
            "site": "n/a",
            "participant_source": "table",
        }
    )
    cohort = Cohort(root=path.parent, table=table, classes=(), ordered=False)
    split = Split("participant", 0, (Fold(**parts),), cohort.fingerprint)
    return RunFolder.create(path, RunConfig(init=init), cohort, split)


def test_runs_are_followed_to_where_their_weights_began(tmp_path) -> None:
    first = _run(tmp_path / "a", "weights.npz", ["p1", "p2"], train=("p1",))
    second = _run(tmp_path / "b", f"{first.path}/model", ["p3"], train=("p3",))
    assert ancestors(str(second.path)) == [second, first]
    assert ancestors("scratch") == []
    assert ancestors(str(tmp_path / "nowhere")) == []


def test_a_run_that_began_with_itself_is_followed_to_an_end(tmp_path) -> None:
    run = _run(tmp_path / "a", str(tmp_path / "a"), ["p1"], train=("p1",))
    assert set(ancestors(str(run.path))) == {run}


def test_those_who_train_and_choose_were_seen_and_those_who_test_were_not(
    tmp_path,
) -> None:
    parts = {"train": ("p1",), "val": ("p2",), "test": ("p3",)}
    first = _run(tmp_path / "a", "scratch", ["p1", "p2", "p3"], **parts)
    second = _run(tmp_path / "b", "scratch", ["p4"], train=("p4",))
    assert seen_in([first, second]) == Seen(
        frozenset({"p1", "p2", "p4"}), all_known=True
    )
    assert seen_in([]) == Seen(frozenset(), all_known=True)
