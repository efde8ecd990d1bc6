"""Run the study of learning on few people, trial by trial, and make its table.

``few-people/protocol.toml`` says what is asked and how is chosen; it was committed
before the first run. A trial is a recipe ``few-people/trials/ARM.NAME.toml``: its folds
are trained one after the other, what it says of the validation participants is scored,
and a line is added to ``few-people/trials.tsv``. Test participants are asked by
``few_people_scores.py``, after the last choice.

Run: ``make table few_people ARGS="DATA PEOPLE WEIGHTS TRIAL..."`` with the folder that
holds ``train/`` and ``test/``, the table that says who is on which slice, the DeiT-tiny
weights, and names of trials. What is in ``runs/few-people`` already is not run again.
"""

from __future__ import annotations

import csv
import platform
import sys
import time
import tomllib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from monai.networks.nets import resnet10
from safetensors.torch import load_file, save_file

from vit_dementia import recipes
from vit_dementia.benchmark.machine import commit_of_source
from vit_dementia.config import RunConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import Split, k_folds, roles
from vit_dementia.evaluation import floors
from vit_dementia.evaluation.folds import auroc_within_folds
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.inference.compute import make_fabric
from vit_dementia.inference.forward import softmax
from vit_dementia.inference.rows import predictions_of_rows
from vit_dementia.models.weights import load_model
from vit_dementia.preparation.pack import pack_scans
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.progress import Quiet
from vit_dementia.training import run as training
from vit_dementia.training.course import Course
from vit_dementia.training.feed import SliceFeed
from vit_dementia.training.loop import classify, fit
from vit_dementia.training.material import Material, read_material
from vit_dementia.training.optimizer import make_optimizer
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.training.validation import Best, score_held_out
from vit_dementia.workflows.floors import Part
from vit_dementia.workflows.pretrain import (
    pretrained,
    pretraining_of,
    read_pretraining,
)
from vit_dementia.workflows.scoring import read_run

HERE = Path(__file__).parent / "few-people"
WORK = Path("runs/few-people")
COLUMNS = {"participant_id": "subject", "label": "kaggle_class"}
PROTOCOL = tomllib.loads((HERE / "protocol.toml").read_text(encoding="utf-8"))
TRIALS = HERE / "trials.tsv"
HEAD = (
    *("trial", "arm", "seed", "folds", "val_auroc", "minutes", "images"),
    *("commit", "date", "machine"),
)


@dataclass(frozen=True)
class Study:
    """The people, their folds, and where weights come from."""

    cohort: Cohort
    weights: str

    @cached_property
    def split(self) -> Split:
        """Return the folds of every arm, drawn by the protocol."""
        return k_folds(
            self.cohort,
            folds=PROTOCOL["folds"],
            val=PROTOCOL["val"],
            seed=PROTOCOL["seed"],
        )


@dataclass(frozen=True)
class Trial:
    """One way of training, for all folds."""

    name: str

    @property
    def arm(self) -> str:
        """Return the arm of the protocol it belongs to."""
        return self.name.split(".")[0]

    @property
    def folder(self) -> Path:
        """Return where its runs are."""
        return WORK / self.name

    @property
    def pretraining(self) -> Path:
        """Return the recipe of what comes before each fold; mostly there is none."""
        return HERE / "trials" / f"{self.name}.pretrain.toml"

    def config(self, study: Study) -> RunConfig:
        """Return its settings."""
        settings = recipes.read_recipe(str(HERE / "trials" / f"{self.name}.toml"))
        if settings.get("init") == "WEIGHTS":
            settings["init"] = study.weights
        return recipes.config_from(settings, where=self.name)


def main() -> None:
    """Run the trials that are named."""
    study, names = study_of(sys.argv[1:])
    for name in names:
        run_trial(Trial(name), study)


def study_of(arguments: list[str]) -> tuple[Study, list[str]]:
    """Return the study that the first three arguments name, and the others."""
    data, people, weights, *names = arguments
    cohort = Cohort.from_path(data, participants=Path(people), columns=COLUMNS)
    return Study(cohort, weights), names


def run_trial(trial: Trial, study: Study) -> None:
    """Train what is missing of a trial, score its validation parts, note it."""
    folds = range(len(study.split.folds))
    told, minutes = [], 0.0
    if not trial.folder.exists() and trial.arm not in {"linear", "cnn", "frozen"}:
        # A cross-validation, which --resume scores in full once it stands for its arm.
        RunFolder.create(trial.folder, trial.config(study), study.cohort, study.split)
    trial.folder.mkdir(parents=True, exist_ok=True)
    for fold in folds:
        file = trial.folder / f"val-{fold}.tsv"
        spent = trial.folder / f"minutes-{fold}.txt"
        if not file.exists():
            start = time.process_time()  # others may be at work
            train_fold(trial, study, fold)
            spent.write_text(f"{(time.process_time() - start) / 60:.2f}")
            told_by(trial, study, fold, "val").write(file)
        told.append(Predictions.read(file))
        minutes += float(spent.read_text()) if spent.exists() else 0.0
        print(f"{trial.name}: fold {fold + 1}, {minutes:.1f} minutes", flush=True)
    note(trial, study, auroc_of(told), minutes)


def train_fold(trial: Trial, study: Study, fold: int) -> None:
    """Leave a finished run of one fold in the trial's folder."""
    if trial.arm in {"linear", "frozen"}:
        return  # learned when asked: it takes a second
    out = trial.folder / "folds" / str(fold)
    if trial.arm == "cnn":
        train_cnn(trial, study, fold, out / "model.safetensors")
        return
    if out.exists():
        training.resume(out, cohort=study.cohort)
        return
    config = replace(trial.config(study), fold=fold)
    if trial.pretraining.exists():
        config = pretrained(
            trial.folder,
            config,
            pretraining_of(config, read_pretraining(str(trial.pretraining))),
            cohort=study.cohort,
            split=study.split,
            cache=None,
            watch=Quiet(),
        )
    training.train(study.cohort, config, out=out, split=study.split)


def told_by(trial: Trial, study: Study, fold: int, role: str) -> Predictions:
    """Return what one fold's model says of one part of its split."""
    if trial.arm == "linear":
        return linear_floor(study, fold, role)
    if trial.arm == "frozen":
        return frozen_linear(trial, study, fold, role)
    if trial.arm == "cnn":
        return told_by_cnn(trial, study, fold, role)
    run = RunFolder.open(trial.folder / "folds" / str(fold))
    reading = read_run(run, data=study.cohort, watch=Quiet())
    rows = reading.rows(role)
    logits = reading.read(reading.images, rows, role).logits
    mended = reading.model.calibration.scaling(softmax(logits))
    return predictions_of_rows(reading.cohort, rows, mended)


def frozen_linear(trial: Trial, study: Study, fold: int, role: str) -> Predictions:
    """Return what a linear model says of features that no scan has taught."""
    cohort, features = frozen_features(trial, study)
    parts = roles(cohort, study.split.folds[fold])
    known, asked = np.flatnonzero(parts == "train"), np.flatnonzero(parts == role)
    unit = np.array(cohort.unit_ids("participant"))
    spread = [
        np.stack(
            [
                np.concatenate([mine.mean(axis=0), mine.std(axis=0)])
                for who in np.unique(unit[rows])
                for mine in [features[rows][unit[rows] == who]]
            ]
        )
        for rows in (known, asked)
    ]
    first = np.unique(unit[known], return_index=True)[1]
    told = floors.linear(
        spread[0],
        cohort.labels()[known][first],
        spread[1],
        num_classes=len(cohort.classes),
    )
    of_row = np.unique(unit[asked], return_inverse=True)[1]
    return predictions_of_rows(cohort, asked, told[of_row])


def frozen_features(trial: Trial, study: Study) -> tuple[Cohort, np.ndarray]:
    """Return the pooled tokens of every slice, computed once."""
    config = trial.config(study)
    size = config.data.image_size or (208, 176)
    prepared = SlicePreprocessing(size=size, mean=0.449, std=0.226)  # of ImageNet, gray
    cohort, images = pack_scans(study.cohort, prepared, cache=None, watch=Quiet())
    file = trial.folder / "features.npy"
    if not file.exists():
        model = load_model(
            study.weights, num_classes=0, image_size=size, channels=1, vit=config.vit
        ).eval()
        told = []
        with torch.inference_mode():
            for start in range(0, len(images), 64):
                batch = torch.from_numpy(np.ascontiguousarray(images[start:][:64]))
                told.append(model(prepared.normalize(batch)).numpy())
        np.save(file, np.concatenate(told).astype(np.float64))
    return cohort, np.load(file)


def linear_floor(study: Study, fold: int, role: str) -> Predictions:
    """Return what the linear floor says, learned on whole pictures."""
    prepared = SlicePreprocessing(size=(208, 176))
    cohort, images = pack_scans(study.cohort, prepared, cache=None, watch=Quiet())
    parts = roles(cohort, study.split.folds[fold])
    known, asked = (
        Part(cohort, images, np.flatnonzero(parts == name)) for name in ("train", role)
    )
    told = floors.linear(
        known.features,
        known.label[known.first],
        asked.features,
        num_classes=len(cohort.classes),
    )
    return predictions_of_rows(cohort, asked.rows, told[asked.unit_of_row])


@dataclass(frozen=True)
class Cnn:
    """A small convolutional network with what it learns from."""

    feed: SliceFeed
    material: Material
    fabric: Fabric

    @classmethod
    def of(cls, trial: Trial, study: Study, fold: int) -> Cnn:
        """Return the network before its first step."""
        config = replace(trial.config(study), fold=fold)
        fabric = make_fabric(config.device, config.train.precision)
        material = read_material(
            study.cohort, study.split, config, patch_size=16, cache=None, watch=Quiet()
        )
        torch.manual_seed(config.seed)
        network = resnet10(
            spatial_dims=2,
            n_input_channels=config.data.channels,
            num_classes=len(study.cohort.classes),
            conv1_t_stride=2,  # as He et al. 2016 have it
            widen_factor=0.25,  # else it takes four times what the ViTs take
        )
        return cls(SliceFeed(config, material, network, fabric), material, fabric)


def train_cnn(trial: Trial, study: Study, fold: int, out: Path) -> None:
    """Train the CNN in the loop of the ViTs, and keep the epoch they would keep."""
    cnn = Cnn.of(trial, study, fold)
    config = cnn.feed.config
    course = Course(config, cnn.material)
    optimizer = make_optimizer(cnn.feed.network, config.train, depth=0)
    wrapped, optimizer = cnn.fabric.setup(cnn.feed.network, optimizer)
    objective = classify(
        cnn.feed.prepare,
        class_weights=torch.ones(len(study.cohort.classes)),
        label_smoothing=config.train.label_smoothing,
    )
    best = Best()
    for epoch in range(config.train.epochs):
        start = epoch * course.num_batches
        for _ in fit(
            wrapped,
            course.batches(epoch, start, cnn.feed, cnn.fabric),
            objective,
            optimizer,
            config.train,
            fabric=cnn.fabric,
            num_steps=course.num_steps,
            seed=config.seed,
        ):
            pass
        found = score_held_out(wrapped, cnn.feed, cnn.material, "val")
        print(f"epoch {epoch + 1}: {found}", flush=True)
        if best.is_beaten_by(found):
            best = best.replaced_by(found, epoch=epoch + 1)
            out.parent.mkdir(parents=True, exist_ok=True)
            save_file(cnn.feed.network.state_dict(), out)


def told_by_cnn(trial: Trial, study: Study, fold: int, role: str) -> Predictions:
    """Return what the kept CNN of one fold says of one part of its split."""
    cnn = Cnn.of(trial, study, fold)
    weights = load_file(trial.folder / "folds" / str(fold) / "model.safetensors")
    cnn.feed.network.load_state_dict(weights)
    rows = cnn.material.rows(role)
    told = softmax(cnn.feed.logits(cnn.feed.network, rows))
    return predictions_of_rows(cnn.material.cohort, rows, told)


def auroc_of(told: list[Predictions]) -> float:
    """Return the AUROC by participant, none against any, pairs within a fold."""
    pooled = [part.by_participant() for part in told]
    fold = np.concatenate([np.full(len(p.table), n) for n, p in enumerate(pooled)])
    is_positive = np.concatenate([p.labels > 0 for p in pooled])
    score = np.concatenate([1 - p.probabilities[:, 0] for p in pooled])
    return auroc_within_folds(is_positive, score, fold)


def note(trial: Trial, study: Study, val_auroc: float, minutes: float) -> None:
    """Add the trial to the list of all, once."""
    rows = read_trials()
    if trial.name in set(rows.trial):
        return
    config = RunConfig() if trial.arm == "linear" else trial.config(study)
    row = {
        "trial": trial.name,
        "arm": trial.arm,
        "seed": config.seed,
        "folds": len(study.split.folds),
        "val_auroc": round(val_auroc, 4),
        "minutes": round(minutes, 1),
        "images": "x".join(map(str, config.data.image_size or (208, 176))),
        "commit": commit_of_source(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, 1 thread",
    }
    with TRIALS.open("a", encoding="utf-8", newline="") as file:
        csv.DictWriter(file, HEAD, delimiter="\t", lineterminator="\n").writerow(row)
    print(f"{trial.name}: AUROC on validation parts {val_auroc:.3f}", flush=True)


def read_trials() -> pd.DataFrame:
    """Return every trial so far, in the order of running."""
    if not TRIALS.exists():
        TRIALS.write_text("\t".join(HEAD) + "\n", encoding="utf-8")
    return pd.read_csv(TRIALS, sep="\t", dtype={"trial": str, "arm": str})


if __name__ == "__main__":
    main()
