from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from vit_dementia.cli import app as command_line

SMALL = ["bench", "--models", "Ti/16", "--batch", "1", "--image-size", "32"]
QUICK = ["--peers", "TransformerEncoder", "--seconds", "0", "--no-memory"]
PEERS = Path(__file__).parents[3] / ".venv-peers" / "bin" / "vit-dementia"


def test_bench_measures_what_was_chosen_and_writes_the_table(tmp_path, capsys) -> None:
    chosen = ["--what", "training", "--precision", "fp32", "--out", str(tmp_path)]
    assert command_line.run([*SMALL, *QUICK, *chosen, "--json"]) == 0
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert [row["entry"] for row in document["rows"]] == ["ours", "TransformerEncoder"]
    assert {row["what"] for row in document["rows"]} == {"training"}
    assert "of the fastest peer" in told.err
    assert (tmp_path / "bench.tsv").exists()
    assert (tmp_path / "bench.md").exists()


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--batch", "0"], "--batch: found '0'; needs whole numbers from 1 on"),
        (["--what", "all"], "--what: found 'all'; needs some of forward,training"),
        (["--precision", "fp8"], "--precision: found 'fp8'; needs some of fp32,bf16"),
        (["--models", "Q/16"], "model: unknown variant 'ViT-Q/16'"),
        (["--peers", "tim"], "--peers: found 'tim'"),
        (["--plan"], "bench: DATA and --plan go together"),
        (["--plan", "--loading", "."], "bench: found --plan and --loading"),
    ],
)
def test_a_wrong_choice_is_told_in_one_line(words, fault, capsys) -> None:
    assert command_line.run([*SMALL[:1], *words]) == 2
    assert fault in capsys.readouterr().err


def test_the_share_of_data_is_told(monkeypatch, capsys) -> None:
    from vit_dementia.benchmark import steps

    monkeypatch.setattr(steps, "_NUM_SLICES", 8)
    small = ["--image-size", "32", "--batch-size", "2", "--vit.depth", "1"]
    assert command_line.run(["bench", "--data", *small, "--seconds", "0"]) == 0
    assert "augmentation" in capsys.readouterr().err


def test_a_plan_gives_hours_here_and_elsewhere(tmp_path, capsys) -> None:
    for label in ("CN", "AD"):
        for person in range(10):
            file = tmp_path / "data" / label / f"sub-{label}{person:02}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            size = (16 + 16 * (label == "AD"), 32 + person)
            Image.linear_gradient("L").resize(size).save(file)
    small = ["--model", "ViT-Ti/16", "--vit.depth", "1", "--epochs", "2"]
    words = ["bench", "--plan", str(tmp_path / "data"), *small, "--seconds", "0"]
    assert command_line.run([*words, "--tflops", "400", "--json"]) == 0
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert document["epochs"] == 2
    assert 0 < document["hours_elsewhere"] < document["hours"]
    assert "hours here" in told.err


@pytest.mark.slow
@pytest.mark.skipif(not PEERS.exists(), reason="needs make peers")
def test_every_peer_does_the_same_work() -> None:
    chosen = ["--what", "training", "--precision", "fp32", "--seconds", "0", "--json"]
    done = subprocess.run(
        [PEERS, *SMALL, *chosen], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert len(rows) == 6
    assert "not the same work" not in done.stderr
    assert all(row["peak_mib"] > 0 for row in rows)
