"""Published tables say what their predictions say."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, roc_auc_score

from vit_dementia.data.cohort import Cohort
from vit_dementia.explanation.faithfulness import DESTROYED
from vit_dementia.explanation.outside import LARGEST, LARGEST_MEDIAN

TABLES = Path(__file__).resolve().parents[2] / "docs" / "tables"


def _rows() -> list[pd.Series]:
    file = TABLES / "slices.tsv"
    return [row for _, row in pd.read_csv(file, sep="\t").iterrows()]


def _auroc_within_folds(is_positive, score, fold) -> float:
    """Weigh each fold's AUROC by its pairs of a positive and a negative."""
    won = pairs = 0.0
    for number in np.unique(fold):
        mine = fold == number
        num = is_positive[mine].sum() * (~is_positive[mine]).sum()
        won += num * roc_auc_score(is_positive[mine], score[mine])
        pairs += num
    return won / pairs


def test_slices_are_scored_as_their_predictions_say() -> None:
    for row in _rows():
        told = pd.read_csv(TABLES / row.predictions, sep="\t")
        names = [name for name in told.columns if name.startswith("p_")]
        assert len(told) == (
            row.n_participants if row.unit == "participant" else row.n_images
        )
        assert told.person.nunique() == row.n_participants
        healthy = names[0]
        is_positive = (told.label != healthy.removeprefix("p_")).to_numpy()
        score = (1 - told[healthy]).to_numpy()
        fold = told.fold if "fold" in told else pd.Series(np.zeros(len(told)))
        expected = _auroc_within_folds(is_positive, score, fold.to_numpy())
        assert row.auroc == pytest.approx(expected, abs=2e-3), row.predictions
        predicted = [
            names[i].removeprefix("p_") for i in told[names].to_numpy().argmax(1)
        ]
        assert row.accuracy == pytest.approx(
            accuracy_score(told.label, predicted), abs=2e-3
        )
        assert np.isnan(row.auroc_low) or row.auroc_low <= row.auroc <= row.auroc_high


def test_volumes_are_scored_as_their_predictions_say() -> None:
    table = pd.read_csv(TABLES / "volumes.tsv", sep="\t")
    for _, row in table.iterrows():
        name = row.model.replace(",", "").replace(" ", "-")
        told = pd.read_csv(TABLES / "volumes" / f"{name}.tsv", sep="\t")
        assert len(told) == told.person.nunique() == 179
        if "60" in row.group:
            told = told[told.old]
        if "like" in row.group:
            told = told[told.like_others]
        is_positive = (told.label == "dementia").to_numpy()
        assert (len(told), is_positive.sum()) == (row.n_participants, row.n_dementia)
        expected = _auroc_within_folds(
            is_positive, told.p_dementia.to_numpy(), told.fold.to_numpy()
        )
        assert row.auroc == pytest.approx(expected, abs=2e-3), row.model
    page = (TABLES.parent / "explanation" / "volumes.md").read_text("utf-8")
    for model in set(table.model):
        assert page.count(f"| {model} |") == table.group.nunique()
    scores = table[table.group == "everybody"].set_index("model").auroc
    pairs = re.findall(r"^\| (.+) \u2212 (.+) \| (\S+) \[", page, re.MULTILINE)
    assert len(pairs) >= 6
    for one, other, difference in pairs:
        said = float(difference.replace("\u2212", "-"))
        assert said == pytest.approx(scores[one] - scores[other], abs=6e-3)


def test_no_prediction_names_a_participant_or_a_path() -> None:
    for file in (*TABLES.glob("slices/*.tsv"), *TABLES.glob("volumes/*.tsv")):
        text = file.read_text()
        assert "OAS" not in text
        assert ".jpg" not in text
        assert "sub-" not in text


def test_explanations_are_summed_up_as_their_scores_say() -> None:
    scores = pd.read_csv(TABLES / "explanations" / "scores.tsv", sep="\t")
    table = pd.read_csv(TABLES / "explanations.tsv", sep="\t")
    assert set(scores.method) == set(table.method)
    page = (TABLES.parent / "explanation" / "explanations.md").read_text("utf-8")
    for _, row in table.iterrows():
        mine = scores[scores.method == row.method]
        assert (
            len(mine) == row.participants == len(mine[["seed", "slice"]].value_counts())
        )
        for name in ("auroc", "hit", "mass"):
            mean, error = mine[name].mean(), 1.96 * mine[name].std() / len(mine) ** 0.5
            assert row[name] == pytest.approx(mean, abs=1e-3)
            assert row[f"{name}_low"] == pytest.approx(mean - error, abs=0.02)
            assert row[f"{name}_high"] == pytest.approx(mean + error, abs=0.02)
        told = f"{row.auroc:.2f} ({row.auroc_low:.2f}\u2013{row.auroc_high:.2f})"
        assert f"| {row.method} | {told} |" in page
        if row.method not in {"random", "middle"}:  # floors take no time
            (line,) = [one for one in page.splitlines() if f"| {told} |" in one]
            assert line.endswith(f" {row.faithful:.2f} | {row.seconds:.3f} |")


def test_the_limit_of_what_lies_outside_the_head_is_that_of_clean_phantoms() -> None:
    scores = pd.read_csv(TABLES / "explanations" / "scores.tsv", sep="\t")
    for method, limit in LARGEST.items():
        shares = scores.outside[scores.method == method]
        needed = np.quantile(shares, 0.95) + 0.1
        assert needed - 0.005 <= limit < needed + 0.05, method  # rounded to twentieths
        medians = scores[scores.method == method].groupby("seed").outside.median()
        assert LARGEST_MEDIAN[method] == pytest.approx(medians.max() + 0.1, abs=0.01)


def test_maps_of_permuted_labels_stand_on_the_page_and_differ_from_the_true() -> None:
    table = pd.read_csv(TABLES / "permuted_maps.tsv", sep="\t")
    page = (TABLES.parent / "explanation" / "explanations.md").read_text("utf-8")
    assert set(table.method) == set(LARGEST)
    for _, row in table.iterrows():
        assert f"| {row.method} | {row.permuted:.2f} (".replace("-0", "\u22120") in page
        assert row.permuted_high < DESTROYED
        assert row.learned >= 0.95


def test_what_preparing_takes_stands_on_its_page() -> None:
    table = pd.read_csv(TABLES / "prepare.tsv", sep="\t")
    page = (TABLES.parent / "how-to" / "prepare.md").read_text("utf-8")
    assert (table.same_again == "yes").all()
    phantoms = table[table.scan.str.startswith("phantom")]
    assert sorted(phantoms.pipeline) == ["fast", "none", "t1-linear"]
    (heads,) = table[table.scan == "heads of three scanners"].cpu_s_per_scan
    assert f"took `fast` {heads:.0f} s each" in page
    for _, row in phantoms.iterrows():
        (line,) = re.findall(rf"^\| `{row.pipeline}`.*$", page, re.MULTILINE)
        said = f"| {row.cpu_s_per_scan:.0f} s, {row.peak_mib / 1024:.1f} GB |"
        assert line.endswith(said)


def test_a_table_says_of_which_commit_by_which_command_and_in_what_time() -> None:
    scripts = {file.stem for file in TABLES.glob("*.py")}
    written = {file.stem: file for file in TABLES.glob("*.tsv")}
    for name in sorted(scripts & set(written)):
        table = pd.read_csv(written[name], sep="\t")
        times = {"duration_s", "minutes", "seconds"} & set(table)
        assert {"commit", "command"} <= set(table), name
        assert times, name


def test_what_leaving_work_out_is_worth_stands_on_its_page() -> None:
    table = pd.read_csv(TABLES / "savings.tsv", sep="\t").set_index("what")
    page = (TABLES.parent / "explanation" / "speed.md").read_text("utf-8")
    for name, row in table.iterrows():
        if name.startswith("10 epochs"):
            assert f"{1 / row.ratio:.2f}" in page, name
        else:
            assert f"| {row.ratio:.2f} | 5 |" in page, name


def test_memory_stands_on_its_page_and_holds_no_images() -> None:
    table = pd.read_csv(TABLES / "memory.tsv", sep="\t")
    page = (TABLES.parent / "explanation" / "speed.md").read_text("utf-8")
    for row in table.itertuples():
        said = (
            f"| {row.images:,} | {row.own_mib} MiB | {row.mapped_mib} MiB "
            f"| {row.packed_mib} MiB | {row.seconds / 60:.1f} |"
        )
        assert said in page
    least, most = table.iloc[0], table.iloc[-1]
    grown_kb = (most.own_mib - least.own_mib) * 1024 / (most.images - least.images)
    assert most.images >= 100_000
    assert grown_kb < 1  # of an image of 32 x 32, which is 1 kB


def test_labels_are_permuted_among_people_who_each_keep_one(tmp_path) -> None:
    permuted = runpy.run_path(str(TABLES / "permuted_maps.py"))["permuted"]
    for number in range(40):
        folder = tmp_path / ("NonDemented", "MildDemented")[number // 2 % 2]
        folder.mkdir(exist_ok=True)
        name = f"sub-{number // 2:02}_slice-{number % 2}.png"
        Image.new("L", (16, 16), number).save(folder / name)
    cohort = Cohort.from_path(tmp_path)
    dealt = permuted(cohort, seed=0)
    before, after = (one.table.groupby("participant_id") for one in (cohort, dealt))
    assert (after.label.nunique() == 1).all()
    assert sorted(after.label.first()) == sorted(before.label.first())
    assert 0.2 < (after.label.first() != before.label.first()).mean() < 1
    rest = cohort.table.drop(columns="label")
    pd.testing.assert_frame_equal(dealt.table.drop(columns="label"), rest)
