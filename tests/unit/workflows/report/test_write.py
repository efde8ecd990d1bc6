"""The report: what it says, what it must not say, and that it opens anywhere."""

from __future__ import annotations

import copy
import io
import re
import shutil
import xml.etree.ElementTree as ElementTree
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.evaluation.scores import score
from vit_dementia.files import read_json
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.report.examples import Mapped
from vit_dementia.workflows.report.limits import cannot_claim
from vit_dementia.workflows.report.study import study_of
from vit_dementia.workflows.report.words import summary
from vit_dementia.workflows.report.write import write_report

MARKUP = '<script>alert("x")</script>'

HOSTILE = (MARKUP, '"><img src=x onerror=alert(1)>', "$x_{1$ & {{ 7 * 7 }} --> ]]>")
VOID = {"meta", "img", "br", "hr", "link"}
NAMES = ("forest", "confusion", "roc", "reliability", "precision", "decision", "risk")


def told_by(
    skill, *, label=None, classes=("CN", "very mild", "mild"), images=2, seed=0
):
    rng = np.random.default_rng(seed)
    label = np.arange(60) % len(classes) if label is None else np.asarray(label)
    n, k = len(label), len(classes)
    odds = np.exp(rng.normal(size=(n, k)) + skill * np.eye(k)[label])
    return Predictions.from_arrays(
        classes,
        participant_ids=[f"sub-{i:04d}" for i in np.repeat(range(n), images)],
        session_ids=["n/a"] * n * images,
        paths=[f"<b>folder</b>/{i}.png" for i in range(n * images)],
        labels=[classes[i] for i in np.repeat(label, images)],
        probabilities=np.repeat(odds / odds.sum(axis=1, keepdims=True), images, axis=0),
    )


def report_on(
    folder,
    told,
    *,
    floors=None,
    study=None,
    fold_of=None,
    scans=None,
    explain=None,
    **said,
):
    floors = {} if floors is None else floors
    metrics = score(told, floors=floors, fold_of=fold_of, **said)
    path = write_report(
        folder,
        metrics=metrics,
        predictions=told,
        floors=floors,
        study=study,
        fold_of=fold_of,
        scans=scans,
        explain=explain,
    )
    return metrics, path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def plain(tmp_path_factory, cohort, make_run):
    """Give one ordinary report: folder, metrics and page."""
    folder = tmp_path_factory.mktemp("report")
    floors = {"majority": told_by(0, seed=1), "linear model": told_by(0.3, seed=2)}
    study = study_of(make_run(folder / "run", cohort), "test")
    return folder, *report_on(folder, told_by(1.5), floors=floors, study=study)


@pytest.fixture
def words_only(monkeypatch):
    """Leave the figures out: they take most of the time."""
    monkeypatch.setattr("vit_dementia.workflows.report.write.draw", lambda *_: [])


class Page(HTMLParser):
    """The tags, the attributes and the visible text of a page."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text = [], [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "title"} & set(self.open):
            self.text.append(data)

    def said(self):
        return " ".join(" ".join(self.text).split())


def test_a_report_is_one_file_with_every_figure_inside_and_beside(plain):
    folder, _, html = plain
    names = {path.stem for path in (folder / "figures").glob("*.png")}
    assert names >= {*NAMES, "curves", "decision-early"}
    images = [attrs for tag, attrs in Page(html).tags if tag == "img"]
    assert len(images) == len(names)
    for attrs in images:
        assert attrs["src"].startswith("data:image/svg+xml;base64,")
        assert len(attrs["alt"]) > 30
    for name in names:
        drawn = ElementTree.parse(folder / "figures" / f"{name}.svg").getroot()
        assert drawn.tag.endswith("svg")
        content = (folder / "figures" / f"{name}.png").read_bytes()
        assert Image.open(io.BytesIO(content)).width > 500


def test_nothing_in_a_report_asks_the_network_or_runs(plain):
    _, _, html = plain
    tags = Page(html).tags
    assert not {"script", "iframe", "object", "embed", "form"} & {t for t, _ in tags}
    links = [attrs["href"] for tag, attrs in tags if tag in ("link", "a")]
    assert [href for href in links if href[0] != "#"] == ["data:,"]  # no favicon asked
    assert "http" not in re.sub("http-equiv", "", html)
    assert "url(" not in html
    assert not [a for _, attrs in tags for a in attrs if a.startswith("on")]


@pytest.mark.slow
def test_the_same_numbers_give_the_same_bytes(tmp_path, plain):
    folder, _, html = plain
    floors = {"majority": told_by(0, seed=1), "linear model": told_by(0.3, seed=2)}
    study = study_of(RunFolder.open(folder / "run"), "test")
    _, again = report_on(tmp_path, told_by(1.5), floors=floors, study=study)
    assert again == html
    for path in (folder / "figures").iterdir():
        assert path.read_bytes() == (tmp_path / "figures" / path.name).read_bytes()


def hostile(study):
    """Put markup wherever a report repeats what people wrote."""
    study = copy.deepcopy(study)
    study["audit"] |= {"leakage": [MARKUP], "allowed": MARKUP}
    study["settings"][0]["value"] = MARKUP
    study["environment"][MARKUP] = MARKUP
    study["hashes"][MARKUP] = MARKUP
    study["compute"]["device"] = MARKUP
    study["data_source"] = study["data_license"] = MARKUP
    study["flow"]["left_out"]["reasons"][MARKUP] = 3
    for table in (study["people"], study["people_by_class"]):
        table["columns"][0] = table["rows"][0]["name"] = MARKUP
    return study


@pytest.fixture(scope="module")
def full_of_markup(tmp_path_factory, cohort, make_run):
    """Give the folder of a report in which every name is markup."""
    folder = tmp_path_factory.mktemp("markup")
    told = told_by(1, classes=HOSTILE)
    report_on(
        folder,
        told,
        floors={MARKUP: told},
        study=hostile(study_of(make_run(folder / "run", cohort), "test")),
        leak_note=f"leak {MARKUP}",
    )
    return folder


def test_names_full_of_markup_are_words_and_nothing_else(full_of_markup):
    page = Page((full_of_markup / "report.html").read_text(encoding="utf-8"))
    assert not [tag for tag, _ in page.tags if tag == "script"]
    drawn = list((full_of_markup / "figures").glob("*.svg"))
    assert sum(tag == "img" for tag, _ in page.tags) == len(drawn)
    assert not [a for _, attrs in page.tags for a in attrs if a.startswith("on")]
    for name in HOSTILE:
        assert name in page.said()
    assert f"leak {MARKUP}" in page.said()
    for path in drawn:
        tags = {element.tag for element in ElementTree.parse(path).iter()}
        assert not [tag for tag in tags if str(tag).endswith("script")]


def test_a_report_names_no_path_and_no_participant(plain):
    folder, _, html = plain
    for said in (html, (folder / "report.json").read_text(encoding="utf-8")):
        for secret in ("sub-0", "b>folder", "who-0", "id-0", "secret-place", ".png"):
            assert secret not in said
        assert str(folder) not in said


@pytest.mark.slow
def test_classes_in_any_script_are_drawn(tmp_path):
    _, html = report_on(tmp_path, told_by(1, classes=("正常", "अल्पशः", "x" * 80)))
    assert "正常" in html


def test_the_first_paragraph_says_the_numbers(plain):
    _, metrics, html = plain
    auroc = metrics["by_participant"]["scores"]["auroc"]["value"]
    said = Page(html).said()
    for words in (
        "60 participants (120 images), on very mild or mild against CN",
        f"in {round(100 * auroc)} of 100 such pairs",
        "(linear model) reaches an AUROC of",
        "The model is better than that",
        "What cannot be claimed",
        "Research use only",
        "3 min 0 s in 3 epochs",
        "Nothing leaks",
        "With the labels dealt out anew",
        "Calibration: slope",
    ):
        assert words in said


@pytest.mark.parametrize(
    ("model", "floor", "verdict"),
    [
        (0, 0, "The model is not above the floor"),
        (0, 4, "The model is worse than that"),
    ],
)
def test_a_model_that_is_no_better_is_said_to_be_none(model, floor, verdict):
    floors = {"linear model": told_by(floor, seed=5)}
    metrics = score(told_by(model), floors=floors)
    assert verdict in " ".join(summary(metrics))
    assert "better than what needs no such model" in " ".join(cannot_claim(metrics))


def test_scores_too_good_to_be_true_are_warned_of(tmp_path, words_only):
    _, html = report_on(tmp_path, told_by(50))
    assert "Too good to be true? 100% right among 3 classes" in Page(html).said()


@pytest.mark.slow
def test_folds_are_said_and_drawn(tmp_path):
    told = told_by(2)
    fold_of = {f"sub-{i:04d}": i % 5 for i in range(60)}
    _, html = report_on(tmp_path, told, fold_of=fold_of)
    said = Page(html).said()
    assert "AUROC pooled over folds" in said
    assert "the mean over folds" in said
    assert "if the models were trained again" in said
    assert not (tmp_path / "figures" / "curves.png").exists()


def test_unknown_people_are_said_first(tmp_path, words_only):
    told = told_by(3)
    told.table["participant_id"] = "n/a"
    _, html = report_on(tmp_path, told)
    said = Page(html).said()
    assert "participants may stand on both sides" in said
    assert "Nothing is shown about new people" in said
    assert "by participant" not in said
    assert "over participants" not in said


def test_an_allowed_leak_is_said_before_any_score(tmp_path, words_only):
    _, html = report_on(tmp_path, told_by(3), leak_note="3 of 4 people leak.")
    said = Page(html).said()
    assert said.index("3 of 4 people leak.") < said.index("was scored on")
    assert "some who were scored here were trained on" in said


def test_one_participant_of_a_class_and_few_of_a_side_are_said(tmp_path, words_only):
    told = told_by(2, label=[*np.arange(20) % 2, 2])
    _, html = report_on(tmp_path, told)
    said = Page(html).said()
    assert "Nothing can be said about mild: one participant is of that class" in said
    assert "undefined: one participant" in said
    assert "10 participants of CN: interval too narrow at this n" in said


@pytest.mark.parametrize("label", [[0] * 5, [0], [0, 1]])
def test_what_cannot_be_scored_still_makes_a_report(tmp_path, label):
    told = told_by(2, label=label)
    _, html = report_on(tmp_path, told, floors={"itself": told})
    assert "How well it ranks them cannot be said" in Page(html).said()
    assert not re.search(r"\b([Nn]a[Nn]|None|null)\b", Page(html).said())


def test_a_table_from_elsewhere_says_what_nobody_told(tmp_path, words_only):
    _, html = report_on(tmp_path, told_by(1))
    said = Page(html).said()
    assert "not provided: only a table of predictions was given" in said
    assert "this table came from elsewhere" in said


def test_report_json_says_what_the_page_says(plain):
    folder, metrics, html = plain
    said = " ".join(unescape(html).split())
    content = read_json(folder / "report.json")
    assert content["summary"] == summary(metrics)
    assert content["cannot_claim"] == cannot_claim(metrics)
    for row in [*content["floors"]["rows"], *content["scores"]["rows"]]:
        for cell in row["cells"]:
            assert cell in said
    for name in content["hashes"].values():
        assert name in said


def test_scans_are_shown_only_where_somebody_allowed_it(
    tmp_path, cohort, told_of, run, slices_of_people, words_only
):
    told = told_of(cohort)
    for scans, number in ((None, 0), (slices_of_people, 9)):
        study = study_of(run, "test")
        _, html = report_on(tmp_path, told, study=study, scans=scans)
        shown = [attrs["src"] for tag, attrs in Page(html).tags if tag == "img"]
        assert len(shown) == number
        assert ("No scan is shown" in html) is (scans is None)
        assert "who-" not in html


def test_maps_stand_beside_the_scans_with_what_was_measured(
    tmp_path, cohort, told_of, run, slices_of_people, words_only
):
    asked = []

    def explain(path, label):
        asked.append((path, label))
        if len(asked) == 2:
            return Mapped({"said": "no map: the scan can no longer be read"})
        facts = {"method": "occlusion", "class": label, "outside_head": 0.0}
        facts |= {"faithful": len(asked) > 1, "said": f"measured: {MARKUP}"}
        return Mapped(facts, np.full((4, 3, 3), 7, np.uint8))

    _, html = report_on(
        tmp_path,
        told_of(cohort),
        study=study_of(run, "test"),
        scans=slices_of_people,
        explain=explain,
    )
    page = Page(html)
    shown = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(shown) == 9 + 8
    assert sum("marked where" in attrs["alt"] for attrs in shown) == 8
    assert page.said().count(f"occlusion: measured: {MARKUP}") == 8
    assert "no map: the scan can no longer be read" in page.said()
    assert html.count("small doubt") == 1
    examples = read_json(tmp_path / "report.json")["examples"]
    assert [label for _, label in asked] == [one["predicted"] for one in examples]
    assert all(path.is_file() for path, _ in asked)
    assert examples[1]["map"] == {"said": "no map: the scan can no longer be read"}
    assert examples[0]["map"]["faithful"] is False
    assert "who-" not in html


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@pytest.fixture(scope="module")
def browser():
    """Drive the distribution's Chromium without a window."""
    if CHROMIUM is None:
        pytest.skip("needs the distribution's Chromium (package chromium)")
    driver = pytest.importorskip("playwright.sync_api")
    with driver.sync_playwright() as started:
        opened = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield opened
        opened.close()


@pytest.mark.parametrize("size", [(1280, 900), (390, 844), (320, 640)])
def test_a_browser_opens_it_without_complaint(plain, browser, size):
    folder, _, _ = plain
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    complaints, asked = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((folder / "report.html").as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert complaints == []
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    assert sum(url.startswith("file:") for url in asked) == 1
    pictures = page.locator("img")
    for place in range(pictures.count()):
        assert pictures.nth(place).get_attribute("alt")
        assert pictures.nth(place).evaluate("e => e.complete && e.naturalWidth > 100")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    page.close()


def test_nothing_runs_in_a_page_full_of_markup(full_of_markup, browser):
    page = browser.new_page()
    ran = []
    page.on("dialog", lambda dialog: (ran.append(dialog.message), dialog.dismiss()))
    page.on("console", lambda message: ran.append(message.text))
    page.goto((full_of_markup / "report.html").as_uri())
    page.wait_for_timeout(200)
    assert ran == []
    assert page.locator("script").count() == 0
    page.close()


def test_it_prints_whole_on_a4(plain, browser, tmp_path):
    page = browser.new_page()
    page.goto((plain[0] / "report.html").as_uri())
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 680, "height": 960})  # A4 without its margins
    assert page.evaluate("document.documentElement.scrollWidth") <= 680
    hidden = page.locator("details table").first
    assert hidden.bounding_box()["height"] > 100  # open on paper
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    page.close()
