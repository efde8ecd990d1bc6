"""The page: its words in one file, its viewer as released, nothing from outside."""

from __future__ import annotations

import hashlib
import re
from importlib import resources

from vit_dementia.quality.verdict import Verdict
from vit_dementia.serving import page

SOURCE = resources.files(page)
SCRIPTS = ("page.js", "slices.js", "volumes.js")


def text(name: str) -> str:
    return (SOURCE / name).read_text("utf-8")


def test_niivue_is_the_file_that_was_released_with_its_license_beside() -> None:
    told, name = text("niivue.sha256").split()
    assert name == page.NIIVUE
    assert hashlib.sha256((SOURCE / name).read_bytes()).hexdigest() == told
    assert "BSD 2-Clause License" in text("niivue.LICENSE.txt")


def test_every_word_is_said_and_every_word_said_is_there() -> None:
    html, script = text("page.html.j2"), "".join(map(text, SCRIPTS))
    said = set(re.findall(r"words\.(\w+)", html + script))
    said -= {"json"}  # the file itself
    said |= set(re.findall(r'say\("(\w+)"', script))
    said |= set(re.findall(r'"((?:answer|weight_of)_\w+|together\w*)"', script))
    said |= {"yes", "no", "not sure"}
    said |= {f"quality_{one}" for one in ("pass", "warn", "refused", "not assessed")}
    assert said == set(page.words())
    assert "fail" in Verdict.__args__  # what fails is refused


def test_words_stand_nowhere_else() -> None:
    html = re.sub(r"\{\{.*?\}\}|<[^>]*>", "", page_source())
    assert html.split() == []


def page_source() -> str:
    return text("page.html.j2")


def test_no_script_or_style_stands_in_the_page_and_nothing_comes_from_outside() -> None:
    html = page.assets()["/"].content.decode()
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", html)
    for name in ("page.html.j2", "page.css", *SCRIPTS):
        assert not re.search(r"(?:https?:)?//\w", re.sub(
            r"http://www\.w3\.org/2000/svg|^\s*//.*$", "", text(name), flags=re.M
        ))  # fmt: skip


def test_every_control_has_a_name_and_every_picture_too() -> None:
    html = page.assets()["/"].content.decode()
    for control in re.findall(r"<input[^>]*>", html):
        before = html[: html.index(control)]
        assert before.count("<label") > before.count("</label>")
    for canvas in re.findall(r"<canvas[^>]*>", html):
        assert 'role="img"' in canvas
        assert "aria-label" in canvas
    assert 'role="status"' in html
    assert '<html lang="en">' in html
