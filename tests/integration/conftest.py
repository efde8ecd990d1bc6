"""Small cohorts that a tiny network tells apart within seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vit_dementia.cli.app import run

CLASSES = ("NonDemented", "MildDemented")
TINY = (
    "--model=ViT-Ti/16",
    "--vit.patch-size=8",
    "--vit.embed-dim=24",
    "--vit.depth=2",
    "--vit.num-heads=2",
    "--vit.mlp-dim=48",
    "--device=cpu",
)


@dataclass(frozen=True)
class Done:
    """What a command left."""

    exit_code: int
    stdout: str
    stderr: str


Command = Callable[..., Done]


def paint_cohort(
    root: Path, *, people: int = 12, slices: int = 2, parts: tuple[str, ...] = ()
) -> Path:
    """Write discs on black, with a hole for the second class: who, in the file name."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :24] - np.array([16, 12])[:, None, None]
    radius = np.hypot(rows, columns)
    for person in range(people):
        label = person % 2
        part = parts[(person // 2) % len(parts)] if parts else ""
        folder = root / part / CLASSES[label]
        folder.mkdir(parents=True, exist_ok=True)
        for place in range(slices):
            image = np.where(radius < 11, 180.0, 0.0)
            image[radius < 5 * label] = 40.0
            image = np.clip(image + rng.normal(0, 12, image.shape), 0, 255)
            Image.fromarray(image.astype(np.uint8)).save(
                folder / f"sub-{person:03}_slice-{place}.png"
            )
    return root


@pytest.fixture
def unabridged() -> None:
    """Ask for reports with their pictures and for the whole null of the floors."""


@pytest.fixture(autouse=True)
def _abridged(request, monkeypatch) -> None:
    """Leave out what takes most of the time, unless a test looks at just that."""
    if "unabridged" in request.fixturenames:
        return
    from vit_dementia.evaluation import floors, intervals
    from vit_dementia.training import history
    from vit_dementia.workflows.report import write

    few = partial(floors.linear_of_permuted_labels, refits=19)
    monkeypatch.setattr(floors, "linear_of_permuted_labels", few)
    few = partial(intervals.bootstrap, replicates=200)
    monkeypatch.setattr(intervals, "bootstrap", few)
    monkeypatch.setattr(write, "draw", lambda *_: [])
    monkeypatch.setattr(history, "draw_curves", lambda _, path: path.touch())


@pytest.fixture
def cohort_folder(tmp_path: Path) -> Path:
    """Return class folders of twelve people, two slices each."""
    return paint_cohort(tmp_path / "data")


@pytest.fixture
def command(tmp_path: Path, monkeypatch, capsys) -> Command:
    """Return a function that runs ``vit-dementia`` in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def call(*arguments: object, check: int | tuple[int, ...] = 0) -> Done:
        capsys.readouterr()
        exit_code = run([str(argument) for argument in arguments])
        stdout, stderr = capsys.readouterr()
        assert exit_code in (check if isinstance(check, tuple) else (check,)), stderr
        return Done(exit_code, stdout, stderr)

    return call
