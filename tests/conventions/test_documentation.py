"""What the documentation says can be done can be done, and its links lead somewhere."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import vit_dementia
from vit_dementia.cli.app import VERBS, make_app

app = make_app(VERBS)
# Pages that exist in the built site only; docs/reference/generated.py writes them.
BUILT = {"reference/cli.md", "reference/config.md"}
BLOCK = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^]]*]\(([^)\s]+)\)|!\[[^]]*]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def pages(tracked_files: list[Path]) -> list[Path]:
    """Return every Markdown page of the repository."""
    return [path for path in tracked_files if path.suffix == ".md"]


def blocks(page: Path, *languages: str) -> Iterator[str]:
    """Yield the text of every fenced block in one of the languages."""
    for _, language, text in BLOCK.findall(page.read_text("utf-8")):
        if language in languages:
            yield text


def commands(page: Path) -> Iterator[list[str]]:
    """Yield every vit-dementia command of a page, as words."""
    for block in blocks(page, "console", "bash", "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words[:1] == ["vit-dementia"]:
                yield words[1:]


def anchors(page: Path) -> set[str]:
    """Return the names of the headings of a page, as mkdocs or GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
    plain = [
        re.sub(r"[`*]|\[|]\([^)]*\)", "", h).lower() for h in HEADING.findall(text)
    ]
    words = [re.sub(r"[^\w\s-]", "", heading).strip() for heading in plain]
    return {re.sub(r"[\s-]+", "-", w) for w in words} | {
        w.replace(" ", "-") for w in words
    }


def test_links_lead_to_files_and_headings(pages, repository) -> None:
    lost = []
    for page in pages:
        text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)
        for link in (a or b for a, b in LINK.findall(text)):
            if re.match(r"[a-z]+:", link):
                continue
            target, _, anchor = link.partition("#")
            there = (page.parent / target).resolve() if target else page
            docs = repository / "docs"
            if there.is_relative_to(docs) and str(there.relative_to(docs)) in BUILT:
                continue
            if not there.exists() or (anchor and anchor not in anchors(there)):
                lost.append(f"{page.relative_to(repository)}: {link}")
    assert lost == []


def test_python_blocks_are_python_or_quote_the_package(pages, repository) -> None:
    for page in pages:
        for text in blocks(page, "python"):
            first, _, rest = text.partition("\n")
            quoted = repository / "src" / "vit_dementia" / first.removeprefix("# ")
            if first.startswith("# ") and quoted.is_file():
                assert rest in quoted.read_text("utf-8"), f"{page}: {first} has changed"
            else:
                ast.parse(text, str(page))


def test_names_of_the_python_interface_exist(pages) -> None:
    named = {
        name
        for page in pages
        for text in blocks(page, "python")
        for name in re.findall(r"\bvd\.(\w+)", text)
    }
    assert {name for name in named if not hasattr(vit_dementia, name)} == set()


def test_commands_have_the_verbs_and_flags_that_are_written(pages, repository) -> None:
    wrong = []
    for page in pages:
        for words in commands(page):
            where = f"{page.relative_to(repository)}: {shlex.join(words)}"
            wrong += [f"{where}: {fault}" for fault in faults_of(words)]
    assert wrong == []


def faults_of(words: list[str]) -> list[str]:
    """Say which words of a command are no verb or flag of the program."""
    if words[0] in ("--help", "--version"):
        return []
    path, _, rest = app.parse_commands(words)
    known = flags_of(path)
    if known is None:
        return [f"{words[0]} is no verb"] if rest else []
    flags = (word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word))
    return [f"{flag} is no flag" for flag in flags if flag not in known]


def test_make_targets_exist(pages, repository) -> None:
    makefile = (repository / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    named = {
        line.split()[1]
        for page in pages
        for block in blocks(page, "console", "bash", "sh")
        for line in block.splitlines()
        if line.startswith("make ")
    }
    assert named - targets == set()


@cache
def flags_of(path: tuple[str, ...]) -> set[str] | None:
    """Return every flag of a verb, or None if it is a group of verbs."""
    verb = app.parse_commands(path)[1][-1]
    if verb.default_command is None:
        return None
    return {
        name
        for argument in verb.assemble_argument_collection()
        for name in (*argument.names, *argument.negatives)
    } | {"--help", "--version"}


@pytest.mark.parametrize(
    "verb", sorted(set(app) - {"--help", "-h", "--version", "data", "cache"})
)
def test_the_help_of_every_verb_has_an_example(verb, capsys) -> None:
    app([verb, "--help"], exit_on_error=False, result_action="return_value")
    assert f"vit-dementia {verb}" in capsys.readouterr().out.split("Example", 1)[-1]
