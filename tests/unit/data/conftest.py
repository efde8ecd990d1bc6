from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Paint = Callable[[str], Path]


@pytest.fixture
def paint(tmp_path) -> Paint:
    """Return a function that makes a small picture, no two alike, below ``data/``."""
    count = iter(range(1, 10_000))

    def draw(name: str) -> Path:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.full((3, 3), 7, np.uint8)
        values[0, 0], values[0, 1] = divmod(next(count), 256)
        Image.fromarray(values).save(path)
        return path

    return draw
