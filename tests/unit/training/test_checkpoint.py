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


def _load_newest(folder, model, optimizer) -> Progress | None:
    saved = checkpoint.newest(folder)
    return None if saved is None else checkpoint.load(saved, model, optimizer)


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
    progress = _load_newest(tmp_path, other, again)
    assert progress == Progress(7, 2, {"best": {"epoch": 1}})
    for left, right in ((model, other),):
        left.zero_grad()
        right.zero_grad()
    assert torch.equal(_step(model, optimizer), _step(other, again))


def test_an_empty_folder_holds_no_checkpoint(tmp_path) -> None:
    assert _load_newest(tmp_path, *_trained(0)) is None


def test_only_the_newest_two_are_kept(tmp_path) -> None:
    model, optimizer = _trained(1)
    for step in range(5):
        checkpoint.save(tmp_path, model, optimizer, Progress(step, 0, {}))
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        f"step-{step:09d}.{kind}" for step in (3, 4) for kind in ("json", "safetensors")
    ]


@pytest.mark.parametrize("damage", ["flip", "cut", "lose", "manifest"])
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
    elif damage == "manifest":
        newest.with_suffix(".json").write_text('{"format": 1, "st')
    else:
        newest.write_bytes(content if damage == "flip" else content[:-10])
    progress = _load_newest(tmp_path, *_trained(1))
    assert progress is not None
    assert progress.step == 1
    assert "is damaged" in caplog.text


def test_one_of_another_model_or_format_is_refused(tmp_path) -> None:
    checkpoint.save(tmp_path, *_trained(1), Progress(1, 0, {}))
    with pytest.raises(CheckpointError, match="does not fit"):
        _load_newest(tmp_path, *_trained(1, width=5))
    manifest = next(tmp_path.glob("*.json"))
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 99}))
    with pytest.raises(CheckpointError, match="format 99"):
        _load_newest(tmp_path, *_trained(1))


def test_damage_to_all_of_them_is_never_taken_for_a_beginning(tmp_path) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, *_trained(1), Progress(step, 0, {}))
    for file in tmp_path.glob("*.safetensors"):
        file.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="2 checkpoints, all damaged"):
        checkpoint.newest(tmp_path)


def test_what_a_killed_process_left_half_written_goes_with_the_next_one(
    tmp_path,
) -> None:
    (tmp_path / ".step-000000001.safetensors.0a1b2c3d.part").write_bytes(b"half")
    (tmp_path / "step-000000001.safetensors").write_bytes(b"without a manifest")
    checkpoint.save(tmp_path, *_trained(1), Progress(2, 0, {}))
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "step-000000002.json", "step-000000002.safetensors"
    ]  # fmt: skip
