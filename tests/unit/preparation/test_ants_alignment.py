from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vit_dementia.errors import ConfigError
from vit_dementia.preparation import ants_alignment

HERE = Path(__file__).parents[3]
_ALIGN = """
import sys
import numpy as np
from tests.unit.preparation.heads import error_mm, head
from vit_dementia.preparation.ants_alignment import align_with_ants
from vit_dementia.preparation.templates import load_template
phantom = head(int(sys.argv[1]), whole_head=sys.argv[2] == "head")
shaded, found = align_with_ants(phantom.volume, load_template(), seed=0)
print(error_mm(found.scan_of_template, phantom.scan_of_template))
print(found.scan_of_template.tobytes().hex(), float(np.abs(shaded.voxels).sum()))
"""


def aligned(number: int, kind: str) -> list[str]:
    """Align in a process of its own, whose ITK may still be told its threads."""
    words = [sys.executable, "-c", _ALIGN, str(number), kind]
    done = subprocess.run(words, cwd=HERE, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("kind", ["brain", "head"])
def test_points_of_a_phantom_are_recovered_within_2_mm(number, kind) -> None:
    assert float(aligned(number, kind)[0]) < 2


@pytest.mark.slow
def test_the_same_scan_gives_the_same_numbers() -> None:
    assert aligned(1, "brain") == aligned(1, "brain")


def test_ants_that_was_imported_with_more_threads_is_refused(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ants", object())
    monkeypatch.delenv("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", raising=False)
    with pytest.raises(ConfigError, match="another result in every run"):
        ants_alignment._ants(0)


def test_ants_is_told_one_thread_and_the_seed(monkeypatch) -> None:
    monkeypatch.delitem(sys.modules, "ants", raising=False)
    monkeypatch.setenv("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "8")
    monkeypatch.setitem(sys.modules, "ants", sys)
    with pytest.raises(ConfigError):
        ants_alignment._ants(0)
    monkeypatch.setenv("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")
    ants_alignment._ants(4)
    assert os.environ["ANTS_RANDOM_SEED"] == "5"
