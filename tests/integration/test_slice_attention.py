"""Slices of a visit pooled by learned attention, from training to the answer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from vit_dementia.config import RunConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.inference.predictor import Predictor
from vit_dementia.models.weights import read_weights
from vit_dementia.training import run as training

from .conftest import CLASSES, TINY, paint_cohort
from .test_processes import _curves, _run_together
from .test_volume_models import heads

ATTENTION = (*TINY, "--slice-pooling=attention", "--learning-rate=3e-3")
SLICES = 6


def paint_needles(root: Path, *, people: int = 60, seed: int = 0) -> dict[str, int]:
    """Write heads with a hole that one slice alone shows; return which slice."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:32, :24] - np.array([16, 12])[:, None, None]
    telling = {}
    for person in range(people):
        label, who = person % 2, f"sub-{person:03}"
        folder = root / CLASSES[label]
        folder.mkdir(parents=True, exist_ok=True)
        telling[who] = int(rng.integers(SLICES))
        for place in range(SLICES):
            image = np.where(np.hypot(rows, columns) < 11, 180.0, 0.0)
            if place == telling[who]:
                image[np.hypot(rows - (4 if label else -4), columns) < 4] = 40.0
            image = np.clip(image + rng.normal(0, 12, image.shape), 0, 255)
            picture = Image.fromarray(image.astype(np.uint8))
            picture.save(folder / f"{who}_slice-{place}.png")
    return telling


def _people(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "predictions_participants.tsv", sep="\t")


def _rows(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "predictions.tsv", sep="\t")


P = [f"p_{name}" for name in CLASSES]


def test_from_training_to_the_answer_all_doors_weigh_slices_alike(
    cohort_folder, command, tmp_path
) -> None:
    out = tmp_path / "run"
    command(
        "train", cohort_folder, *ATTENTION, "--epochs=6", "--batch-size=8",
        "--no-augment", "--out", out,
    )  # fmt: skip
    command("evaluate", out)
    scored = out / "evaluation/test"
    rows, people = _rows(scored), _people(scored)
    by_hand = [
        part.pooling_weight.to_numpy() @ part[P].to_numpy()
        for _, part in rows.groupby("participant_id")
    ]
    np.testing.assert_allclose(people[P], by_hand, rtol=1e-9)
    np.testing.assert_allclose(rows.groupby("participant_id").pooling_weight.sum(), 1)
    assert rows.pooling_weight.nunique() > 2  # something was learned
    metrics = json.loads((scored / "metrics.json").read_text())
    assert "pooling_weight" in metrics["pooling"]

    files = [cohort_folder / path for path in rows.path]
    told = json.loads(command("predict", out, *files, "--json", "--out=told").stdout)
    shell = [[one["probabilities"][c] for c in CLASSES] for one in told["participants"]]
    weights = [one["slice_weights"] for one in told["results"]]
    answer = Predictor.load(out / "model", device="cpu")(files)
    python = answer.predictions.by_participant().probabilities
    command("evaluate", "--predictions", scored / "predictions.tsv", "--out=again")
    for found in (shell, python, _people(tmp_path / "told")[P], by_hand):
        np.testing.assert_allclose(found, people[P], rtol=0, atol=1e-6)
    np.testing.assert_allclose(np.ravel(weights), rows.pooling_weight, atol=1e-6)
    again = json.loads((tmp_path / "again/metrics.json").read_text())
    ours, theirs = metrics["by_participant"], again["by_participant"]
    assert ours["scores"]["brier"]["value"] == theirs["scores"]["brier"]["value"]


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--input=volume"], "data.input: found volume"),
        (["--data.slices-per-participant=1"], "data.slices_per_participant: found 1"),
        (["--train.mixup=0.2"], "train.mixup: found 0.2"),
        (["--train.cutmix=0.2"], "train.cutmix: found 0.2"),
    ],
)
def test_what_attention_cannot_learn_beside_is_refused_by_name(
    cohort_folder, command, flags, named
) -> None:
    told = command("train", cohort_folder, *ATTENTION, *flags, "--out=run", check=2)
    assert named in told.stderr
    assert told.stderr.count("beside train.slice_pooling attention") == 1


def test_attention_needs_to_know_whose_slices_they_are(
    cohort_folder, command, tmp_path
) -> None:
    for number, file in enumerate(sorted(cohort_folder.rglob("*.png"))):
        file.rename(file.with_name(f"{number}.png"))
    told = command(
        "train", cohort_folder, *ATTENTION, "--allow-leakage=no names", "--out=run",
        check=2,
    )  # fmt: skip
    assert "train.slice_pooling: found attention, and nobody knows" in told.stderr


@pytest.mark.slow
def test_attention_finds_the_one_slice_that_tells(command, tmp_path) -> None:
    telling = paint_needles(tmp_path / "data")
    words = ["--no-augment", "--batch-size=24", "--epochs=30"]
    command("train", "data", *ATTENTION, *words, "--out=run")
    command("evaluate", "run")
    rows = _rows(tmp_path / "run/evaluation/test")
    heaviest = rows.loc[rows.groupby("participant_id").pooling_weight.idxmax()]
    found = [
        path.endswith(f"slice-{telling[who]}.png")
        for path, who in zip(heaviest.path, heaviest.participant_id, strict=True)
    ]
    assert len(found) >= 10
    assert np.mean(found) > 0.5  # of six slices; a guess finds one in six
    people = _people(tmp_path / "run/evaluation/test")
    assert (people.predicted == people.label).mean() > 0.8


@pytest.mark.slow
def test_a_stopped_run_ends_with_the_weights_of_an_unstopped_one(
    cohort_folder, tmp_path
) -> None:
    from vit_dementia.config import TrainConfig, VitConfig

    config = RunConfig(
        model="ViT-Ti/16",
        device="cpu",
        vit=VitConfig(
            patch_size=8, embed_dim=24, depth=2, num_heads=2, mlp_dim=48, dropout=0.1
        ),
        train=TrainConfig(slice_pooling="attention", epochs=4, batch_size=5, ema=0.9),
    )
    cohort, cache = Cohort.from_path(cohort_folder), tmp_path / "cache"

    class StopError(Exception):
        pass

    def stop(record) -> None:
        if record.epoch == 2:
            raise StopError

    training.train(cohort, config, out=tmp_path / "whole", cache=cache)
    with pytest.raises(StopError):
        training.train(
            cohort, config, out=tmp_path / "cut", cache=cache, after_epoch=stop
        )
    training.resume(tmp_path / "cut", cache=cache)
    whole, cut = (
        load_file(sorted((tmp_path / name / "checkpoints").glob("*.safetensors"))[-1])
        for name in ("whole", "cut")
    )
    assert whole.keys() == cut.keys()
    assert any("slice_attention.score" in name for name in whole)
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


@pytest.mark.slow
def test_two_processes_learn_from_whole_visits_what_one_would(
    command, tmp_path
) -> None:
    data = paint_cohort(tmp_path / "data", people=17)  # the last batch is one visit
    words = [
        "train", data, *TINY, "--slice-pooling=attention", "--learning-rate=1e-3",
        "--epochs=3", "--batch-size=5", "--train.precision=fp32", "--data.test=0",
        "--data.val=0.35", "--cache=cache",
    ]  # fmt: skip
    command(*words, "--out=alone")
    _run_together(*words, "--out=together")
    together, alone = (tmp_path / name for name in ("together", "alone"))
    for ours, theirs in zip(_curves(together), _curves(alone), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    ours, theirs = (read_weights(out).state for out in (together, alone))
    for name, value in ours.items():
        if not name.endswith("qkv.bias"):  # keys' biases change nothing
            torch.testing.assert_close(value, theirs[name], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_on_a_frozen_backbone_attention_learns_from_kept_features(
    cohort_folder, command, tmp_path
) -> None:
    command("train", cohort_folder, *TINY, "--epochs=1", "--out=first")
    told = command(
        "train", cohort_folder, "--init=first", "--freeze=backbone", "--epochs=8",
        "--device=cpu", "--slice-pooling=attention", "--out=second",
    )  # fmt: skip
    assert "each slice passes the backbone once" in told.stderr
    before, after = (read_weights(tmp_path / n).state for n in ("first", "second"))
    assert all(after[n].equal(before[n]) for n in before if not n.startswith("head"))
    assert after["slice_attention.score.weight"].abs().sum() > 0
    command("evaluate", "second")
    assert "pooling_weight" in _rows(tmp_path / "second/evaluation/test")


@pytest.mark.slow
@pytest.mark.usefixtures("in_float32")  # predict may round; explain never does
def test_volumes_say_how_much_each_of_their_slices_counts(command, tmp_path) -> None:
    table = heads(tmp_path / "data", people=16, sessions=2)
    command(
        "train", table, *ATTENTION, "--input=slices", "--data.slices=4",
        "--data.slab-mm", 35, 95, "--epochs=2", "--out=run",
    )  # fmt: skip
    command("evaluate", "run")
    rows = _rows(tmp_path / "run/evaluation/test")
    np.testing.assert_allclose(rows.pooling_weight, 1)  # a volume is all of its visit
    files = [tmp_path / "data" / path for path in rows.path]
    told = json.loads(command("predict", "run", *files, "--json").stdout)
    for one, expected in zip(told["results"], rows.p_AD, strict=True):
        assert len(one["slice_weights"]) == 4
        assert sum(one["slice_weights"]) == pytest.approx(1)
        assert one["probabilities"]["AD"] == pytest.approx(expected, abs=1e-6)
    command("explain", "run", files[0], "--out=maps")
    drawn = pd.read_csv(tmp_path / "maps/explanations.tsv", sep="\t")
    assert drawn.probability[0] == pytest.approx(
        max(told["results"][0]["probabilities"].values()), abs=1e-5
    )


@pytest.mark.slow
def test_folds_trained_by_attention_answer_together_for_whole_visits(
    command, tmp_path
) -> None:
    paint_needles(tmp_path / "data", people=24)
    command(
        "cross-validate", "data", *ATTENTION, "--folds=3", "--epochs=3", "--out=folds"
    )
    files = sorted((tmp_path / "data").rglob("sub-00[0-3]_*.png"))
    answer = Predictor.load(tmp_path / "folds", device="cpu")(files)
    each = np.mean([one.by_participant().probabilities for one in answer.told], axis=0)
    found = answer.predictions.by_participant().probabilities
    np.testing.assert_allclose(found, each, atol=1e-12)
    pooled = _rows(tmp_path / "folds/evaluation/out-of-fold")
    np.testing.assert_allclose(pooled.groupby("participant_id").pooling_weight.sum(), 1)


@pytest.mark.slow
def test_engines_carry_the_scores_and_other_exports_refuse_them(
    cohort_folder, command, tmp_path
) -> None:
    out = tmp_path / "run"
    command("train", cohort_folder, *ATTENTION, "--epochs=4", "--out", out)
    files = sorted(cohort_folder.rglob("*.png"))
    plain = Predictor.load(out, device="cpu", precision="fp32")(files)
    for form in ("onnx", "openvino", "torch-export", "native"):
        told = command("export", out, f"as-{form}", "--format", form, "--json").stdout
        assert json.loads(told)["largest_difference_of_logits"] < 1e-4
    for form in ("onnx", "openvino"):
        told = json.loads(
            command("predict", out, *files, "--engine", form, "--json").stdout
        )
        weights = [one["slice_weights"][0] for one in told["results"]]
        np.testing.assert_allclose(weights, plain.predictions.weights, atol=1e-5)
    for form, words in (
        ("monai", "train.slice_pooling attention"),
        ("timm", "slice_attention is 128, timm knows only 0"),
        ("huggingface", "slice_attention is 128, huggingface knows only 0"),
    ):
        said = command("export", out, f"as-{form}", "--format", form, check=2).stderr
        assert words in said
        assert not (tmp_path / f"as-{form}").exists()
