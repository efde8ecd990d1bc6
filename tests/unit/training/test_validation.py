from __future__ import annotations

from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from torch import nn

from vit_dementia.data.cohort import Cohort
from vit_dementia.data.leaks import Leak
from vit_dementia.data.storage import frame
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.training.feed import Feed
from vit_dementia.training.material import Material
from vit_dementia.training.validation import Best, HeldOut, score_held_out

scores = st.builds(
    HeldOut,
    loss=st.floats(0, 5),
    accuracy=st.floats(0, 1),
    balanced_accuracy=st.sampled_from([0.25, 0.5, 0.75]),
)


@given(st.lists(scores, min_size=1, max_size=20))
def test_the_kept_epoch_is_the_best_and_of_equals_the_first(found) -> None:
    best = Best()
    for epoch, score in enumerate(found, start=1):
        if best.is_beaten_by(score):
            best = best.replaced_by(score, epoch=epoch)
    ranked = [(score.balanced_accuracy, -score.loss) for score in found]
    assert best.epoch == ranked.index(max(ranked)) + 1


def test_without_a_validation_part_the_last_epoch_is_kept_and_said() -> None:
    best = Best()
    for epoch in (1, 2, 3):
        assert best.is_beaten_by(None)
        best = best.replaced_by(None, epoch=epoch)
    assert best.epoch == 3
    assert "no validation part" in best.sentence()


def test_slices_pooled_by_attention_are_scored_as_their_visits(tmp_path) -> None:
    rows = np.random.default_rng(0).normal(0, 3, (7, 3)).astype(np.float32)
    # Three slices of a visit say AD, and one of another CN, and rather more so.
    rows[[0, 2, 5], :2], rows[1, :2] = (-2.2, 0), (2.9, 0)
    cells = {
        "path": [f"{n}.png" for n in range(7)],
        "participant_id": ["a", "a", "a", "b", "b", "a", "c"],
        "session_id": ["1", "2", "1", "1", "1", "1", "1"],
        "label": ["CN", "CN", "CN", "AD", "AD", "CN", "AD"],
    }
    cohort = Cohort(
        root=tmp_path, table=frame(cells), classes=("CN", "AD"), ordered=True
    )
    material = Material(
        cohort=cohort,
        images=np.zeros((7, 1, 8, 8), np.uint8),
        roles=np.array(["val"] * 7),
        labels=cohort.labels(),
        preprocessing=SlicePreprocessing(size=(8, 8)),
        leak=Leak((), checked=True),
    )
    feed = Mock(spec=Feed)
    feed.logits.return_value = rows
    network = nn.Identity()
    found = score_held_out(network, feed, material, "val", by_visit=True)

    p = special.softmax(rows[:, :2].astype(float), axis=1)
    said = np.empty((7, 2))
    of_visit = []
    for mine in ([0, 2, 5], [1], [3, 4], [6]):
        said[mine] = special.softmax(rows[mine, 2].astype(float)) @ p[mine]
        of_visit.append(said[mine[0]])
    labels = cohort.labels()
    assert found.loss == pytest.approx(-np.log(said[np.arange(7), labels]).mean())
    assert found.accuracy == pytest.approx(np.mean(said.argmax(axis=1) == labels))
    people = [(of_visit[0] + of_visit[1]) / 2, of_visit[2], of_visit[3]]
    right = np.argmax(people, axis=1) == [0, 1, 1]
    assert found.balanced_accuracy == (right[0] + right[1:].mean()) / 2
