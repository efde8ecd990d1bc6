from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vit_dementia.benchmark import memory
from vit_dementia.benchmark.work import Case

CPU = torch.device("cpu")
needs_linux = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="peak memory is read from /proc"
)


@pytest.mark.slow
@needs_linux
def test_the_peak_grows_by_what_is_held_and_stays() -> None:
    program = (
        "from vit_dementia.benchmark.memory import peak_bytes\n"
        "before = peak_bytes()\n"
        "held = b'x' * 2**28\n"
        "del held\n"
        "print(peak_bytes() - before)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert 0.9 * 2**28 < int(told.stdout) < 1.2 * 2**28


@needs_linux
@pytest.mark.slow
def test_training_takes_more_memory_than_scoring_and_more_images_more() -> None:
    def peak(what, batch: int) -> float:
        found = memory.peak_of(Case("Ti/16", batch, "fp32", what), "ours", CPU)
        assert found is not None
        return found

    scoring, training, much = (
        peak("forward", 1),
        peak("training", 1),
        peak("training", 4),
    )
    parameters = 5.5e6 * 4 / 2**20
    assert scoring > 0.9 * parameters
    assert training > scoring + 2 * parameters  # the two moments of AdamW, gradients
    assert much > training


def test_what_cannot_be_known_is_not_guessed(monkeypatch) -> None:
    monkeypatch.setattr(memory, "_STATUS", Path("/nowhere"))
    monkeypatch.setattr(memory.sys, "platform", "win32")
    assert memory.peak_of(Case("Ti/16", 1, "fp32", "forward"), "ours", CPU) is None
