"""The catalog of bad inputs and the tests that hold the program to it say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROW = re.compile(r"^\| ([a-z]+-[\w-]+) \|.*\| (test_\w+) \|$", re.MULTILINE)
ELSEWHERE = re.compile(
    r"^\| ([a-z]+-[\w-]+) \|.*\| (tests/[\w/]+\.py)::(test_\w+) \|$", re.MULTILINE
)
CASE = re.compile(r"\b((?:img|ds|tab|name|nii|dcm|ck|arc)-[a-z0-9-]+[a-z0-9])\b")
FILE = re.compile(r"(?:In|it is not) `(tests/[\w/]+\.py)`")
# What a test tries in its body, without naming the case.
UNNAMED = {
    "img-transparent", "img-bilevel", "ds-unreadable-dir", "tab-no-label",
    "tab-unknown-label", "tab-missing-file", "tab-script", "tab-leak",
    "nii-dim-bomb", "nii-gz-bomb", "nii-ext-bomb", "nii-header-text", "nii-pipe",
    "nii-random", "dcm-slope-abc", "dcm-truncated", "dcm-series-deleted",
    "dcm-series-size", "dcm-private-ts", "dcm-deflate-bomb", "dcm-nested", "dcm-none",
    "run-data-gone", "run-cache-gone", "run-folder-gone", "run-clock-jumps",
    "dcm-length-lies", "dcm-random", "ck-pipe", "ck-other-classes", "ck-resume-all",
}  # fmt: skip


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "reference" / "bad-inputs.md").read_text("utf-8")


def sections(page: str, repository: Path) -> list[tuple[str, Path]]:
    """Return each section that names a file of tests, with the file."""
    parts = re.split(r"^## ", page, flags=re.MULTILINE)
    named = ((part, FILE.search(part)) for part in parts)
    return [(part, repository / found[1]) for part, found in named if found]


def names_cases(file: Path) -> bool:
    """Say whether a file of tests calls cases by their names: the torture does."""
    return file.parent.name == "torture"


def test_every_case_of_the_page_is_tried_by_the_test_it_names(page, repository) -> None:
    lost = [
        case
        for part, file in sections(page, repository)
        for tests in [file.read_text("utf-8")]
        for case, test in ROW.findall(part)
        if f"def {test}(" not in tests
        or (
            names_cases(file)
            and case not in UNNAMED
            and f'"{case}"' not in tests
            and f"# row {case}\n" not in tests
        )
    ]
    assert lost == []
    assert len(ROW.findall(page)) > 200


def test_every_test_that_a_row_names_in_another_file_is_there(page, repository) -> None:
    told = ELSEWHERE.findall(page)
    lost = [
        (case, file, test)
        for case, file, test in told
        if not (repository / file).is_file()
        or f"def {test}(" not in (repository / file).read_text("utf-8")
    ]
    assert lost == []
    assert len(told) > 50


def test_every_row_of_the_page_names_a_test_and_no_case_stands_twice(page) -> None:
    cases = re.findall(r"^\| ([a-z]+-[\w-]+) \|", page, re.MULTILINE)
    named = [row[0] for row in (*ROW.findall(page), *ELSEWHERE.findall(page))]
    assert sorted(cases) == sorted(named)
    assert len(set(cases)) == len(cases)


def test_every_case_that_is_tried_stands_on_the_page(page, repository) -> None:
    told = set(CASE.findall(page))
    tried = {
        case
        for _, file in sections(page, repository)
        if names_cases(file)
        for case in CASE.findall(file.read_text("utf-8"))
    }
    assert tried - told == set()
