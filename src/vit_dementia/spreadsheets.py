"""Tables are opened in spreadsheets, which compute what looks like a formula."""

from __future__ import annotations

import re

_FORMULA = re.compile(r"[=@\t\r]|[+-](?![\d.]+$)")


def is_formula(text: str) -> bool:
    """Say whether a spreadsheet would compute this text instead of showing it.

    >>> is_formula("=1+1"), is_formula("+1+1"), is_formula("-1.5"), is_formula("mild")
    (True, True, False, False)
    """
    return bool(_FORMULA.match(text))


def shown_path(path: str) -> str:
    """Return a path that is read as text: the same file, by another spelling.

    >>> shown_path("=1+1.png"), shown_path("mild/=1+1.png")
    ('./=1+1.png', 'mild/=1+1.png')
    """
    return f"./{path}" if is_formula(path) else path
