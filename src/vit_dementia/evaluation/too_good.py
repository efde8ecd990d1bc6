"""Warnings for scores that are better than this field's honest ones have been.

None of them proves a leak; each says what was seen, of how many, and what to check.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SUSPICIOUS = 0.95  # of more than two classes; leaking studies report 95-99 %
CLOSE = 0.02  # accuracy on people not trained on, this close to that of training
LEARNED = 0.80  # training accuracy from which closeness is remarkable
BY_IMAGE_AHEAD = 0.10  # pooling a participant's images helps, as a rule


def too_good(
    metrics: Mapping[str, Any], *, train_accuracy: float | None = None
) -> list[str]:
    """Return what should be checked before these scores are believed.

    Args:
        metrics: the content of ``metrics.json``.
        train_accuracy: accuracy on the training images at the epoch that was kept.

    >>> entry = {"value": 0.99}
    >>> section = {"n_participants": 9, "n_images": 90, "scores": {"accuracy": entry}}
    >>> told = {"classes": ["a", "b", "c"], "by_participant": section,
    ...         "by_image": section}
    >>> len(too_good(told))
    1
    """
    warnings = []
    images, people = metrics["by_image"], metrics["by_participant"]
    by_image = images["scores"]["accuracy"]["value"]
    by_participant = people["scores"]["accuracy"]["value"] if people else None
    told = by_image if by_participant is None else by_participant
    if told is None:
        return []
    on = f"on {images['n_images']:,} images"
    if people:
        on += f" of {people['n_participants']:,} participants"
    if told > SUSPICIOUS and len(metrics["classes"]) > 2:
        warnings.append(
            f"Too good to be true? {told:.0%} right among {len(metrics['classes'])} "
            f"classes, {on}. Check that no participant, and no copy of an image, "
            "stands in training too, and that only the brain differs between classes."
        )
    if (
        train_accuracy is not None
        and train_accuracy > LEARNED
        and told > train_accuracy - CLOSE
    ):
        warnings.append(
            f"As good here ({told:.0%} {on}) as on the training images "
            f"({train_accuracy:.0%}): check that these are not the same people."
        )
    if by_participant is not None and by_image > by_participant + BY_IMAGE_AHEAD:
        warnings.append(
            f"Better by image ({by_image:.0%}) than by participant "
            f"({by_participant:.0%}, {on}): a few participants with many images carry "
            "the score by image. Check who they are."
        )
    return warnings
