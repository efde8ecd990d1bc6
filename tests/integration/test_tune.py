"""A search for settings: end to end, stopped and gone on with, blind to the test."""

from __future__ import annotations

import json

import pytest

from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import holdout, roles
from vit_dementia.training.run_folder import RunFolder

from .conftest import TINY

SPACE = """
[train]
learning_rate = { low = 1e-4, high = 1e-1, log = true }
label_smoothing = [0.0, 0.1]
"""
SHORT = (*TINY, "--epochs=3", "--batch-size=8", "--data.val=0.3", "--cache=cache")


@pytest.fixture
def space(tmp_path):
    """Return a file with a small space."""
    (tmp_path / "space.toml").write_text(SPACE)
    return tmp_path / "space.toml"


def _table(folder) -> list[dict[str, str]]:
    lines = (folder / "trials.tsv").read_text().splitlines()
    names = lines[0].split("\t")
    return [dict(zip(names, line.split("\t"), strict=True)) for line in lines[1:]]


def _told(folder) -> list[dict[str, str]]:
    """Return the table without what hangs on the clock."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in _table(folder)]


@pytest.mark.slow
def test_the_best_trial_becomes_a_recipe_that_trains(
    cohort_folder, space, command, tmp_path
) -> None:
    told = command(
        "tune", cohort_folder, *SHORT, "--space", space, "--trials=3", "--out=tuned",
        "--json",
    )  # fmt: skip
    found = json.loads(told.stdout)
    assert [trial["trial"] for trial in found["trials"]] == [0, 1, 2]
    first = found["trials"][0]  # the settings as they are
    assert first["train.learning_rate"] == pytest.approx(3e-4)
    done = [t for t in found["trials"] if t["state"] == "complete"]
    best = max(done, key=lambda t: (t["balanced_accuracy"], -t["loss"]))
    assert found["best"] == best["trial"]
    assert len(_table(tmp_path / "tuned")) == 3
    text = (tmp_path / "tuned" / "best.toml").read_text()
    assert "# Command: vit-dementia train DATA --recipe best.toml" in text
    command(
        "train", cohort_folder, "--recipe=tuned/best.toml", "--split=tuned/split.json",
        "--cache=cache", "--out=final",
    )  # fmt: skip
    config = RunFolder.open(tmp_path / "final").config
    assert config.train.learning_rate == pytest.approx(best["train.learning_rate"])
    assert config.vit.embed_dim == 24
    command("evaluate", "final")
    assert not list((tmp_path / "tuned").rglob("*.safetensors"))  # trials keep none


@pytest.mark.slow
def test_nobody_in_the_test_part_is_looked_at(
    cohort_folder, space, command, tmp_path
) -> None:
    cohort = Cohort.from_path(cohort_folder)
    split = holdout(cohort, val=0.3, test=0.2, seed=0)
    tested = cohort.select(roles(cohort, split.folds[0]) == "test")
    flags = (*SHORT, "--space", space, "--trials=1")
    command("tune", cohort_folder, *flags, "--out=whole", "--data.test=0.2")
    for file in tested.files():
        file.write_bytes(f"nobody may open {file}".encode())
    command("tune", cohort_folder, *flags, "--out=blind", "--data.test=0.2")
    assert _told(tmp_path / "whole") == _told(tmp_path / "blind")
    trial = RunFolder.open(tmp_path / "blind" / "trials" / "0")
    seen = set(trial.cohort().table["participant_id"])
    assert len(tested)
    assert not seen & set(tested.table["participant_id"])


@pytest.mark.slow
def test_a_killed_search_goes_on_to_the_trials_it_would_have_made(
    cohort_folder, space, command, tmp_path, monkeypatch
) -> None:
    from vit_dementia.training import epochs

    flags = (*SHORT, "--space", space)
    command("tune", cohort_folder, *flags, "--trials=4", "--out=whole")
    run_epoch, count = epochs.Training._train_epoch, iter(range(1000))

    def killed(self, *args, **kwargs):
        if next(count) == 4:  # in the middle of the second trial
            raise KeyboardInterrupt
        return run_epoch(self, *args, **kwargs)

    monkeypatch.setattr(epochs.Training, "_train_epoch", killed)
    command("tune", cohort_folder, *flags, "--trials=4", "--out=again", check=130)
    monkeypatch.setattr(epochs.Training, "_train_epoch", run_epoch)
    command("tune", "--resume=again", "--trials=4", "--cache=cache")
    assert _told(tmp_path / "whole") == _told(tmp_path / "again")
    best = [(tmp_path / n / "best.toml").read_text() for n in ("whole", "again")]
    assert best[0] == best[1]
    command("tune", "--resume=again", "--trials=5", "--cache=cache")  # and further
    assert _told(tmp_path / "again")[:4] == _told(tmp_path / "whole")
    assert len(_table(tmp_path / "again")) == 5


def test_time_that_is_up_leaves_a_trial_to_go_on_with(
    cohort_folder, space, command, tmp_path
) -> None:
    flags = (*SHORT, "--space", space, "--trials=2", "--out=tuned")
    told = command("tune", cohort_folder, *flags, "--minutes=0.000001")
    assert "minutes are over: go on by --resume" in told.stderr
    assert [row["state"] for row in _table(tmp_path / "tuned")] == []
    command("tune", "--resume=tuned", "--trials=1", "--cache=cache")
    assert [row["state"] for row in _table(tmp_path / "tuned")] == ["complete"]


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (("--train.watch-test",), "a search never sees the test part"),
        (("--data.val=0",), "tune: the split has no validation part"),
        (("--epochs=0",), "train.epochs: found 0"),
    ],
)
def test_a_search_that_cannot_choose_honestly_is_refused(
    cohort_folder, command, flags, fault
) -> None:
    told = command(
        "tune", cohort_folder, *TINY, *flags, "--out=tuned", "--trials=1", check=2
    )
    assert fault in told.stderr
