"""What surrounds ANTs; whether it lays heads right, ``integration/test_prepare`` tells.

There each is registered in a process of its own, whose ITK may be told its threads.
"""

from __future__ import annotations

import os
import sys

import pytest

from vit_dementia.errors import ConfigError
from vit_dementia.preparation import ants_alignment


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
