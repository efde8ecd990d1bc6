from __future__ import annotations

from vit_dementia.quality.verdict import Quality, Reason, together

LOW = Reason(code="resolution", verdict="warn", text="voxels of 3 mm")
TURNED = Reason(code="orientation", verdict="fail", text="turned")


def test_the_gravest_reason_is_the_verdict_and_comes_first() -> None:
    quality = together([Quality(reasons=(LOW,)), Quality(reasons=(TURNED,))])
    assert quality.verdict == "fail"
    assert quality.to_dict() == {
        "verdict": "fail",
        "reasons": ["turned", "voxels of 3 mm"],
        "codes": ["orientation", "resolution"],
        "verdicts": ["fail", "warn"],
    }


def test_measures_of_all_parts_are_kept() -> None:
    parts = [Quality(measures={"noise": 0.1}), Quality(measures={"likeness": 0.9})]
    assert together(parts).measures == {"noise": 0.1, "likeness": 0.9}
    assert together(parts).verdict == "pass"
