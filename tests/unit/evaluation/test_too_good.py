"""Warnings of scores that are too good to be true."""

from __future__ import annotations

import pytest

from vit_dementia.evaluation.too_good import too_good


def metrics_of(by_image, by_participant, classes=3):
    def section(value):
        scores = {"accuracy": {"value": value}}
        return {"n_participants": 20, "n_images": 640, "scores": scores}

    return {
        "classes": ["x"] * classes,
        "by_image": section(by_image),
        "by_participant": by_participant and section(by_participant),
    }


@pytest.mark.parametrize(
    ("by_image", "by_participant", "classes", "train", "words"),
    [
        (0.6, 0.6, 3, 0.95, []),
        (0.99, 0.97, 3, None, ["Too good to be true"]),
        (0.99, 0.97, 2, None, []),
        (0.99, None, 4, None, ["on 640 images"]),
        (0.9, 0.9, 3, 0.91, ["As good here"]),
        (0.6, 0.6, 3, 0.61, []),
        (0.8, 0.6, 3, None, ["Better by image"]),
        (0.99, 0.8, 3, 0.8, ["Better by image"]),
        (None, None, 3, 0.9, []),
    ],
)
def test_what_is_remarkable_is_said_once(
    by_image, by_participant, classes, train, words
):
    told = metrics_of(by_image, by_participant, classes)
    found = too_good(told, train_accuracy=train)
    assert len(found) == len(words)
    for warning, word in zip(found, words, strict=True):
        assert word in warning
