"""Each fold keeps the recipe that its own validation participants prefer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vit_dementia.config import RunConfig, TrainConfig
from vit_dementia.data.splits import Fold, Split
from vit_dementia.errors import ConfigError, DataError
from vit_dementia.files import read_json, write_json
from vit_dementia.training.history import EpochRecord, write_history
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.choice import (
    as_texts,
    choices_of,
    choose,
    refuse_unfit,
    sentence,
    told_of,
)

CHOICES = {
    "b": RunConfig(train=TrainConfig(epochs=2)),
    "a": RunConfig(train=TrainConfig(epochs=3)),
}
EPOCH = EpochRecord(
    epoch=1,
    learning_rate=1e-3,
    train_loss=1.0,
    train_accuracy=0.5,
    val_loss=1.0,
    val_accuracy=0.5,
    val_balanced_accuracy=0.5,
    images_per_second=1.0,
    seconds=1.0,
)


@pytest.fixture
def whole(tmp_path):
    """Return the folder of a cross-validation that has only begun."""
    for name, text in as_texts(CHOICES).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def trainer(scores, trained=None):
    """Return a training whose validation says what is in ``scores``, by recipe."""

    def train(config, out):
        name = out.name
        if trained is not None:
            trained.append((name, config))
        score, loss = scores[name]
        other = replace(EPOCH, val_balanced_accuracy=0.99)
        kept = replace(EPOCH, epoch=2, val_balanced_accuracy=score, val_loss=loss)
        write_history(out, [other, kept])
        write_json(out / "model" / "config.json", {"training": {"epoch": 2}})
        (out / "model" / "model.safetensors").touch()
        return RunFolder(out)

    return train


def test_the_best_on_validation_becomes_the_run_of_the_fold(whole) -> None:
    trained: list = []
    run = choose(
        whole, 3, CHOICES, trainer({"a": (0.7, 1.0), "b": (0.6, 0.1)}, trained)
    )
    assert trained == [("b", CHOICES["b"]), ("a", CHOICES["a"])]
    assert run.path == whole / "folds" / "3"
    assert (run.path / "history.jsonl").is_file()
    assert [
        one.name for one in (whole / "choices" / "3").iterdir() if one.is_dir()
    ] == ["b"]
    told = read_json(whole / "choices" / "3" / "choice.json")
    assert told["chosen"] == "a"
    assert told["validation"]["a"] == {"balanced_accuracy": 0.7, "loss": 1.0}


def test_among_equals_the_lower_loss_and_then_the_first_named_is_kept(whole) -> None:
    choose(whole, 0, CHOICES, trainer({"a": (0.6, 0.5), "b": (0.6, 0.9)}))
    choose(whole, 1, CHOICES, trainer({"a": (0.6, 0.5), "b": (0.6, 0.5)}))
    told = told_of(whole, [0, 1])
    assert [told["by_fold"][fold]["chosen"] for fold in ("0", "1")] == ["a", "b"]
    assert "b in 1, a in 1 of 2 folds" in sentence(told)


def test_the_recipes_are_told_again_in_their_order(whole) -> None:
    assert list(choices_of(whole).items()) == list(CHOICES.items())
    assert choices_of(whole / "elsewhere") == {}


def test_a_fold_that_nobody_validates_cannot_choose(whole) -> None:
    with pytest.raises(DataError, match="nobody validates"):
        choose(whole, 0, CHOICES, trainer({"a": (0.6, 0.5), "b": (0.6, None)}))
    assert not (whole / "folds").exists()


def test_what_cannot_be_chosen_among_is_refused_with_all_reasons() -> None:
    split = Split("participant", 0, (Fold(("a",), (), ("b",)),), "x")
    with pytest.raises(ConfigError) as told:
        refuse_unfit({"one": RunConfig()}, split)
    assert len(told.value.faults) == 2
    good = Split("participant", 0, (Fold(("a",), ("c",), ("b",)),), "x")
    with pytest.raises(ConfigError, match="seed differs"):
        refuse_unfit({"one": RunConfig(), "two": RunConfig(seed=1)}, good)
    refuse_unfit(CHOICES, good)
