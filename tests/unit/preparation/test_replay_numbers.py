from __future__ import annotations

import json

import numpy as np
import pytest

from vit_dementia.data.volumes import Volume, read_volume, write_volume
from vit_dementia.errors import ScanError
from vit_dementia.files import write_json
from vit_dementia.preparation.checked import prepare_checked
from vit_dementia.preparation.pipeline import Pipeline
from vit_dementia.preparation.record import record_of, sidecar_of
from vit_dementia.preparation.reference import GRID, reference
from vit_dementia.preparation.replay import facts_of, read_prepared

COARSE = Pipeline(pipeline="none", spacing_mm=4.0, intensity="percentile")


def test_a_scan_prepared_at_prediction_has_the_numbers_of_training(tmp_path) -> None:
    scan, before = tmp_path / "scan.nii.gz", tmp_path / "made.nii.gz"
    write_volume(scan, Volume(900 * reference(None).intensity, GRID.affine))
    checked = prepare_checked(read_volume(scan), COARSE)
    write_volume(before, checked.prepared.volume, space="template")
    write_json(sidecar_of(before), record_of(checked, COARSE, content="abc"))
    needed = facts_of(before)
    assert json.loads(needed) == COARSE.facts()
    at_training, now = (read_prepared(file, needed) for file in (before, scan))
    assert np.array_equal(at_training.voxels, now.voxels)
    assert np.array_equal(at_training.affine, now.affine)


def test_what_quality_control_refuses_gets_no_prediction(tmp_path) -> None:
    path = tmp_path / "turned.nii.gz"
    turned = np.ascontiguousarray(reference(None).intensity[:, :, ::-1])
    write_volume(path, Volume(turned, GRID.affine))
    needed = json.dumps(COARSE.facts(), sort_keys=True)
    with pytest.raises(ScanError, match="refused by quality control: turned"):
        read_prepared(path, needed)
