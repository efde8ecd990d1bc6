from __future__ import annotations

import numpy as np
import pytest

from vit_dementia.data.volumes import Volume, write_volume
from vit_dementia.errors import ScanError
from vit_dementia.files import read_json, write_json
from vit_dementia.preparation.checked import prepare_checked
from vit_dementia.preparation.pipeline import Pipeline
from vit_dementia.preparation.record import (
    faults_against,
    quality_in,
    record_of,
    recorded,
    sidecar_of,
)
from vit_dementia.preparation.reference import GRID, reference
from vit_dementia.preparation.templates import CLINICA_SHA256

NONE = Pipeline(pipeline="none")


@pytest.fixture
def prepared(tmp_path):
    """Return a prepared volume, upside down, with its record."""
    turned = np.ascontiguousarray(reference(None).intensity[:, :, ::-1])
    volume = Volume(turned, GRID.affine)
    checked = prepare_checked(volume, NONE)
    path = tmp_path / "sub-1_T1w.nii.gz"
    write_volume(path, volume)
    write_json(sidecar_of(path), record_of(checked, NONE, content="abc"))
    return path, checked


def test_what_is_recorded_is_read_back(prepared) -> None:
    path, checked = prepared
    own = recorded(path)
    assert own["Key"] == NONE.key("abc")
    assert quality_in(own).reasons == checked.quality.reasons
    assert quality_in(own).measures == pytest.approx(checked.quality.measures)


def test_a_volume_without_a_record_of_ours_has_none(tmp_path) -> None:
    path = tmp_path / "sub-1_T1w.nii.gz"
    assert recorded(path) is None
    write_json(sidecar_of(path), {"EchoTime": 0.003})
    assert recorded(path) is None


def test_a_record_of_another_format_is_refused(prepared) -> None:
    path, _ = prepared
    told = read_json(sidecar_of(path))
    told["Preparation"]["Format"] = 99
    write_json(sidecar_of(path), told)
    with pytest.raises(ScanError, match="prepare it anew"):
        recorded(path)


def test_what_mends_another_template_names_clinicas() -> None:
    none = Pipeline(pipeline="none").facts()
    told = faults_against(none | {"template": CLINICA_SHA256}, none)
    assert told is not None
    assert told.endswith("--pipeline none --template clinica")
