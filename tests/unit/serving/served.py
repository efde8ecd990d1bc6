"""Small models and servers for the tests of serving, without a training."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import uvicorn
from PIL import Image

from vit_dementia.config import RunConfig, VitConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import holdout
from vit_dementia.evaluation.calibrated import Calibration, Sets
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.evaluation.scaling import Scaling
from vit_dementia.inference.model_folder import (
    read_model_folder,
    write_calibration,
    write_model_folder,
)
from vit_dementia.limits import ServingLimits
from vit_dementia.models.slice_scores import weigh_slices
from vit_dementia.models.variants import architecture
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.preparation.slab import SlabPreprocessing
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.serving.alike import NOTHING, Offered
from vit_dementia.serving.app import make_app
from vit_dementia.serving.gate import Rules
from vit_dementia.serving.work import Job, Reply, Work
from vit_dementia.training.run_folder import RunFolder

CLASSES = ("NonDemented", "MildDemented")
SLICES = SlicePreprocessing(size=(32, 24))
SLABS = SlabPreprocessing(
    size=(32, 32), spacing_mm=6.0, plane="axial", slab_mm=(48.0, 80.0), count=2
)


def write_model(
    folder: Path,
    preprocessing: SlicePreprocessing | SlabPreprocessing,
    *,
    weighs_slices: bool = False,
) -> Path:
    """Write a model of random weights that has a line and says yes or no."""
    torch.manual_seed(0)
    config = VitConfig(
        embed_dim=24, depth=1, num_heads=2, mlp_dim=48, patch_size=8, dropout=0.1
    )
    network = VisionTransformer(
        architecture(
            "ViT-Ti/16",
            config,
            image_size=preprocessing.size,
            channels=1,
            num_classes=len(CLASSES),
        )
    )
    torch.nn.init.normal_(network.head.weight)
    if weighs_slices:
        weigh_slices(network, 8)
        torch.nn.init.normal_(network.slice_attention.score.weight)
    write_model_folder(
        folder / "model",
        network,
        classes=CLASSES,
        ordered=True,
        preprocessing=preprocessing,
        facts={"allow_leakage": ""},
    )
    calibration = Calibration(
        CLASSES, CLASSES[1:], Scaling.none(2, "a test"), {"balanced": 0.5}
    )
    write_calibration(folder, calibration)
    return folder


def write_run(folder: Path) -> Path:
    """Write a run whose model of random weights was trained on twelve discs."""
    data = folder / "data"
    for person in range(12):
        label = CLASSES[person % 2]
        (data / label).mkdir(parents=True, exist_ok=True)
        shown = picture(100 + person)
        shown[12:20, 8:16] = (180, 40)[person % 2]
        name = f"sub-{person:03}_slice-0.png"
        Image.fromarray(shown).save(data / label / name)
    cohort = Cohort.from_path(data, classes=CLASSES)
    split = holdout(cohort, val=0.2, test=0.2, seed=0)
    run = RunFolder.create(folder / "run", RunConfig(), cohort, split)
    return write_model(run.path, SLICES)


def calibrate(run: Path, *, sets: Sets | None = None) -> Path:
    """Calibrate a model of two classes on forty people who do not exist."""
    classes = read_model_folder(run).classes
    rng = np.random.default_rng(0)
    label = np.arange(40) % 2
    share = np.clip(label * 0.4 + rng.uniform(0, 0.6, 40), 0.01, 0.99)
    told = Predictions.from_arrays(
        classes,
        participant_ids=[f"sub-{number:02}" for number in range(40)],
        session_ids=["n/a"] * 40,
        paths=[f"{number}.png" for number in range(40)],
        labels=[classes[one] for one in label],
        probabilities=np.stack([1 - share, share], axis=1),
    )
    found = replace(Calibration.fit(told, positive=classes[1:]), sets=sets)
    write_calibration(run, found)
    return run


def picture(seed: int = 0) -> np.ndarray:
    """Return a noisy disc."""
    rows, columns = np.mgrid[:32, :24] - np.array([16, 12])[:, None, None]
    disc = np.where(np.hypot(rows, columns) < 11, 180.0, 0.0)
    noise = np.random.default_rng(seed).normal(0, 12, disc.shape)
    return np.clip(disc + noise, 0, 255).astype(np.uint8)


def head(side: int = 32, spacing_mm: float = 4.4) -> np.ndarray:
    """Return a noisy ball, dark inside."""
    middle = (side - 1) / 2
    away = np.sqrt(sum((axis - middle) ** 2 for axis in np.indices((side,) * 3)))
    ball = np.where(away < 45 / spacing_mm, 180.0, 0.0)
    ball[away < 12 / spacing_mm] = 60.0
    return ball + np.abs(np.random.default_rng(1).normal(0, 4, ball.shape))


class Here:
    """Answers jobs in this process, by a model or by a function."""

    def __init__(self, answer: Callable[[Sequence[Job]], list[Reply]]) -> None:
        self.answer = answer
        self.facts: dict[str, Any] = getattr(answer, "facts", {"classes": []})
        self.stopped = False

    @classmethod
    def with_model(
        cls,
        run: Path,
        limits: ServingLimits | None = None,
        offered: Offered = NOTHING,
    ) -> Here:
        return cls(Work(run, "cpu", limits or ServingLimits(), offered))

    def start(self) -> None:
        """Do nothing: it is here."""

    def stop(self) -> None:
        self.stopped = True

    def __call__(self, jobs: Sequence[Job]) -> list[Reply]:
        return self.answer(jobs)


def nothing(jobs: Sequence[Job]) -> list[Reply]:
    """Answer that nothing was found."""
    return [Reply(status=200, body={}) for _ in jobs]


@contextmanager
def listening(worker: Here, *, token: str = "", **limits: Any) -> Iterator[str]:
    """Run a server on a free port of this machine; yield its address."""
    bounds = ServingLimits(**limits)
    rules = Rules(token=token, upload_bytes=bounds.upload_bytes)
    config = uvicorn.Config(
        make_app(worker, rules, bounds),
        port=0,
        ws="none",
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
