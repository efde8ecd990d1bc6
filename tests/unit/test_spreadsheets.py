"""What a spreadsheet would compute is told from what it shows."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from vit_dementia.spreadsheets import is_formula, shown_path


@pytest.mark.parametrize("text", ["=1", "+1+1", "-rf", "@SUM(1)", "\tx", "-1-1", "+a"])
def test_formulas_are_found(text) -> None:
    assert is_formula(text)
    assert PurePosixPath(shown_path(text)) == PurePosixPath(text)
    assert not is_formula(shown_path(text))


@pytest.mark.parametrize("text", ["", "mild", "-1", "+2.5", "0.5", "a=1", "n/a", "'=1"])
def test_what_is_no_formula_stays(text) -> None:
    assert not is_formula(text)
    assert shown_path(text) == text
