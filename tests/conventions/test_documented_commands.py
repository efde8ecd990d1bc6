"""The commands of README, tutorial and how-to pages run as printed, only smaller."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

COMMAND = Path(sys.executable).with_name("vit-dementia")
BLOCK = re.compile(r"^```console *\n(.*?)^```", re.MULTILINE | re.DOTALL)
# A block with a title is not run: the title says why, such as a file we do not have.

TEACHING = [
    ["README.md"],
    ["docs/tutorial/first-model.md"],
    ["docs/tutorial/volumes.md"],
    [
        f"docs/how-to/{page}.md"
        for page in (
            *("phantoms", "check", "split", "train", "fine-tune", "pretrain"),
            *("resume", "scale-out", "cross-validate", "evaluate", "predict"),
            *("convert", "tune", "export", "explain"),
        )
    ],
]


def commands(page: Path) -> list[list[str]]:
    """Return the vit-dementia commands of a page that a reader would run in order."""
    text = "".join(BLOCK.findall(page.read_text("utf-8"))).replace("\\\n", " ")
    words = [shlex.split(line, comments=True) for line in text.splitlines()]
    # The demo has a test of its own.
    return [w[1:] for w in words if w[:1] == ["vit-dementia"] and w[1] != "demo"]


def smaller(words: list[str]) -> list[str]:
    """Return the command with one epoch and few participants."""
    for flag, few in (("--epochs", "1"), ("--participants", "24")):
        if flag in words and words[words.index(flag) + 1].isdigit():
            words[words.index(flag) + 1] = few
    if words[0] in ("train", "pretrain", "cross-validate") and "--resume" not in words:
        return [*words, *([] if "--epochs" in words else ["--epochs", "1"])]
    return words


@pytest.mark.parametrize(
    "pages", TEACHING, ids=["readme", "tutorial", "volumes", "how-to"]
)
def test_commands_run_as_printed(pages, repository, tmp_path) -> None:
    for page in pages:
        for words in commands(repository / page):
            done = subprocess.run(
                [COMMAND, *smaller(words)],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{page}: {words}\n{done.stderr}"


def test_the_page_on_python_runs_as_printed(repository, tmp_path) -> None:
    page = (repository / "docs" / "how-to" / "python.md").read_text("utf-8")
    blocks = re.findall(r"^```python *\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    subprocess.run(
        [COMMAND, "data", "phantom", "data", "--participants", "24"],
        cwd=tmp_path,
        check=True,
    )
    done = subprocess.run(
        [sys.executable, "-c", "".join(blocks)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
