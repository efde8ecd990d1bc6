"""A model of slices, one of volumes, and a server without either."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from tests.unit.serving import served


@pytest.fixture(scope="session")
def slice_model(tmp_path_factory) -> Path:
    return served.write_model(tmp_path_factory.mktemp("slices"), served.SLICES)


@pytest.fixture(scope="session")
def slab_model(tmp_path_factory) -> Path:
    return served.write_model(tmp_path_factory.mktemp("slabs"), served.SLABS)


@pytest.fixture(scope="session")
def png() -> bytes:
    out = io.BytesIO()
    Image.fromarray(served.picture()).save(out, format="PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Return the address of a server that answers nothing at once."""
    with served.listening(served.Here(served.nothing), upload_mib=1, files=50) as url:
        yield url


@pytest.fixture
def client(address) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=60) as asking:
        yield asking
