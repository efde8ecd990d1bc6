from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from tests.unit.workflows.checks import NOBODY, made_check, made_inventory

from vit_dementia.audit.inventory import Inventory
from vit_dementia.workflows.check_record import LeakCounts
from vit_dementia.workflows.check_report import page, write_check

BARE = {"leaks": None, "price": None, "shortcuts": (), "pairs": (), "strips": ()}


class _Tags(HTMLParser):
    """Every tag that was opened, and those that were left open."""

    VOID = ("meta", "img")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag, attributes) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("changes", [{}, BARE, {"participants": None}])
def test_the_page_is_whole_and_fetches_nothing(changes) -> None:
    html = page(made_check(**changes))
    tags = _Tags()
    tags.feed(html)
    assert tags.open == []
    assert "script" not in tags.seen
    assert not re.search(r"https?://|@import|url\(", html)
    assert html.count("Research use only") + html.count("research use only") >= 2


def test_the_page_escapes_names_and_holds_no_path() -> None:
    html = page(made_check())
    assert "<i>CN" not in html
    assert "&lt;i&gt;CN&lt;/i&gt;" in html
    assert "secret" not in html


def test_pairs_are_shown_side_by_side_with_their_parts() -> None:
    html = page(made_check())
    assert html.count("data:image/png;base64,") == 4
    assert '<span class="train">' in html
    assert '<span class="test">' in html
    assert "1.000 alike" in html


def test_the_verdict_stands_at_the_top() -> None:
    for changes, verdict in (
        ({}, "Leak"),
        ({"leaks": LeakCounts(0, 0, 16, 0, 0)}, "Clean"),
        ({"leaks": None, "participants": None}, "Cannot tell"),
    ):
        html = page(made_check(**changes))
        assert f"<strong>{verdict}</strong>" in html


def test_ages_sexes_and_sites_are_shown_where_they_are_known() -> None:
    assert "Age, years" not in page(made_check())
    people = replace(
        NOBODY, num_ages=3, age_mean=70.0, age_sd=4.0, sexes={"F": 2}, sites={"A": 3}
    )
    inventory: Inventory = made_inventory(people={"<i>CN</i>": people, "AD": NOBODY})
    html = page(made_check(inventory=inventory))
    assert "70.0 ± 4.0" in html
    assert "unknown" in html


def test_writing_leaves_the_page_and_the_document(tmp_path) -> None:
    check = made_check()
    path = write_check(tmp_path, check)
    assert path.read_text(encoding="utf-8") == page(check)
    assert json.loads((tmp_path / "check.json").read_text()) == json.loads(
        json.dumps(check.document())
    )
