"""Write the pages that need no author: cli.md and config.md from the program itself.

A hook of mkdocs; the pages exist in the built site only, so that they cannot grow old.
The habit files at the root of the repository become pages in the same way.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from vit_dementia import config, limits

PAGES_OF_THE_ROOT = (
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to the site."""
    pages = {"reference/cli.md": command_line(), "reference/config.md": settings()}
    root = Path(config.config_file_path).parent
    for name in PAGES_OF_THE_ROOT:
        pages[name.lower()] = _as_page((root / name).read_text(encoding="utf-8"))
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def _as_page(text: str) -> str:
    """Turn links from the root of the repository into links of the site."""
    for name in PAGES_OF_THE_ROOT:
        text = text.replace(f"]({name}", f"]({name.lower()}")
    return text.replace("](docs/", "](")


def command_line() -> str:
    """Return the help of every verb as one page."""
    from vit_dementia.cli.app import VERBS, make_app

    head = (
        "# Commands\n\nEvery verb with its flags, as the program itself describes "
        "them. The settings of a run (`--train.*`, `--data.*`, `--vit.*`, "
        "`--augment.*`) are explained in [Settings](config.md).\n\n"
    )
    text = make_app(VERBS).generate_docs(output_format="markdown", heading_level=1)
    text = re.sub(r"## Table of Contents.*?(?=\*\*Commands\*\*)", "", text, flags=re.S)
    return head + re.sub(r"\A# .*\n", "", text)


def settings() -> str:
    """Return a page with one table per settings class: key, type, default, meaning."""
    lines = [
        "# Settings",
        "",
        "Every setting of a run. A recipe writes them as TOML (`[train] epochs = 10`),",
        "the command line as flags (`--train.epochs 10`). What both leave out has the",
        "default given here; the resolved whole is written to `config.toml` in the run",
        "folder.",
        "",
    ]
    for table, kind in _tables(config.RunConfig, ""):
        title = f"`[{table}]`" if table else "Top level"
        lines += [f"## {title}", "", inspect.cleandoc(kind.__doc__ or ""), ""]
        lines += ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
        lines += [" | ".join(["", *row, ""]).strip() for row in _rows(kind)]
        lines.append("")
    lines += [
        "## Limits",
        "",
        "What one input may cost at most. They belong to no run and no recipe: every",
        "verb takes `--limits.NAME NUMBER` (`--limits.pixels 80000000`), for itself",
        "and the processes that it starts; those of `serve` alone stand in its how-to.",
        "",
        "| limit | type | default | of |",
        "| --- | --- | --- | --- |",
        *(" | ".join(["", *row, ""]).strip() for row in _rows(limits.Limits)),
        "",
    ]
    return "\n".join(lines)


def _tables(kind: type, name: str) -> Iterator[tuple[str, type]]:
    yield name, kind
    for key, hint in get_type_hints(kind).items():
        if dataclasses.is_dataclass(hint):
            yield from _tables(hint, f"{name}.{key}".lstrip("."))


def _rows(kind: type) -> Iterator[tuple[str, str, str, str]]:
    meaning = _field_docs(kind)
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[field.name]):
            continue
        default = "" if field.default is None else f"`{_toml(field.default)}`"
        yield (
            f"`{field.name}`",
            _type_name(hints[field.name]),
            default,
            meaning.get(field.name, "").replace("|", "\\|"),
        )


def _field_docs(kind: type) -> dict[str, str]:
    """Return the string below each field of a dataclass."""
    (tree,) = ast.parse(inspect.cleandoc(inspect.getsource(kind))).body
    docs = {}
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
            docs[field.target.id] = " ".join(str(below.value.value).split())
    return docs


def _type_name(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        return _type_name(get_args(hint)[0])
    if isinstance(hint, types.UnionType):
        parts = [_type_name(part) for part in get_args(hint) if part is not type(None)]
        return " or ".join(parts)
    if get_origin(hint) is tuple:
        return ", ".join(_type_name(part) for part in get_args(hint) if part is not ...)
    choices = get_args(hint)
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    return getattr(hint, "__name__", str(hint))


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
