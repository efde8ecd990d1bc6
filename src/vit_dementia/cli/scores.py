"""The scores of one evaluation, told to a person or printed for a program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vit_dementia.cli.terminal import say
from vit_dementia.files import read_json

_TOLD = ("auroc", "balanced_accuracy", "accuracy", "macro_f1", "quadratic_kappa")


def tell_scores(folder: Path, *, as_json: bool) -> None:
    """Tell the main scores with their intervals and floors, and where the report is."""
    metrics = read_json(folder / "metrics.json")
    unit = "participant" if metrics["by_participant"] else "image"
    section = metrics[f"by_{unit}"]
    say(
        f"{metrics['endpoint']['words']}, by {unit}: "
        f"{section['n_participants']} participants, {section['n_images']} images"
        if unit == "participant"
        else f"{metrics['endpoint']['words']}, by image: {section['n_images']} images"
    )
    for name in _TOLD:
        if name in section["scores"]:
            say(f"  {name:20} {_entry(section['scores'][name])}")
    for name, scores in metrics["floors"].items():
        say(f"  floor: {name}: auroc {_entry(scores['auroc'])}")
    for name, verdict in metrics["above_floor"].items():
        say(f"  {name} is {verdict['verdict']}")
    if early := metrics["early"]:
        say(
            f"  early, {early['endpoint']['words']}: auroc "
            f"{_entry(early['scores']['auroc'])}"
            + "".join(
                f", {verdict['verdict']}"
                for name, verdict in early["above_floor"].items()
                if name == "auroc"
            )
        )
    for note in metrics["notes"]:
        say(f"note: {note}")
    say(f"report: {folder / 'report.html'}")
    say(metrics["disclaimer"])
    if as_json:
        print((folder / "metrics.json").read_text(encoding="utf-8"), end="")


def _entry(entry: dict[str, Any]) -> str:
    if entry["value"] is None:
        return f"undefined: {entry['undefined']}"
    if entry["low"] is None:
        return f"{entry['value']:.3f} ({entry['method']})"
    return f"{entry['value']:.3f} [{entry['low']:.3f}, {entry['high']:.3f}]"
