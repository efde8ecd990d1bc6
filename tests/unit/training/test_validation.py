from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vit_dementia.training.validation import Best, HeldOut

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
