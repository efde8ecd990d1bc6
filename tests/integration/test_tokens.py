"""Patches without a head are left out by default, and read when asked."""

from __future__ import annotations

import json

import pytest
from PIL import Image, ImageOps

from .conftest import TINY


@pytest.fixture
def framed(cohort_folder):
    """Return the small cohort with a black frame one patch wide."""
    for file in cohort_folder.rglob("*.png"):
        with Image.open(file) as image:
            image.load()
        ImageOps.expand(image, border=8).save(file)
    return cohort_folder


def _visible(folder) -> list[int] | None:
    return json.loads((folder / "config.json").read_text())["architecture"]["visible"]


def test_only_the_patches_of_the_head_are_read(framed, command, tmp_path) -> None:
    told = command(
        "train", framed, *TINY, "--epochs=1", "--tokens=foreground", "--out=run"
    )
    assert "reading 12 of 30 patches of a slice" in told.stderr
    inner = [5 * row + column for row in range(1, 5) for column in range(1, 4)]
    assert _visible(tmp_path / "run/model") == inner

    refused = command("convert", "run", "out", "--format=timm", check=2)
    assert "reads 12 of 30 patches" in refused.stderr
    assert not (tmp_path / "out").exists()
    blind = command("convert", "run", "out", "--format=timm", "--all-tokens")
    assert (tmp_path / "out/model.safetensors").is_file()
    assert "give labelled scans by --data" in blind.stderr
    command("convert", "run", "same", "--format=native")
    assert _visible(tmp_path / "same") == inner


def test_all_patches_are_read_on_request(framed, command, tmp_path) -> None:
    told = command("train", framed, *TINY, "--epochs=1", "--tokens=all", "--out=run")
    assert "reading all 30 patches" in told.stderr
    assert _visible(tmp_path / "run/model") is None
    command("convert", "run", "out", "--format=timm")


@pytest.mark.slow
def test_the_change_of_scores_is_told_of_the_test_part(
    framed, command, tmp_path
) -> None:
    parts = ("--data.val=0.2", "--data.test=0.5")
    command(
        *("train", framed, *TINY, *parts, "--epochs=1", "--tokens=foreground"),
        "--out=run",
    )
    command("evaluate", "run")
    metrics = json.loads(
        (tmp_path / "run/evaluation/test/metrics.json").read_text("utf-8")
    )
    told = command(
        *("convert", "run", "out", "--format=timm", "--all-tokens", "--json"),
        *("--data", framed),
    )
    change = json.loads(told.stdout)["change_of_scores"]
    section = metrics["by_participant"]
    assert change["whose"] == "the run's test part"
    assert change["count"] == section["n_participants"]
    for name in ("auroc", "balanced_accuracy"):
        assert change[name][0] == pytest.approx(section["scores"][name]["value"])
    assert "with its own patches" in told.stderr
    needs_both = ("convert", "run", "same", "--format=native", "--data", framed)
    assert "--all-tokens" in command(*needs_both, check=2).stderr
    for folder in list(framed.iterdir()):
        folder.rename(framed / f"Other{folder.name}")
    foreign = ("convert", "run", "b", "--format=timm", "--all-tokens", "--data", framed)
    assert "--label-map" in command(*foreign, check=2).stderr


def test_a_scan_that_shows_something_elsewhere_is_answered_but_not_sure(
    framed, command, tmp_path
) -> None:
    command("train", framed, *TINY, "--epochs=1", "--tokens=foreground", "--out=run")
    usual = sorted(framed.rglob("*.png"))[0]
    odd = tmp_path / "odd.png"
    with Image.open(usual) as image:
        image.paste(200, (0, 0, 5, 5))  # where nobody has anything
        image.save(odd)
    told = command("predict", "run", usual, odd, "--json")
    first, second = json.loads(told.stdout)["results"]
    assert first["quality"]["reasons"] == []
    assert "show nothing: read with all patches" in second["quality"]["reasons"][0]
    assert second["abstained"]
    assert second["early"] == "not sure"
    assert sum(second["probabilities"].values()) == pytest.approx(1.0)
