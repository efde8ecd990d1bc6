"""Every setting changes what it says it changes, up to a written model."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from vit_dementia.config import RunConfig
from vit_dementia.inference.model_folder import read_model_folder
from vit_dementia.training.run_folder import RunFolder

from .conftest import TINY, paint_cohort

BASE = {
    "--epochs": "1",
    "--batch-size": "4",
    "--vit.dropout": "0.1",
    "--data.val": "0",
}
# Each of these gives other weights than the settings above it.
CHANGES = (
    "--vit.pooling=mean",
    "--vit.pooling=map",
    "--vit.initialization=timm",
    "--vit.positions=sincos",
    "--vit.stem=shifted",
    "--vit.locality",
    "--vit.registers=2",
    "--vit.layer-scale=0.1",
    "--vit.qk-norm",
    "--vit.dropout=0.3",
    "--vit.attention-dropout=0.3",
    "--vit.drop-path=0.3",
    "--vit.layer-norm-eps=1e-2",
    "--data.image-size=16 16",
    "--data.channels=3",
    "--data.slices-per-participant=1",
    "--data.val=0.4",
    "--data.test=0.5",
    "--no-augment",
    "--augment.rotation-degrees=20",
    "--augment.scale=0.3",
    "--augment.shift=0.2",
    "--augment.flip=0.5",
    "--augment.gamma=0.6",
    "--augment.bias-field=0.6",
    "--augment.noise=0.2",
    "--augment.erase=1.0",
    "--augment.elastic=0.1",
    "--augment.ghosting=1.0",
    "--epochs=2",
    "--batch-size=8",
    "--train.accumulate=2",
    "--train.optimizer=sgd",
    "--learning-rate=1e-2",
    "--train.weight-decay=5.0",
    "--train.layer-decay=0.5",
    "--train.warmup=0.5",
    "--train.schedule=linear",
    "--train.grad-clip=0.01",
    "--train.label-smoothing=0.3",
    "--train.balance=weights",
    "--train.balance=sampling",
    "--train.balance=effective",
    "--train.mixup=0.4",
    "--train.cutmix=1.0",
    "--train.ema=0.9",
    "--freeze=backbone",
    "--freeze=1-blocks",
    "--seed=1",
)


@pytest.fixture(scope="module")
def unequal(tmp_path_factory):
    """Return class folders with many people in one class and few in the other."""
    folder = paint_cohort(tmp_path_factory.mktemp("unequal") / "data", people=24)
    for file in (folder / "MildDemented").glob("*.png"):
        if int(file.name[4:7]) > 9:
            file.unlink()
    return folder


def _weights(run) -> torch.Tensor:
    state = read_model_folder(run).network.state_dict()
    return torch.cat([value.flatten() for _, value in sorted(state.items())])


@pytest.fixture(scope="module")
def baseline(unequal, tmp_path_factory):
    from vit_dementia.cli.app import run

    folder = tmp_path_factory.mktemp("baseline")
    out, cache = folder / "run", folder / "cache"
    base = [word for pair in BASE.items() for word in pair]
    tokens = ["train", str(unequal), *TINY, *base, "--cache", str(cache)]
    assert run([*tokens, "--out", str(out)]) == 0
    return _weights(out)


# Every sixth is tried by default, all of them by the slow tests.
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(change, marks=[] if at % 6 == 0 else pytest.mark.slow)
        for at, change in enumerate(CHANGES)
    ],
)
def test_a_setting_changes_the_model(
    unequal, baseline, command, tmp_path, change
) -> None:
    out = tmp_path / "run"
    flag, _, value = change.partition("=")
    settings = {**{k: [v] for k, v in BASE.items()}, flag: value.split()}
    words = [word for name, values in settings.items() for word in (name, *values)]
    command("train", unequal, *TINY, *words, "--cache=cache", "--out", out)
    found = _weights(out)
    assert found.isfinite().all()
    assert found.shape != baseline.shape or not torch.equal(found, baseline)


def test_every_setting_of_training_is_tried_above_or_by_name_elsewhere() -> None:
    elsewhere = {
        "model", "init", "device", "fold", "allow_leakage",  # test_main_job
        "train.lora_rank",  # test_main_job
        "train.loss", "train.effective_beta",  # test_objectives
        "goal", "mask.hidden", "mask.decoder_dim", "mask.decoder_depth",
        "mask.decoder_heads",  # test_pretrain
        "data.tokens", "train.views", "train.retries",  # in tests of their names
        "vit.patch_size", "vit.embed_dim", "vit.depth", "vit.num_heads", "vit.mlp_dim",
        "data.plane", "data.slab_mm", "data.slices", "data.spacing_mm",  # test_volumes
        "data.input", "data.volume_size", "vit.inflation",  # test_volume_models
        "data.fit", "train.early_stopping", "train.precision", "train.watch_test",
        "train.checkpoint_minutes",  # test_resume
        "train.deterministic",  # test_unbreakable
        "train.slice_pooling",  # test_slice_attention
    }  # fmt: skip
    tried = {
        change.lstrip("-").partition("=")[0].replace("-", "_") for change in CHANGES
    }
    tried = {name.split(".")[-1].removeprefix("no_") for name in tried}
    missing = []
    for field in dataclasses.fields(RunConfig):
        value = getattr(RunConfig(), field.name)
        inner = (
            [f.name for f in dataclasses.fields(value)]
            if dataclasses.is_dataclass(value)
            else [""]
        )
        for name in inner:
            full = f"{field.name}.{name}" if name else field.name
            if full not in elsewhere and (name or field.name) not in tried:
                missing.append(full)
    assert [name for name in missing if name != "augment.enabled"] == []


def test_early_stopping_ends_a_run_that_no_longer_improves(
    cohort_folder, command, tmp_path
) -> None:
    told = command(
        "train", cohort_folder, *TINY, "--epochs=30", "--learning-rate=1e-30",
        "--train.early-stopping=2", "--out", tmp_path / "run",
    )  # fmt: skip
    epochs = len((tmp_path / "run/history.jsonl").read_text().splitlines())
    assert 3 <= epochs < 30
    assert "stopped early" in told.stderr


def test_stretching_and_padding_prepare_other_inputs(
    unequal, command, tmp_path
) -> None:
    found = []
    for fit in ("pad", "stretch"):
        out = tmp_path / fit
        command(
            "train", unequal, *TINY, "--epochs=1", "--data.image-size", "16", "16",
            "--data.fit", fit, "--out", out,
        )  # fmt: skip
        found.append(_weights(out))
    assert not torch.equal(*found)


def test_the_curve_of_the_test_part_is_watched_only_on_request(
    cohort_folder, command, tmp_path
) -> None:
    for flag, watched in (
        ("--train.no-watch-test", False),
        ("--train.watch-test", True),
    ):
        out = tmp_path / flag.strip("-")
        command("train", cohort_folder, *TINY, "--epochs=1", flag, "--out", out)
        record = json.loads((out / "history.jsonl").read_text())
        assert (record["test_loss"] is not None) == watched
    first, second = (_weights(run) for run in sorted(tmp_path.glob("*watch-test")))
    assert torch.equal(first, second)  # nothing is chosen by it


@pytest.mark.slow
def test_bfloat16_trains_and_says_so(cohort_folder, command, tmp_path) -> None:
    out = tmp_path / "run"
    told = command(
        "train", cohort_folder, *TINY, "--epochs=1", "--train.precision=bf16",
        "--out", out,
    )  # fmt: skip
    assert "bfloat16" in told.stderr
    assert _weights(out).dtype == torch.float32
    assert read_model_folder(out).facts["precision"] == "bf16-mixed"
    command("evaluate", out)


def test_the_resolved_settings_are_written_and_read_back(
    cohort_folder, command, tmp_path
) -> None:
    out = tmp_path / "run"
    command("train", cohort_folder, *TINY, "--epochs=0", "--out", out)
    config = RunFolder.open(out).config
    assert config.model == "ViT-Ti/16"
    assert config.vit.embed_dim == 24
    assert config.train.learning_rate == RunConfig().train.learning_rate
