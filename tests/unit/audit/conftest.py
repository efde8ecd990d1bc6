from __future__ import annotations

from pathlib import Path

import pytest

from vit_dementia.audit.pictures import Pictures, look_at
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.phantoms import make_phantoms


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory) -> Path:
    """Return 48 slices of 24 whole heads, 12 of each of two classes; read only."""
    out = tmp_path_factory.mktemp("audit") / "phantoms"
    return make_phantoms(
        out, participants=24, classes=2, slices=2, whole_head=True, workers=1
    )


@pytest.fixture(scope="session")
def slabs(tmp_path_factory) -> Path:
    """Return 10 people with 40 neighboring slices each; read only."""
    out = tmp_path_factory.mktemp("audit") / "slabs"
    return make_phantoms(out, participants=10, classes=2, slices=40, seed=3, workers=1)


@pytest.fixture(scope="session")
def slab_pictures(slabs) -> Pictures:
    """Return what a look at the slabs gives."""
    return look_at(Cohort.from_path(slabs), jobs=1)
