from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from vit_dementia.errors import CheckpointError
from vit_dementia.training import checkpoint
from vit_dementia.training.checkpoint import Progress


def _trained(steps: int, *, width: int = 3) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Linear(width, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(steps):
        model(torch.randn(4, width)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


def _step(model: nn.Module, optimizer: torch.optim.Optimizer) -> torch.Tensor:
    model(torch.ones(1, model.in_features)).sum().backward()
    optimizer.step()
    return model.weight.detach().clone()


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD])
def test_what_was_saved_goes_on_as_if_nothing_had_happened(tmp_path, kind) -> None:
    model, _ = _trained(0)
    settings = {"momentum": 0.9} if kind is torch.optim.SGD else {}
    optimizer = kind(model.parameters(), lr=0.1, **settings)
    _step(model, optimizer)
    checkpoint.save(tmp_path, model, optimizer, Progress(7, 2, {"best": {"epoch": 1}}))
    other, _ = _trained(0)
    again = kind(other.parameters(), lr=0.1, **settings)
    progress = checkpoint.load_newest(tmp_path, other, again)
    assert progress == Progress(7, 2, {"best": {"epoch": 1}})
    for left, right in ((model, other),):
        left.zero_grad()
        right.zero_grad()
    assert torch.equal(_step(model, optimizer), _step(other, again))


def test_an_empty_folder_holds_no_checkpoint(tmp_path) -> None:
    assert checkpoint.load_newest(tmp_path, *_trained(0)) is None


def test_only_the_newest_two_are_kept(tmp_path) -> None:
    model, optimizer = _trained(1)
    for step in range(5):
        checkpoint.save(tmp_path, model, optimizer, Progress(step, 0, {}))
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        f"step-{step:09d}.{kind}" for step in (3, 4) for kind in ("json", "safetensors")
    ]


@pytest.mark.parametrize("damage", ["flip", "cut", "lose"])
def test_a_damaged_newest_one_is_told_and_the_one_before_it_used(
    tmp_path, caplog, damage
) -> None:
    model, optimizer = _trained(1)
    for step in (1, 2):
        checkpoint.save(tmp_path, model, optimizer, Progress(step, 0, {}))
    newest = tmp_path / "step-000000002.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    if damage == "lose":
        newest.unlink()
    else:
        newest.write_bytes(content if damage == "flip" else content[:-10])
    progress = checkpoint.load_newest(tmp_path, *_trained(1))
    assert progress is not None
    assert progress.step == 1
    assert "is damaged" in caplog.text


def test_one_of_another_model_or_format_is_refused(tmp_path) -> None:
    checkpoint.save(tmp_path, *_trained(1), Progress(1, 0, {}))
    with pytest.raises(CheckpointError, match="does not fit"):
        checkpoint.load_newest(tmp_path, *_trained(1, width=5))
    manifest = next(tmp_path.glob("*.json"))
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 99}))
    with pytest.raises(CheckpointError, match="format 99"):
        checkpoint.load_newest(tmp_path, *_trained(1))
