from __future__ import annotations

import pytest
import torch

from vit_dementia.errors import ConfigError
from vit_dementia.inference import compute
from vit_dementia.inference.compute import computes_in_bf16, described, make_fabric
from vit_dementia.launch import Launch


def test_a_device_that_is_not_here_is_refused_with_those_that_are(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"cuda was asked for and is not here.*cpu"):
        make_fabric("cuda", "auto")


@pytest.mark.parametrize("has_it", [False, True])
def test_bfloat16_is_chosen_where_the_processor_has_it(monkeypatch, has_it) -> None:
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has_it, "avx2": True}
    )
    assert computes_in_bf16("cpu") == has_it
    said = described(make_fabric("cpu", "auto"))
    assert said == ("cpu, bfloat16" if has_it else "cpu, float32")


def test_the_precision_asked_for_wins(monkeypatch) -> None:
    monkeypatch.setattr(compute, "computes_in_bf16", lambda _: True)
    assert described(make_fabric("cpu", "fp32")) == "cpu, float32"


def test_weights_are_not_spread_over_processes() -> None:
    with pytest.raises(ConfigError, match=r"fsdp was asked for on cpu.*needs ddp"):
        make_fabric("cpu", "fp32", strategy="fsdp")


@pytest.mark.parametrize(
    ("device", "told"),
    [("mps", "mps serves one process"), ("cuda", "2 processes and 1 GPUs")],
)
def test_processes_that_cannot_share_the_device_are_refused(
    monkeypatch, device, told
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(compute, "this_launch", lambda: Launch(1, 1, 2, 2))
    with pytest.raises(ConfigError, match=told):
        make_fabric(device, "fp32", strategy="auto")
