"""A model reads volumes that were prepared as its own training volumes were."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vit_dementia.data.volumes import Volume, write_volume
from vit_dementia.errors import DataError, ScanError
from vit_dementia.preparation import checked
from vit_dementia.preparation.pipeline import Pipeline
from vit_dementia.preparation.replay import common_facts, facts_of, read_prepared
from vit_dementia.quality.verdict import Quality, Reason

NONE = Pipeline(pipeline="none").facts()
FAST = NONE | {"pipeline": "fast"}


@pytest.fixture
def scan(tmp_path):
    """Return a function that writes a volume, with a sidecar if facts are given."""

    def write(name: str, facts=None):
        path = tmp_path / f"{name}.nii.gz"
        voxels = np.zeros((9, 9, 9), np.float32)
        voxels[2:7, 2:7, 2:7] = 1 + len(name)
        write_volume(path, Volume(voxels, np.eye(4)))
        if facts is not None:
            sidecar = {"Preparation": {"Format": 1, "Facts": facts}}
            (tmp_path / f"{name}.json").write_text(json.dumps(sidecar))
        return path

    return write


def as_text(facts) -> str:
    return json.dumps(facts, sort_keys=True)


def test_volumes_of_a_training_have_one_preparation(scan, tmp_path) -> None:
    raw, other = scan("raw"), scan("another")
    assert common_facts([raw, other]) is None
    made = scan("made", FAST)
    assert common_facts([made]) == facts_of(made) == as_text(FAST)
    with pytest.raises(DataError, match="prepared in 2 ways"):
        common_facts([raw, other, made])
    assert common_facts([]) is None
    (tmp_path / "dicom").mkdir()
    assert facts_of(tmp_path / "dicom") is None


def test_the_same_preparation_is_read_as_it_is(scan) -> None:
    for path, facts in ((scan("raw"), None), (scan("made", FAST), as_text(FAST))):
        assert read_prepared(path, facts).voxels.max() == 1 + len(path.name) - 7


def test_another_preparation_is_refused_with_the_command(scan) -> None:
    with pytest.raises(
        ScanError, match="vit-dementia prepare DATA OUT --pipeline fast"
    ):
        read_prepared(scan("made", NONE), as_text(FAST))
    with pytest.raises(ScanError, match="as it was found"):
        read_prepared(scan("made", FAST), None)


def test_a_scan_that_was_not_prepared_is_prepared_by_the_same_code(
    scan, monkeypatch
) -> None:
    asked = []

    def prepare_checked(volume, pipeline):
        asked.append(pipeline)
        brighter = Volume(volume.voxels * 2, volume.affine)
        made = type("Prepared", (), {"volume": brighter})()
        return type("Checked", (), {"prepared": made, "quality": Quality()})()

    monkeypatch.setattr(checked, "prepare_checked", prepare_checked)
    found = read_prepared(scan("raw"), as_text(NONE | {"spacing_mm": 2.0}))
    assert asked == [Pipeline(pipeline="none", spacing_mm=2.0)]
    assert found.voxels.max() == 8


def test_a_scan_that_quality_control_refuses_is_refused_with_its_reasons(
    scan, monkeypatch
) -> None:
    reason = Reason(code="contrast", verdict="fail", text="not T1-weighted")

    def prepare_checked(_volume, _pipeline):
        quality = Quality(reasons=(reason,))
        return type("Checked", (), {"prepared": None, "quality": quality})()

    monkeypatch.setattr(checked, "prepare_checked", prepare_checked)
    with pytest.raises(ScanError, match="quality control: not T1-weighted"):
        read_prepared(scan("raw"), as_text(NONE))


def test_a_template_or_software_that_is_not_here_is_named(scan) -> None:
    with pytest.raises(ScanError, match="template"):
        read_prepared(scan("raw"), as_text(NONE | {"template": "another"}))
