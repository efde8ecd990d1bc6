"""A model reads volumes that were prepared as its own training volumes were."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vit_dementia.data.volumes import Volume, write_volume
from vit_dementia.errors import DataError, ScanError
from vit_dementia.preparation import checked, templates
from vit_dementia.preparation.checked import Checked
from vit_dementia.preparation.pipeline import Pipeline, Prepared
from vit_dementia.preparation.replay import (
    common_facts,
    facts_of,
    is_in_template,
    judged,
    read_prepared,
)
from vit_dementia.quality.verdict import Quality, Reason

NONE = Pipeline(pipeline="none").facts()
FAST = NONE | {"pipeline": "fast"}


@pytest.fixture
def scan(tmp_path):
    """Return a function that writes a volume, with a sidecar if facts are given."""

    def write(name: str, facts=None, **quality):
        path = tmp_path / f"{name}.nii.gz"
        voxels = np.zeros((9, 9, 9), np.float32)
        voxels[2:7, 2:7, 2:7] = 1 + len(name)
        write_volume(path, Volume(voxels, np.eye(4)))
        if facts is not None:
            good = {"reasons": [], "codes": [], "verdicts": [], "measures": {}}
            own = {"Format": 1, "Facts": facts, "Quality": good | quality}
            sidecar = {"Preparation": own}
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
        made = Prepared(volume=brighter, laid=brighter, scan_of_template=None, steps=())
        return Checked(prepared=made, quality=Quality())

    monkeypatch.setattr(checked, "prepare_checked", prepare_checked)
    found = read_prepared(scan("raw"), as_text(NONE | {"spacing_mm": 2.0}))
    assert asked == [Pipeline(pipeline="none", spacing_mm=2.0)]
    assert found.voxels.max() == 8


def test_a_scan_that_quality_control_refuses_is_refused_with_its_reasons(
    scan, monkeypatch
) -> None:
    reason = Reason(code="contrast", verdict="fail", text="not T1-weighted")

    def prepare_checked(_volume, _pipeline):
        return Checked(prepared=None, quality=Quality(reasons=(reason,)))

    monkeypatch.setattr(checked, "prepare_checked", prepare_checked)
    with pytest.raises(ScanError, match="quality control: not T1-weighted"):
        read_prepared(scan("raw"), as_text(NONE))


def test_a_template_or_software_that_is_not_here_is_named(scan) -> None:
    with pytest.raises(ScanError, match="template"):
        read_prepared(scan("raw"), as_text(NONE | {"template": "another"}))


def test_clinicas_template_is_fetched_for_a_model_that_was_made_with_it(
    scan, monkeypatch
) -> None:
    asked = []

    def fetch():
        asked.append("clinica")
        raise DataError("cannot be reached")

    monkeypatch.setattr(templates, "fetch_clinicas_template", fetch)
    needed = NONE | {"template": templates.CLINICA_SHA256}
    with pytest.raises(DataError, match="cannot be reached"):
        read_prepared(scan("raw"), as_text(needed))
    assert asked == ["clinica"]


def test_the_verdict_beside_a_prepared_volume_counts(scan) -> None:
    told = {"reasons": ["blurred"], "codes": ["blur"], "verdicts": ["warn"]}
    warned = judged(scan("warned", FAST, **told), as_text(FAST))
    assert [reason.text for reason in warned.quality.reasons] == ["blurred"]
    failed = scan("failed", FAST, **told | {"verdicts": ["fail"]})
    with pytest.raises(ScanError, match="quality control: blurred"):
        judged(failed, as_text(FAST))
    assert read_prepared(failed, as_text(FAST)).voxels.any()  # training decides itself


def test_a_volume_that_is_read_as_found_is_judged_as_found(scan) -> None:
    with pytest.raises(ScanError, match="quality control"):
        judged(scan("raw"), None)  # a cube of one gray in 9 voxels


def test_a_volume_lies_in_the_template_if_we_laid_it_there_or_its_name_says_so() -> (
    None
):
    name = Path("sub-01_space-MNI152NLin2009cSym_T1w.nii.gz")
    assert is_in_template(name, None)
    assert not is_in_template(Path("sub-01_T1w.nii.gz"), None)
    assert is_in_template(Path("a.nii"), json.dumps({"pipeline": "fast"}))
    assert not is_in_template(name, json.dumps({"pipeline": "none"}))
