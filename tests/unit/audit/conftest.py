from __future__ import annotations

from pathlib import Path

import pytest

from vit_dementia.data.phantoms import make_phantoms


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory) -> Path:
    """Return 48 slices of 24 whole heads, 12 of each of two classes; read only."""
    out = tmp_path_factory.mktemp("audit") / "phantoms"
    return make_phantoms(
        out, participants=24, classes=2, slices=2, whole_head=True, workers=1
    )
