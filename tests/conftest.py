"""What every test may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is slow, and that is no defect.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

REPO_ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real scans beside the repository, or skip."""
    folder = REPO_ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real scans are not on this machine")
    return folder
