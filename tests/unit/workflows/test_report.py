"""The report: what it says, what it must not say, and that it opens anywhere."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.evaluation.scores import score
from vit_dementia.workflows.report import write_report
from vit_dementia.workflows.report_words import cannot_claim, summary

MARKUP = '<script>alert("x")</script>'
HISTORY = [
    {
        "epoch": epoch,
        "train_loss": 1 / epoch,
        "train_accuracy": 0.5,
        "val_loss": None,
        "val_accuracy": None,
    }
    for epoch in (1, 2, 3)
]
VOID = {"meta", "img", "br", "hr", "link"}


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
    folder, told, *, floors=None, history=HISTORY, facts=None, fold_of=None, **said
):
    floors = {} if floors is None else floors
    metrics = score(told, floors=floors, fold_of=fold_of, **said)
    path = write_report(
        folder,
        metrics=metrics,
        predictions=told,
        floors=floors,
        history=history,
        facts=facts or {"model": "ViT-Ti/16", "training_minutes": 1.23456},
        fold_of=fold_of,
    )
    return metrics, path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Give one ordinary report: folder, metrics and page."""
    folder = tmp_path_factory.mktemp("report")
    floors = {"majority": told_by(0, seed=1), "linear model": told_by(0.3, seed=2)}
    return folder, *report_on(folder, told_by(1.5), floors=floors)


@pytest.fixture
def words_only(monkeypatch):
    """Leave the figures out: they take most of the time."""
    monkeypatch.setattr("vit_dementia.workflows.report.draw", lambda *_: [])


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
    assert names == {
        *("forest", "confusion", "curves", "roc", "reliability"),
        *("precision", "decision", "risk"),
    }
    images = [attrs for tag, attrs in Page(html).tags if tag == "img"]
    assert len(images) == len(names)
    for attrs in images:
        assert attrs["src"].startswith("data:image/png;base64,")
        assert len(attrs["alt"]) > 30
    for name in names:
        content = (folder / "figures" / f"{name}.png").read_bytes()
        assert Image.open(io.BytesIO(content)).width > 500


def test_nothing_in_a_report_asks_the_network_or_runs(plain):
    _, _, html = plain
    tags = Page(html).tags
    assert not {"script", "link", "iframe", "object", "embed"} & {t for t, _ in tags}
    assert "http" not in re.sub("http-equiv", "", html)
    assert "url(" not in html
    assert not [a for _, attrs in tags for a in attrs if a.startswith("on")]


def test_the_same_numbers_give_the_same_bytes(tmp_path, plain):
    folder, _, html = plain
    floors = {"majority": told_by(0, seed=1), "linear model": told_by(0.3, seed=2)}
    _, again = report_on(tmp_path, told_by(1.5), floors=floors)
    assert again == html
    for path in (folder / "figures").iterdir():
        assert path.read_bytes() == (tmp_path / "figures" / path.name).read_bytes()


def test_names_full_of_markup_are_words_and_nothing_else(tmp_path):
    classes = (MARKUP, '"><img src=x onerror=alert(1)>', "$x_{1$ & {{ 7 * 7 }}")
    told = told_by(1, classes=classes)
    _, html = report_on(
        tmp_path,
        told,
        floors={MARKUP: told},
        facts={MARKUP: [MARKUP]},
        leak_note=f"leak {MARKUP}",
    )
    page = Page(html)
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert sum(tag == "img" for tag, _ in page.tags) == 8
    assert not [a for _, attrs in page.tags for a in attrs if a.startswith("on")]
    for name in classes:
        assert name in page.said()
    assert f"leak {MARKUP}" in page.said()


def test_a_report_names_no_path_and_no_participant(plain):
    folder, _, html = plain
    assert "sub-0" not in html
    assert "folder" not in html
    assert ".png" not in html
    assert str(folder) not in html


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
        "training minutes 1.235",
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


def test_folds_are_said_and_drawn(tmp_path):
    told = told_by(2)
    fold_of = {f"sub-{i:04d}": i % 5 for i in range(60)}
    _, html = report_on(tmp_path, told, fold_of=fold_of, history=[])
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
    assert "With only 10 participants of CN, the intervals are too narrow" in said


@pytest.mark.parametrize("label", [[0] * 5, [0], [0, 1]])
def test_what_cannot_be_scored_still_makes_a_report(tmp_path, label):
    told = told_by(2, label=label)
    _, html = report_on(tmp_path, told, floors={"itself": told}, history=HISTORY[:1])
    assert "How well it ranks them cannot be said" in Page(html).said()
    assert not re.search(r"\bnan\b|\bNone\b", Page(html).said(), re.IGNORECASE)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium here")
def test_a_browser_opens_it_on_a_phone_without_complaint(tmp_path, plain):
    told = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=390,844",
            f"--screenshot={tmp_path / 'seen.png'}",
            (plain[0] / "report.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "CONSOLE" not in told.stderr
    seen = np.asarray(Image.open(tmp_path / "seen.png").convert("L"))
    assert (seen < 128).mean() > 0.01  # ink
