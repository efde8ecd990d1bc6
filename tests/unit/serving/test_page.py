"""The page: its words in one file, its viewer as released, nothing from outside."""

from __future__ import annotations

import hashlib
import re
from importlib import resources

import pytest

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
    said |= set(
        re.findall(r'"((?:answer|weight_of)_\w+|together\w*|scored\w*)"', script)
    )
    said |= {"yes", "no", "not sure"}
    for one in ("pass", "warn", "refused", "not assessed"):
        said |= {f"quality_{one}", f"verdict_{one}"}
    assert said == set(page.words())
    assert "fail" in Verdict.__args__  # what fails is refused


def test_words_stand_nowhere_else() -> None:
    html = re.sub(r"\{\{.*?\}\}|<[^>]*>", "", page_source())
    assert html.split() == []


def page_source() -> str:
    return text("page.html.j2")


def test_the_browser_keeps_nothing_beyond_the_tab() -> None:
    kept = r"localStorage|sessionStorage|indexedDB|caches\b|cookie|serviceWorker"
    assert not re.search(kept, "".join(map(text, SCRIPTS)))


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


def luminance(color: str) -> float:
    """Return WCAG's relative luminance of ``#rrggbb``, in [0, 1]."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts
    ]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """Return the ratio that WCAG 2.1 asks about."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_words_stand_out_by_day_and_by_night_and_on_paper() -> None:
    assert contrast("#ffffff", "#767676") == pytest.approx(4.54, abs=0.01)  # of WCAG
    day, night = (
        dict(re.findall(r"--([\w-]+): (#\w{6});", part))
        for part in re.findall(r":root \{(.*?)\}", text("page.css"), re.S)
    )
    assert day.keys() == night.keys()
    for colors in (day, night):
        for behind in ("paper", "panel"):
            for words in ("ink", "quiet", "warning"):  # WCAG 1.4.3, AA
                assert contrast(colors[words], colors[behind]) >= 4.5
            for lines in ("line", "bar", "accent"):  # WCAG 1.4.11
                assert contrast(colors[lines], colors[behind]) >= 3
        assert contrast(colors["on-accent"], colors["accent"]) >= 4.5
    # Paper is white whatever the screen: there, colors are those of the day.
    assert "@media screen and (prefers-color-scheme: dark) {" in text("page.css")
    assert text("page.css").count("prefers-color-scheme") == 1
