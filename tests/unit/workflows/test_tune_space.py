from __future__ import annotations

import pytest

from vit_dementia.config import RunConfig
from vit_dementia.errors import ConfigError
from vit_dementia.workflows.tune_space import (
    DEFAULT_SPACE,
    FOR_LOADED_WEIGHTS,
    Choices,
    Range,
    read_space,
    value_of,
    with_values,
    write_space,
)


def test_a_space_is_read_as_it_was_written(tmp_path) -> None:
    space = {**DEFAULT_SPACE, **FOR_LOADED_WEIGHTS, "model": Choices(("ViT-S/16",))}
    write_space(tmp_path / "space.toml", space)
    assert read_space(tmp_path / "space.toml") == space


def test_every_default_choice_is_a_setting_and_holds_both_its_ends() -> None:
    for name, domain in {**DEFAULT_SPACE, **FOR_LOADED_WEIGHTS}.items():
        for value in domain.ends:
            assert value_of(with_values(RunConfig(), {name: value}), name) == value
            assert domain.holds(value)
        assert not domain.holds("other")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[train]\nlearning_rat = [1.0]", "did you mean train.learning_rate?"),
        ("[train]\nlearning_rate = [-1.0]", "train.learning_rate"),
        ("[train]\nwarmup = { low = 0.1, high = 1.5 }", "train.warmup: found 1.5"),
        ("[train]\nwarmup = { low = 0.5, high = 0.1 }", "with A < B"),
        ("[train]\nwarmup = { low = 0.0, high = 0.1, log = true }", "only above 0"),
        ("[train]\nwarmup = 0.1", "needs a list of values"),
        ("[train]\nwarmup = []", "needs a list of values"),
        ("", "is empty"),
        ("[train", "cannot be read as TOML"),
    ],
)
def test_a_wrong_space_is_told_by_setting(tmp_path, text, fault) -> None:
    (tmp_path / "space.toml").write_text(text)
    with pytest.raises(ConfigError) as raised:
        read_space(tmp_path / "space.toml")
    assert fault in str(raised.value)


def test_whole_numbers_stay_whole(tmp_path) -> None:
    (tmp_path / "space.toml").write_text("[vit]\ndepth = { low = 2, high = 6 }")
    assert read_space(tmp_path / "space.toml") == {"vit.depth": Range(2, 6)}
