"""Maps of a report's examples are those of explain, and are refused where hidden."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vit_dementia.errors import ConfigError
from vit_dementia.workflows.explain import Asked, explain_scans
from vit_dementia.workflows.explain_examples import explain_as, refuse_hidden_maps
from vit_dementia.workflows.report.options import ReportOptions

from .conftest import CLASSES


@pytest.fixture
def scan(tmp_path):
    pixels = np.random.default_rng(0).integers(1, 255, (32, 24)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "who-0815.png")
    return tmp_path / "who-0815.png"


def test_an_example_has_the_map_that_explain_draws(untrained, scan) -> None:
    mapped = explain_as(untrained, "cpu")(scan, CLASSES[0])
    (found,) = explain_scans(untrained, [scan], Asked(label=CLASSES[0]), device="cpu")
    assert mapped.facts["class"] == CLASSES[0]
    assert mapped.facts["said"] == found.sentence()
    assert mapped.facts["faithful"] == (not found.reasons)
    colored = np.ptp(mapped.picture.astype(int), axis=2) > 30  # gray is no map
    strong = found.views[0].relevance > 0.5 * found.views[0].relevance.max()
    assert colored[strong].mean() > colored[~strong].mean() + 0.5
    assert not colored[found.views[0].relevance <= 0].any()


def test_a_scan_that_is_gone_has_no_map_and_is_not_named(untrained, scan) -> None:
    scan.unlink()
    mapped = explain_as(untrained, "cpu")(scan, CLASSES[0])
    assert mapped.picture is None
    assert mapped.facts["said"].startswith("no map")
    assert "0815" not in str(mapped.facts)


def test_maps_are_not_drawn_where_no_scan_may_be_shown() -> None:
    for hidden in (None, ReportOptions()):
        with pytest.raises(ConfigError, match="--show-scans"):
            refuse_hidden_maps(hidden)
    refuse_hidden_maps(ReportOptions(show_scans=True))
