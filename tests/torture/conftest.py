"""A small cohort, and a model of it, that bad inputs are thrown at."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tests.integration.conftest import (  # noqa: F401  # fixtures
    TINY,
    command,
    paint_cohort,
)
from tests.unit.data.conftest import paint  # noqa: F401  # a fixture of `archive`
from tests.unit.data.test_fetch import archive, kaggle  # noqa: F401  # fixtures

from vit_dementia.cli.app import run
from vit_dementia.inference.predictor import Predictor


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Return a folder with class folders of people, and a short run on them."""
    root = tmp_path_factory.mktemp("trained")
    data = paint_cohort(root / "data", people=24)
    told = ["train", data, *TINY, "--epochs=2", "--out", root / "run"]
    told += ["--cache", root / "cache", "--tokens=all"]
    assert run([str(one) for one in told]) == 0
    # Most of what is thrown at the model shows no head, which is not the question.
    (root / "run" / "model" / "likeness.json").unlink()
    return root


@pytest.fixture(scope="session")
def predictor(trained):
    """Return the model of the short run."""
    return Predictor.load(trained / "run", device="cpu")


@pytest.fixture(scope="session")
def gray(trained):
    """Return the pixels of one slice, with values of eight bits."""
    with Image.open(trained / "data" / "MildDemented" / "sub-001_slice-0.png") as image:
        return np.asarray(image).copy()
