from __future__ import annotations

import math
import pickle

import pytest
from PIL import Image

from vit_dementia.training.history import (
    EpochRecord,
    historical_curves,
    plot_loss_curves,
    read_history,
    write_history,
)


def _record(epoch: int, **held_out: float | None) -> EpochRecord:
    values = {"val_loss": 0.5, "val_accuracy": 0.75, "val_balanced_accuracy": 0.7}
    return EpochRecord(
        epoch=epoch,
        learning_rate=1e-3,
        train_loss=1 / epoch,
        train_accuracy=0.5,
        images_per_second=10.0,
        seconds=3.0,
        **values | held_out,
    )


def test_history_reads_back_and_its_picture_and_pickle_are_there(tmp_path) -> None:
    records = [_record(1), _record(2)]
    write_history(tmp_path, records)
    assert read_history(tmp_path / "history.jsonl") == records
    curves = pickle.loads((tmp_path / "history.pkl").read_bytes())
    assert curves["train_loss"] == [1.0, 0.5]
    with Image.open(tmp_path / "loss_curves.png") as picture:
        assert picture.width > picture.height


def test_a_run_before_its_first_epoch_has_no_history(tmp_path) -> None:
    assert read_history(tmp_path / "history.jsonl") == []


def test_the_held_out_curve_is_validation_unless_the_test_part_was_watched() -> None:
    assert historical_curves([_record(1)])["test_loss"] == [0.5]
    watched = _record(1, test_loss=0.9, test_accuracy=0.25)
    assert historical_curves([watched])["test_loss"] == [0.9]
    assert historical_curves([watched])["test_acc"] == [0.25]
    nobody = _record(1, val_loss=None, val_accuracy=None, val_balanced_accuracy=None)
    assert math.isnan(historical_curves([nobody])["test_loss"][0])


def test_an_epoch_is_said_in_one_line() -> None:
    said = _record(2).sentence(5)
    assert said.startswith("epoch 2/5 | train loss 0.5000")
    assert "\n" not in said


def test_the_curves_of_a_notebook_are_those_of_the_dictionary() -> None:
    results = historical_curves([_record(1), _record(2)])
    figure = plot_loss_curves(results)
    lines = [line for axes in figure.axes for line in axes.lines]
    assert [list(line.get_ydata()) for line in lines] == [
        results[key] for key in ("train_loss", "test_loss", "train_acc", "test_acc")
    ]
    assert all(list(line.get_xdata()) == [1, 2] for line in lines)


@pytest.fixture(autouse=True)
def _close_figures():
    import matplotlib as mpl

    mpl.use("agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
