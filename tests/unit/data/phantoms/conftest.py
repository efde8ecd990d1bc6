from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vit_dementia.data.phantoms import make_phantoms
from vit_dementia.data.phantoms.atlas import Atlas, load_atlas
from vit_dementia.data.phantoms.participants import Participant, draw_participant
from vit_dementia.data.phantoms.settings import Appearance, Variation


@pytest.fixture(scope="session")
def atlas() -> Atlas:
    return load_atlas()


@pytest.fixture(scope="session")
def slices(tmp_path_factory, atlas) -> Path:
    """A cohort of slices of eight people, four grades among them."""
    out = tmp_path_factory.mktemp("phantoms") / "slices"
    return make_phantoms(out, participants=8, classes=4, slices=4, seed=3, workers=1)


@pytest.fixture(scope="session")
def volumes(tmp_path_factory, atlas) -> Path:
    """The volumes of four people as a BIDS data set."""
    out = tmp_path_factory.mktemp("phantoms") / "bids"
    return make_phantoms(
        out, participants=4, classes=3, volumes=True, seed=3, workers=1
    )


@pytest.fixture(scope="session")
def draw() -> Callable[[int], Participant]:
    def draw_one(number: int, *, classes: int = 4, seed: int = 0) -> Participant:
        return draw_participant(
            number,
            classes=classes,
            seed=seed,
            variation=Variation(),
            appearance=Appearance(),
        )

    return draw_one
