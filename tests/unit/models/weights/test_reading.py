"""Files that must not be loaded: each gives one line, and runs nothing."""

from __future__ import annotations

import argparse
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vit_dementia.errors import CheckpointError
from vit_dementia.models.weights import load_model, read_weights


def known(small) -> dict[str, torch.Tensor]:
    """Return a state that needs no help: square images and a published width."""
    return small(image_size=(32, 32), embed_dim=192, mlp_dim=64).state_dict()


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_model(path)
    (line,) = caught.value.faults
    assert "\n" not in line
    assert str(path) in line
    return line


def test_wrappers_and_prefixes_are_seen_through(small, tmp_path) -> None:
    state = known(small)
    path = tmp_path / "training.pth"
    old = {f"_orig_mod.module.{k}": torch.zeros_like(v) for k, v in state.items()}
    average = {f"module._orig_mod.{k}": v for k, v in state.items()}
    settings = argparse.Namespace(lr=1e-3)
    torch.save({"epoch": 7, "model": old, "model_ema": average, "args": settings}, path)
    read = read_weights(path).state
    assert all(torch.equal(read[name], state[name]) for name in state)


def test_missing_extra_and_misshapen_weights_are_all_named(small, tmp_path) -> None:
    state = known(small)
    state["blocks.1.attn.sprout"] = state.pop("norm.bias")
    state["blocks.2.mlp.fc1.weight"] = state["blocks.2.mlp.fc1.weight"].T.contiguous()
    save_file(state, tmp_path / "a.safetensors")
    line = refusal(tmp_path / "a.safetensors")
    assert "missing norm.bias" in line
    assert "unexpected blocks.1.attn.sprout" in line
    assert "blocks.2.mlp.fc1.weight is [192, 64], needs [64, 192]" in line


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.pop("blocks.0.mlp.fc1.weight"), "blocks.0.mlp.fc1.weight is miss"),
        (lambda s: s.pop("pos_embed"), "pos_embed is missing"),
        (lambda s: [s.pop(k) for k in list(s) if ".1." in k], "but not 1"),
        (lambda s: s.update({"cls_token": torch.zeros(1, 1, 96)}), "cls_token is"),
    ],
)
def test_incomplete_networks_are_refused(small, tmp_path, spoil, message) -> None:
    state = known(small)
    spoil(state)
    save_file(state, tmp_path / "a.safetensors")
    assert message in refusal(tmp_path / "a.safetensors")


def test_another_kind_of_model_is_refused_by_name(tmp_path) -> None:
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "resnet.pth")
    assert "conv1.weight" in refusal(tmp_path / "resnet.pth")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("blocks.0.attn.rope.periods", "RoPE"),
        ("rope_embed.periods", "RoPE"),
        ("visual.conv1.weight", "images and texts"),
        ("vision_model.encoder.layers.0.layer_norm1.weight", "images and texts"),
        ("norm_pre.weight", "norm in front of the first block"),
        ("blocks.0.attn.relative_position_bias_table", "relative to one another"),
        ("blocks.0.attn.q_bias", "biases of query and value alone"),
        ("blocks.0.attn.norm.weight", "further norms"),
        ("blocks.0.attn.lambda_q1", "difference of two maps"),
        ("blocks.0.mlp.fc1_g.weight", "gated MLP apart"),
        ("blocks.0.attns.0.qkv.weight", "several attentions"),
        ("blocks.0.in_proj.weight", "side by side"),
    ],
)
def test_a_network_with_another_feature_is_refused_by_it(
    small, tmp_path, name, message
) -> None:
    save_file(known(small) | {name: torch.zeros(1)}, tmp_path / "a.safetensors")
    line = refusal(tmp_path / "a.safetensors")
    assert message in line
    assert name in line


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "dinov3_vit"}, "RoPE"),
        ({"model_type": "clip_vision_model"}, "in front of the first block"),
        ({"architecture": "vit_base_patch16_rpn_224"}, "behind its branches"),
    ],
)
def test_a_config_that_tells_another_feature_is_refused_by_it(
    small, tmp_path, config, message
) -> None:
    save_file(known(small), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message):
        load_model(tmp_path)


def in_shards(state, folder: Path, suffix: str = "safetensors") -> Path:
    """Write weights as transformers writes those that one file is too small for."""
    names, file_of = sorted(state), {}
    for number in (1, 2):
        file = f"model-{number:05}-of-00002.{suffix}"
        part = {name: state[name] for name in names[number - 1 :: 2]}
        file_of |= dict.fromkeys(part, file)
        if suffix == "bin":
            torch.save(part, folder / file)
        else:
            save_file(part, folder / file)
    stem = "pytorch_model" if suffix == "bin" else "model"
    index = folder / f"{stem}.{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": file_of}))
    return index


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_weights_in_several_files_are_put_together(small, tmp_path, suffix) -> None:
    state = known(small)
    index = in_shards(state, tmp_path, suffix)
    for source in (tmp_path, index):
        read = read_weights(source).state
        assert read.keys() == state.keys()
        assert all(torch.equal(read[name], state[name]) for name in state)


def test_weights_in_several_files_must_all_be_there(small, tmp_path) -> None:
    index = in_shards(known(small), tmp_path)
    second = tmp_path / "model-00002-of-00002.safetensors"
    part = load_file(second)
    lost = sorted(part)[0]
    save_file({name: part[name] for name in sorted(part)[1:]}, second)
    assert f"does not hold {lost}" in refusal(index)
    second.unlink()
    assert "names model-00002-of-00002.safetensors, not there" in refusal(index)
    content = json.loads(index.read_text())
    content["weight_map"]["norm.bias"] = "../model.safetensors"
    index.write_text(json.dumps(content))
    assert "names of files beside it" in refusal(index)


def test_a_checkpoint_without_tensors_is_refused(tmp_path) -> None:
    torch.save({"epoch": 3}, tmp_path / "a.pth")
    assert "holds no named tensors" in refusal(tmp_path / "a.pth")


@pytest.mark.parametrize("kind", ["pth", "safetensors", "npz"])
def test_a_truncated_file_is_refused(small, tmp_path, kind) -> None:
    path = tmp_path / f"a.{kind}"
    state = known(small)
    if kind == "pth":
        torch.save(state, path)
    elif kind == "safetensors":
        save_file(state, path)
    else:
        np.savez(path, **{k: v.numpy() for k, v in state.items()})
    whole = path.read_bytes()
    for length in (0, 3, 200, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        refusal(path)


class Malicious:
    """Pickles to a call that would leave a file behind."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("kind", ["zip", "plain pickle", "npz", "npz that is a pickle"])
def test_a_file_that_would_run_code_is_refused_and_runs_nothing(tmp_path, kind) -> None:
    mark = tmp_path / "executed"
    path = tmp_path / "weights.bin"
    if kind == "zip":
        torch.save({"model": Malicious(mark)}, path)
    elif kind == "npz":
        with path.open("wb") as file:
            np.savez(file, w=np.array([Malicious(mark)], dtype=object))
    else:
        path.write_bytes(pickle.dumps({"w": Malicious(mark)}))
    assert "would run code" in refusal(path)
    assert not mark.exists()


def test_a_missing_file_and_an_empty_folder_are_refused(tmp_path) -> None:
    assert "no such file" in refusal(tmp_path / "none.pth")
    assert "holds no weights" in refusal(tmp_path)


def test_what_no_weight_tells_is_asked_for(small, tmp_path) -> None:
    wide = small(embed_dim=192).state_dict()
    save_file(wide, tmp_path / "wide.safetensors")
    assert "no square grid" in refusal(tmp_path / "wide.safetensors")
    save_file(small().state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"needs vit\.num_heads"):
        load_model(tmp_path / "a.safetensors", source_image_size=(32, 48))
    with pytest.raises(CheckpointError, match=r"cannot be shared by 5"):
        read_weights(
            tmp_path / "a.safetensors", num_heads=5, source_image_size=(32, 48)
        )
    weights = read_weights(
        tmp_path / "a.safetensors", num_heads=3, source_image_size=(32, 48)
    )
    assert weights.architecture == small().architecture
