"""Scans unlike the training: refused, or answered by nobody's certainty."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vit_dementia.data.volumes import Volume, write_volume
from vit_dementia.errors import RefusedError
from vit_dementia.evaluation.calibrated import Calibration
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.inference.predictor import Predictor
from vit_dementia.inference.unlike import Away, refuse_unlike
from vit_dementia.models import create_model
from vit_dementia.preparation.likeness import OTHER_GRAYS, Likeness
from vit_dementia.preparation.pipeline import Pipeline, prepare
from vit_dementia.preparation.reference import GRID, reference
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.preparation.spec import Preprocessing
from vit_dementia.preparation.volumes import VolumePreprocessing
from vit_dementia.quality.found import look_at_found
from vit_dementia.quality.verdict import Quality
from vit_dementia.workflows.explain import Asked, explain_scans

SCAN = Path("scan.nii.gz")
T1 = Quality(measures={"white": 0.9, "gray": 0.6, "fluid": 0.3})


def heads(count, *, seed, gray=140):
    """Return discs of white matter in a rim of gray, each of another size."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:48, :40]
    away = np.hypot(rows - 24, columns - 20)
    images = np.zeros((count, 1, 48, 40), np.uint8)
    for image in images:
        edge = rng.uniform(15, 18)
        tissue = np.select([away > edge, away > edge - 5, away < 4], [0, gray, 50], 220)
        image[0] = np.clip(tissue + rng.normal(0, 6, away.shape), 0, 255)
    return images


def saved(reads: Preprocessing, images: np.ndarray) -> SavedModel:
    """Return an untrained model that knows what its training looked like."""
    torch.manual_seed(0)
    classes = ("CN", "AD")
    network = create_model(
        num_classes=2,
        image_size=reads.size,
        patch_size=8,
        embed_dim=8,
        depth=1,
        num_heads=2,
    )
    return SavedModel(
        network=network.eval(),
        classes=classes,
        ordered=True,
        preprocessing=reads,
        facts={},
        calibration=Calibration.none(classes, "not fitted"),
        sha256="",
        likeness=Likeness.of(images),
    )


@pytest.fixture
def model() -> SavedModel:
    return saved(SlicePreprocessing(size=(48, 40)), heads(120, seed=0))


def test_a_scan_like_the_others_is_answered_without_doubt(model) -> None:
    for quality in (None, T1):
        away = refuse_unlike(model, SCAN, heads(1, seed=1), quality)
        assert away.distance is not None
        assert away.distance < 1
        assert not away.doubt


def test_of_t1_other_gray_values_are_a_doubt_and_otherwise_refused(model) -> None:
    other = heads(3, seed=2, gray=120)
    assert OTHER_GRAYS in model.likeness.reasons(other)
    away = refuse_unlike(model, SCAN, other, T1)
    assert away.distance is not None
    assert away.distance > 1
    assert f"(distance {away.distance:.2f}, limit 1)" in away.doubt
    voxels = np.random.default_rng(6).uniform(0, 9, (60, 60, 60)).astype(np.float32)
    as_found = look_at_found(voxels, (3.0, 3.0, 3.0))
    assert as_found.measures
    for quality in (None, as_found):  # nobody looked at its tissue
        with pytest.raises(RefusedError, match=r"^scan\.nii\.gz: its gray values"):
            refuse_unlike(model, SCAN, other, quality)


def test_what_is_no_head_is_refused_whatever_quality_control_saw(model) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (1, 1, 48, 40), np.uint8)
    both = np.concatenate([noise, heads(1, seed=2, gray=120)])
    for images in (noise, both):
        with pytest.raises(RefusedError, match="does not look like"):
            refuse_unlike(model, SCAN, images, T1)


@pytest.mark.parametrize("gamma", [1.0, 1.7])
def test_a_brain_of_another_scanner_is_answered_not_sure(tmp_path, gamma) -> None:
    rng = np.random.default_rng(5)
    way = Pipeline(pipeline="none", spacing_mm=4.0)
    reads = VolumePreprocessing(
        size=(48, 56, 48),
        spacing_mm=4.0,
        prepared=json.dumps(way.facts(), sort_keys=True),
    )
    template = reference(None).intensity

    def brain() -> np.ndarray:
        return np.abs(template + rng.normal(0, 0.02, template.shape)).astype(np.float32)

    seen = [reads(prepare(Volume(brain(), GRID.affine), way).volume) for _ in range(10)]
    model = saved(reads, np.stack(seen))
    scan = tmp_path / "sub-1_T1w.nii.gz"
    write_volume(scan, Volume(900 * brain() ** gamma, GRID.affine))
    told = Predictor(model, device="cpu")([scan]).to_dict()
    (one,), (person,) = told["results"], told["participants"]
    assert sum(one["probabilities"].values()) == pytest.approx(1)
    is_other = gamma != 1
    assert (one["distance"] > 1) == is_other
    assert one["abstained"] == person["abstained"] == is_other
    assert (one["early"] == person["early"] == "not sure") == is_other
    assert any("another scanner" in r for r in one["quality"]["reasons"]) == is_other
    (drawn,) = explain_scans(model, [scan], Asked(method="attention"))
    assert ("another scanner" in drawn.sentence()) == is_other
    assert ("another scanner" in drawn.to_dict()["reasons"]) == is_other


def test_where_nobody_kept_what_the_training_looks_like_nothing_is_said(model) -> None:
    away = refuse_unlike(replace(model, likeness=None), SCAN, heads(1, seed=4), T1)
    assert away == Away(None)
