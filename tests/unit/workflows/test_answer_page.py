"""The page of predict: what it says, what it must not say."""

from __future__ import annotations

import re

import pytest

from vit_dementia.workflows.answer_page import page

MARKUP = '<script>alert("x")</script>'
FACTS = {
    "trained_on": "trained on 9 training participants",
    "sha256": "0" * 64,
    "classes": ["CN", "AD"],
    "positive": ["AD"],
    "scaling": "temperature",
    "calibrated_on": 30,
    "allow_leakage": "",
    "evaluation": None,
}
EVALUATION = {
    "part": "test",
    "question": "AD against CN",
    "n_participants": 40,
    "auroc": {"value": 0.8, "low": 0.7, "high": 0.9},
    "floor": "linear model on pixels",
    "floor_auroc": {"value": 0.75, "low": None, "high": None},
    "verdict": "not above the floor",
}


def result(number=0, **changed):
    told = {
        "path": f"secret/place/{number}.png",
        "participant_id": "sub-01",
        "probabilities": {"CN": 0.25, "AD": 0.75},
        "predicted": "AD",
        "abstained": False,
        "early": "yes",
        "set": ["AD"],
        "observed": {"share": 0.8, "low": 0.49, "high": 0.94, "n_participants": 10},
        "distance": 0.42,
        "quality": {"verdict": "pass", "reasons": []},
    }
    return told | changed


def document(*results, participants=()):
    return {
        "results": list(results),
        "participants": list(participants),
        "disclaimer": "Research use only",
    }


def test_answers_are_told_in_words_with_what_is_known_of_the_model() -> None:
    said = page(document(result()), FACTS | {"evaluation": EVALUATION})
    for words in ("Yes: on the side of AD", "AD: 75.0 %", "Research use only",
                  "Cannot be ruled out: AD", "scans of the training: 0.42, where",
                  "Of 10 participants left out", "80 % (95 % interval 49 to 94 %)",
                  "mended (temperature) on 30",
                  "AUROC 0.80 [0.70, 0.90]. ", "reaches 0.75. ",
                  "not above the floor"):  # fmt: skip
        assert words in said
    assert "Tested on 40 participants (AD against CN)" in said
    folds = FACTS | {"evaluation": EVALUATION | {"part": "out-of-fold"}}
    assert "each by the one model of the cross-validation that never saw them (AD" in (
        page(document(result()), folds)
    )
    assert "never tested" in page(document(result()), FACTS)
    bare = FACTS | {"scaling": "none", "allow_leakage": "old script"}
    assert "not calibrated" in page(document(result()), bare)
    assert "old script" in page(document(result()), bare)


@pytest.mark.parametrize(
    ("early", "words"),
    [("no", "No: on the side of CN"), ("not sure", "Not sure"), (None, "No yes or no")],
)
def test_every_answer_has_its_words(early, words) -> None:
    assert words in page(document(result(early=early, set=None)), FACTS)


def test_a_refused_scan_has_its_reason_and_no_number() -> None:
    refused = result(
        probabilities=None, predicted=None, early=None, set=None,
        quality={"verdict": "refused", "reasons": ["secret/place/0.png: is empty"]},
    )  # fmt: skip
    said = page(document(refused, participants=[]), FACTS)
    assert "the scan was refused" in said
    assert "is empty" in said
    assert "secret" not in said
    assert "<dl>" not in said


def test_no_path_and_no_markup_gets_into_the_page() -> None:
    person = {k: v for k, v in result().items() if k not in ("path", "quality")}
    hostile = result(
        1, participant_id=MARKUP, quality={"verdict": "warn", "reasons": [MARKUP]}
    )
    told = document(result(), hostile, participants=[person | {"num_scans": 2}])
    said = page(told, FACTS | {"classes": ["CN", "AD"], "allow_leakage": MARKUP})
    assert MARKUP not in said
    assert "secret" not in said
    assert "sub-01 (2 scans)" in said
    assert not re.search(r'(?:src|href)="(?!data:)', said)


def test_maps_stand_within_the_page(tmp_path) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "0001.png").write_bytes(b"\x89PNG")
    told = {"picture": "maps/0001.png", "method": "occlusion", "reasons": "weak"}
    said = page(document(result(explanation=told)), FACTS, tmp_path)
    assert 'src="data:image/png;base64,iVBORw=="' in said
    assert "not faithful here: weak" in said
    assert "<img" not in page(document(result(explanation=None)), FACTS, tmp_path)


def test_how_much_each_slice_counts_is_told_where_the_model_weighs_them() -> None:
    person = {k: v for k, v in result().items() if k not in ("path", "quality")}
    weights = ([0.125], [0.0625, 0.25], None, [0.5625])
    other = {"participant_id": "sub-02", "slice_weights": [1.0]}
    told = [result(n, slice_weights=one) for n, one in enumerate(weights)]
    people = [person | {"num_scans": 4}, person | {"participant_id": "sub-02"}]
    said = page(document(*told, result(4, **other), participants=people), FACTS)
    of = r'<p class="weights small">([^<]*)</p>'
    assert re.findall(of, said) == [
        "As the model weighs slices, scan 4 counts most: for 56.2 % of the answer of "
        "its visit.",
        *(f"Counts for {words}." for words in (
            "12.5 % of the answer of its visit, as the model weighs slices",
            "31.2 % of the answer of its visit, as the model weighs slices: slice 1 "
            "for 6.2 %, slice 2 for 25.0 %",
            "56.2 % of the answer of its visit, as the model weighs slices",
            "100.0 % of the answer of its visit, as the model weighs slices",
        )),
    ]  # fmt: skip
    assert "weighs" not in page(document(result(), participants=[person]), FACTS)


def test_no_file_of_a_refused_study_is_named(tmp_path) -> None:
    study = tmp_path / "secret"
    study.mkdir()
    for name in ("Doe: 1.dcm", "Doe; 2.dcm"):
        (study / name).write_bytes(b"x")
    reasons = [
        f"{study}: found 2 series: 3 slices, such as {study}/Doe: 1.dcm; 4 slices, "
        f"such as {study}/Doe; 2.dcm; name a file of one of them",
        f"{study}/Doe; 2.dcm: its header has no spacing; needs it",
        f"{study}/gone.dcm: cannot be opened",
    ]
    told = [
        result(
            path=str(study),
            probabilities=None,
            quality={"verdict": "refused", "reasons": [reason]},
        )
        for reason in reasons
    ]
    said = page(document(*told), FACTS)
    assert "found 2 series: 3 slices, such as (a file of it); 4 slices" in said
    assert "<li>its header has no spacing; needs it" in said
    for word in ("secret", "Doe", "dcm", str(tmp_path)):
        assert word not in said
