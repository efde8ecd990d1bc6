"""The page that explains the network shows lines that are in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
PAGE = REPOSITORY / "docs" / "explanation" / "vit.md"
MODELS = REPOSITORY / "src" / "vit_dementia" / "models"
BLOCKS = re.findall(
    r"```python\n# models/(\S+)\n(.*?)```", PAGE.read_text("utf-8"), re.S
)


def test_the_page_shows_code() -> None:
    assert len(BLOCKS) > 8


@pytest.mark.parametrize(("name", "code"), BLOCKS)
def test_every_line_shown_is_in_the_source(name, code) -> None:
    assert code in (MODELS / name).read_text("utf-8")


def test_every_drawing_shown_is_there_and_fetches_nothing() -> None:
    shown = re.findall(r"!\[[^]]+]\((drawings/\S+)\)", PAGE.read_text("utf-8"))
    drawings = PAGE.parent / "drawings"
    assert {PAGE.parent / name for name in shown} == set(drawings.iterdir())
    for drawing in drawings.iterdir():
        text = drawing.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "<title>" in text
        assert "http" not in text


def test_the_example_on_the_page_runs() -> None:
    (example,) = re.findall(
        r"```python\n(import torch\n.*?)```", PAGE.read_text("utf-8"), re.S
    )
    names: dict[str, object] = {}
    exec(example, names)
    assert names["to_patches"].shape == (3, 13, 11)
