from __future__ import annotations

import pytest
import torch

from vit_dementia.benchmark.entries import ENTRIES, OURS, build, entries_here
from vit_dementia.benchmark.work import Case
from vit_dementia.errors import ConfigError

SMALL = Case("Ti/16", 2, "fp32", "forward", image_size=32).architecture


@pytest.mark.parametrize("entry", entries_here(), ids=lambda entry: entry.name)
def test_every_library_here_gives_logits_for_images(entry) -> None:
    model = build(entry, SMALL).eval()
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 4)
    assert entry.version


def test_ours_is_always_measured_and_first() -> None:
    assert entries_here()[0] is OURS
    assert [e.name for e in entries_here(["TransformerEncoder", "ours"])] == [
        "ours",
        "TransformerEncoder",
    ]
    assert sum(entry.is_ours for entry in ENTRIES) == 1


def test_unknown_and_missing_peers_are_told_together(monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ConfigError) as caught:
        entries_here(["tim", "timm"])
    assert caught.value.faults == (
        "--peers: found 'tim'; needs some of ours, timm, torchvision, transformers, "
        "vit-pytorch, TransformerEncoder",
        "--peers: timm is not installed here; run: make peers",
    )
