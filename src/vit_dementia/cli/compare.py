"""``vit-dementia compare``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from vit_dementia.cli.leak import tell_leak
from vit_dementia.cli.options import names_in, new_folder
from vit_dementia.cli.terminal import say


def compare(
    *runs: Path,
    role: Literal["train", "val", "test"] = "test",
    positive: str | None = None,
    seed: int = 0,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Compare runs on the participants that all of them scored.

    Example: vit-dementia compare runs/scratch runs/fine-tuned

    Args:
        runs: evaluated runs, cross-validations on the same folds, or predictions.tsv.
        role: whose predictions of a run.
        positive: classes to tell from the others: A,B [default: all but the first].
        seed: of the resampling.
        out: folder for comparison.json and .tsv [default: runs/TIME-compare].
        json: print comparison.json on stdout.
    """
    from vit_dementia.files import read_json
    from vit_dementia.workflows.compare import compare_runs

    written = compare_runs(
        runs,
        out=new_folder(out, "compare"),
        role=role,
        positive=names_in(positive),
        seed=seed,
    )
    document = read_json(written)
    _tell(document)
    for run in runs:
        tell_leak(run)
    say(f"written: {written}")
    say(document["disclaimer"])
    if json:
        print(written.read_text(encoding="utf-8"), end="")


def _tell(document: Mapping[str, Any]) -> None:
    """Tell each run's scores, then each pair's differences."""
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=True)
    say(
        f"{document['endpoint']['words']}, {document['n_participants']} participants "
        "scored by every run"
    )
    shown = ("auroc", "balanced_accuracy", "accuracy")
    scores = Table("run", *shown, title="scores")
    for name, entries in document["runs"].items():
        scores.add_row(_plain(name), *(_entry(entries[key]) for key in shown))
    console.print(scores)
    pairs = Table("first - second", "score", "difference", "p", "p corrected", "test")
    for pair in document["pairs"]:
        for key, test in (
            ("auroc", "DeLong"),
            ("accuracy", "McNemar"),
            ("balanced_accuracy", ""),
        ):
            found = pair[key]
            pairs.add_row(
                _plain(f"{pair['first']} - {pair['second']}"),
                key,
                _entry(found["difference"]),
                _p(found.get("p_value")),
                _p(found.get("p_corrected")),
                test if found.get("p_value") is not None else "",
            )
    console.print(pairs)
    for note in document["notes"]:
        say(f"note: {note}")


def _plain(name: str) -> str:
    from rich.markup import escape

    from vit_dementia.cli.terminal import escaped

    return escape(escaped(name))  # a folder's name is data, not markup


def _entry(entry: Mapping[str, Any]) -> str:
    if entry["value"] is None:
        return f"undefined: {entry['undefined']}"
    if entry["low"] is None:
        return f"{entry['value']:.3f}"
    # Not in square brackets, which the table would take for markup.
    return f"{entry['value']:.3f} ({entry['low']:.3f} to {entry['high']:.3f})"


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
