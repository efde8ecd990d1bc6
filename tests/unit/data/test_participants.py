from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vit_dementia.data.participants import (
    canonical_participant,
    canonical_session,
    identify,
)


@pytest.mark.parametrize(
    ("spellings", "person"),
    [
        (
            ["OAS1_0254", "OAS1_0254_MR1", "sub-OAS10254", "OAS10254", "oas1-0254"],
            "OAS1_0254",
        ),
        (["OAS2_0001_MR2", "sub-OAS20001", " OAS2_0001 "], "OAS2_0001"),
        (["OAS30001", "OAS30001_MR_d0129", "sub-OAS30001", "OAS3_0001"], "OAS30001"),
        (
            ["002_S_0295", "sub-ADNI002S0295", "ADNI_002_S_0295", "002S0295"],
            "002_S_0295",
        ),
        (["", "n/a", "nan", "NA"], "n/a"),
        (["sub-01"], "sub-01"),
        (["S_17"], "S_17"),
    ],
)
def test_all_spellings_of_a_person_become_one(spellings, person) -> None:
    assert {canonical_participant(s) for s in spellings} == {person}


@pytest.mark.parametrize(
    ("path", "person", "session", "source"),
    [
        ("axial/OAS1_0001_MR1_a.jpg", "OAS1_0001", "MR1", "filename"),
        ("CN/OAS1_0254.png", "OAS1_0254", "n/a", "filename"),
        ("OAS2_0013_MR3/slice_7.png", "OAS2_0013", "MR3", "filename"),
        ("AD/OAS30126_MR_d0129_T1w_088.png", "OAS30126", "d0129", "filename"),
        ("AD/OAS30126_d0129.png", "OAS30126", "d0129", "filename"),
        ("MCI/ADNI_002_S_0295_MR_MP-RAGE_12.png", "002_S_0295", "n/a", "filename"),
        ("MCI/002_S_10295/12.png", "002_S_10295", "n/a", "filename"),
        ("a/sub-OAS10254_ses-MR2_T1w.png", "OAS1_0254", "MR2", "bids"),
        ("sub-07/ses-M006/anat/T1w.png", "sub-07", "M006", "bids"),
        ("train/CN/sub-P01_slice-3.png", "sub-P01", "n/a", "bids"),
        ("train/NonDemented/26 (19).jpg", "n/a", "n/a", "unknown"),
        ("test/Mild/XOAS1_0001.jpg", "n/a", "n/a", "unknown"),
        ("test/Mild/OAS1_00015.jpg", "n/a", "n/a", "unknown"),
        ("test/Mild/1234002_S_0295.jpg", "n/a", "n/a", "unknown"),
        ("test/Mild/IMG002S0295.jpg", "n/a", "n/a", "unknown"),
    ],
)
def test_names_tell_who_it_is(path, person, session, source) -> None:
    who = identify(path)
    assert (who.participant_id, who.session_id, who.source) == (person, session, source)


def test_the_file_is_believed_before_its_folder() -> None:
    assert identify("sub-01/sub-02_T1w.png").participant_id == "sub-02"


@given(st.text(max_size=30))
def test_normalizing_twice_changes_nothing(text) -> None:
    once = canonical_participant(text)
    assert canonical_participant(once) == once
    visit = canonical_session(text)
    assert visit == "n/a" or canonical_session(f"ses-{visit}") == canonical_session(
        visit
    )


@given(st.integers(1, 2), st.integers(0, 9999), st.integers(1, 9))
def test_every_oasis_spelling_is_one_person(release, number, visit) -> None:
    spelled = f"OAS{release}_{number:04}"
    assert identify(f"x/{spelled}_MR{visit}_a.png").participant_id == spelled
    assert identify(f"x/sub-OAS{release}{number:04}.png").participant_id == spelled


def test_the_real_oasis_tables_and_pictures_agree(shared_data) -> None:
    table = (shared_data / "oasis1_3plane" / "images.csv").read_text().splitlines()
    for line in table[1:]:
        path, _, subject, session = line.split(",")[:4]
        assert identify(path).participant_id == canonical_participant(subject)
        assert identify(path).session_id == canonical_session(session)
