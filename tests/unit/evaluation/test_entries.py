"""One score as it stands in metrics.json."""

from __future__ import annotations

from vit_dementia.evaluation.entries import entry
from vit_dementia.evaluation.intervals import Interval
from vit_dementia.evaluation.metrics import UndefinedScoreError


def refuse(why):
    def undefined():
        raise UndefinedScoreError(why)

    return undefined


def test_a_score_without_an_interval_says_why():
    assert entry(lambda: 1.0, refuse("no interval: all alike")) == {
        "value": 1.0,
        "low": None,
        "high": None,
        "method": "no interval: all alike",
    }


def test_a_score_that_is_undefined_says_why_and_has_no_interval():
    told = entry(refuse("one participant"), lambda: Interval(0.0, 1.0, "never asked"))
    assert told == {"value": None, "undefined": "one participant"}
