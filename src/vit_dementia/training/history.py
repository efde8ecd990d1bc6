"""The curves of a run: a JSON line an epoch, a pickle for notebooks, a picture."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vit_dementia.errors import DataError
from vit_dementia.files import (
    parse_json,
    read_regular,
    replacing,
    write_bytes,
    write_text,
)


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One line of ``history.jsonl``; accuracies and scores lie in [0, 1].

    ``val_*`` and ``test_*`` are None where that part is empty or is not looked at,
    accuracies where nothing is classified.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    val_balanced_accuracy: float | None
    test_loss: float | None = None
    test_accuracy: float | None = None
    images_per_second: float
    seconds: float

    def sentence(self, num_epochs: int) -> str:
        """Say the epoch in one line."""
        words = [
            f"epoch {self.epoch}/{num_epochs}",
            _score("train", self.train_loss, "accuracy", self.train_accuracy),
        ]
        if self.val_loss is not None:
            of = ("balanced accuracy", self.val_balanced_accuracy)
            words.append(_score("validation", self.val_loss, *of))
        if self.test_loss is not None:
            of = ("accuracy", self.test_accuracy)
            words.append(_score("test", self.test_loss, *of))
        words.append(f"{self.images_per_second:.1f} images/s")
        return " | ".join(words)


def _score(part: str, loss: float, name: str, value: float | None) -> str:
    said = f"{part} loss {loss:.4f}"
    return said if value is None else f"{said}, {name} {value:.3f}"


def write_history(folder: Path, records: Sequence[EpochRecord]) -> None:
    """Write ``history.jsonl``, ``history.pkl`` and ``loss_curves.png`` of a run."""
    lines = [json.dumps(asdict(record), allow_nan=False) for record in records]
    write_text(folder / "history.jsonl", "".join(f"{line}\n" for line in lines))
    curves = historical_curves(records)
    # The only pickle we write: old notebooks read this dictionary with pandas.
    write_bytes(folder / "history.pkl", pickle.dumps(curves, protocol=4))
    draw_curves(curves, folder / "loss_curves.png")


def read_history(path: Path) -> list[EpochRecord]:
    """Read ``history.jsonl``; a run before its first epoch has none.

    Raises:
        DataError: naming the line that is damaged.
    """
    if not path.exists():
        return []
    records = list[EpochRecord]()
    try:
        lines = read_regular(path).decode("utf-8").splitlines()
        for line in lines:
            records.append(_record_in(parse_json(line)))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        cause = " ".join(str(error).split())
        where = f"{path}: line {len(records) + 1}"
        raise DataError(f"{where} is damaged ({cause})") from error
    return records


def _record_in(told: Any) -> EpochRecord:
    record = EpochRecord(**told)
    for field in fields(record):
        value = getattr(record, field.name)
        wanted = int if field.name == "epoch" else int | float
        may_lack = "None" in str(field.type)
        if isinstance(value, bool) or not (
            isinstance(value, wanted) or (value is None and may_lack)
        ):
            raise ValueError(f"{field.name} is {str(value)[:40]!r}")
    return record


def historical_curves(records: Sequence[EpochRecord]) -> dict[str, list[float]]:
    """Return the dictionary of four lists that the historical notebook recipe reads.

    ``test_*`` hold the curve of the test part where it was watched (the historical
    scripts), else that of the validation part. What is not known is NaN.
    """

    def held_out(record: EpochRecord, what: str) -> float:
        watched = getattr(record, f"test_{what}")
        value = watched if watched is not None else getattr(record, f"val_{what}")
        return _known(value)

    return {
        "train_loss": [record.train_loss for record in records],
        "train_acc": [_known(record.train_accuracy) for record in records],
        "test_loss": [held_out(record, "loss") for record in records],
        "test_acc": [held_out(record, "accuracy") for record in records],
    }


def _known(value: float | None) -> float:
    return float("nan") if value is None else value


def draw_curves(curves: Mapping[str, Sequence[float]], path: Path) -> None:
    """Draw loss and accuracy over the epochs, training and held out, as a PNG."""
    from matplotlib.figure import Figure  # slow to import

    # Drawn after every epoch: margins that are known cost half of margins looked for.
    figure = Figure(figsize=(9, 3.5))
    figure.subplots_adjust(left=0.07, right=0.98, bottom=0.15, top=0.9, wspace=0.18)
    plot_curves(curves, figure.subplots(1, 2))
    with replacing(path) as aside:
        figure.savefig(aside, dpi=110, format="png")


def plot_curves(curves: Mapping[str, Sequence[float]], axes: Iterable[Any]) -> None:
    """Draw the two panels on two axes of the caller's."""
    epochs = range(1, len(curves["train_loss"]) + 1)
    for axis, what, title in zip(
        axes, ("loss", "acc"), ("Loss", "Accuracy"), strict=True
    ):
        for part, name, style in (
            ("train", "training", "-"),
            ("test", "held out", "--"),
        ):
            axis.plot(epochs, curves[f"{part}_{what}"], style, label=name)
        axis.set(title=title, xlabel="Epoch")
        axis.legend()


def plot_loss_curves(results: Mapping[str, Sequence[float]]) -> Any:
    """Draw the curves of ``history.pkl``, or of the old scripts, in a notebook.

    Args:
        results: ``train_loss``, ``train_acc``, ``test_loss`` and ``test_acc``, one
            number an epoch.

    Returns:
        The matplotlib figure.
    """
    import matplotlib.pyplot as plt  # the notebook shows what pyplot drew

    figure, axes = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    plot_curves(results, axes)
    return figure
