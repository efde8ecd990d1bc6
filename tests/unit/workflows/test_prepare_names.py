from __future__ import annotations

import re

import pytest

from vit_dementia.preparation.pipeline import Pipeline
from vit_dementia.workflows.prepare_names import ending_of, names_for

BIDS = re.compile(
    r"sub-[A-Za-z0-9]+/(ses-[A-Za-z0-9]+/)?anat/"
    r"sub-[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?(_run-\d+)?(_[a-z]+-[A-Za-z0-9]+)*_T1w\.nii\.gz"
)
PEOPLE = [
    ("OAS1_0001", "ses-MR1"),
    ("OAS1_0001", "ses-MR2"),
    ("007_S_0041", "n/a"),
    ("n/a", "n/a"),
    ("007_S_0041", "n/a"),
    ("n/a", "n/a"),
]


@pytest.mark.parametrize("pipeline", ["t1-linear", "fast", "none"])
@pytest.mark.parametrize("spacing", [None, 1.5, 2.0])
def test_names_are_those_of_bids_and_all_different(pipeline, spacing) -> None:
    made = Pipeline(pipeline=pipeline, spacing_mm=spacing)
    names = [str(name) for name in names_for(PEOPLE, made)]
    assert len(set(names)) == len(names)
    assert all(BIDS.fullmatch(name) for name in names)


def test_scans_of_one_visit_are_runs_and_nobody_is_made_one_with_another() -> None:
    names = [str(n) for n in names_for(PEOPLE, Pipeline(pipeline="none"))]
    assert "run" not in names[0]
    assert "_run-1_" in names[2]
    assert "_run-2_" in names[4]
    assert names[3].split("/")[0] != names[5].split("/")[0]


def test_a_crop_of_1_mm_is_named_as_clinica_names_it() -> None:
    assert ending_of(Pipeline(pipeline="t1-linear")) == (
        "space-MNI152NLin2009a_desc-Crop_res-1x1x1_T1w.nii.gz"
    )
