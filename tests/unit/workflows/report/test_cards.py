"""The cards say what the report says, and the hub can read their heads."""

from __future__ import annotations

import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard
from markdown_it import MarkdownIt

from vit_dementia.evaluation.scores import score
from vit_dementia.workflows.report.options import ReportOptions
from vit_dementia.workflows.report.study import OUT_OF_FOLD, study_of
from vit_dementia.workflows.report.write import write_report

MARKUP = "<script>alert(1)</script> [x](javascript:1) | *a*\n# b"


@pytest.fixture
def written(tmp_path, cohort, told_of, run, monkeypatch):
    """Write a report, figures left out, and return its folder and metrics."""
    monkeypatch.setattr("vit_dementia.workflows.report.write.draw", lambda *_: [])

    def write(part="test", classes=None, **options):
        told = told_of(cohort)
        floors = {"another": told_of(cohort, skill=0, seed=1)}
        metrics = score(told, floors=floors)
        study = study_of(run, part, options=ReportOptions(**options))
        if part == OUT_OF_FOLD:
            study = {**study, "scored": part}
        write_report(
            tmp_path, metrics=metrics, predictions=told, floors=floors, study=study
        )
        return tmp_path, metrics

    return write


def test_the_hub_reads_the_scores_in_the_head(written) -> None:
    folder, metrics = written(data_source="a study", data_license="its terms")
    card = ModelCard((folder / "model_card.md").read_text(encoding="utf-8"))
    results = {one.metric_type: one for one in card.data.eval_results}
    auroc = metrics["by_participant"]["scores"]["auroc"]
    assert results["roc_auc"].metric_value == round(auroc["value"], 4)
    assert (
        f"{auroc['low']:.2f} to {auroc['high']:.2f}" in results["roc_auc"].metric_name
    )
    assert results["roc_auc"].dataset_name == "a study"
    assert card.data.license == "unknown"  # of the weights: nobody said
    for words in ("another site", "its terms", "Nothing leaks", "Research use"):
        assert words in card.text


def test_what_nobody_told_is_not_provided(written) -> None:
    folder, _ = written()
    for name in ("model_card.md", "data_card.md"):
        text = (folder / name).read_text(encoding="utf-8")
        assert "Source: not provided" in text
        assert "License: not provided" in text


def test_the_data_card_counts_people(written) -> None:
    folder, _ = written()
    card = DatasetCard((folder / "data_card.md").read_text(encoding="utf-8"))
    assert card.data.task_categories == ["image-classification"]
    assert "| participants | " in card.text
    assert "60 by table" in card.text


def test_cards_name_no_path_and_no_participant(written) -> None:
    folder, _ = written()
    for name in ("model_card.md", "data_card.md"):
        text = (folder / name).read_text(encoding="utf-8")
        assert not [
            bad for bad in ("who-", "id-0", "secret-place", ".png") if bad in text
        ]


def test_several_models_have_no_card_of_a_model(written) -> None:
    folder, _ = written(part=OUT_OF_FOLD)
    assert (folder / "data_card.md").is_file()
    assert not (folder / "model_card.md").exists()


def test_markup_in_what_people_told_stays_words(written) -> None:
    folder, _ = written(data_source=MARKUP, data_license=MARKUP)
    for name in ("model_card.md", "data_card.md"):
        _, head, body = (folder / name).read_text(encoding="utf-8").split("---\n", 2)
        assert isinstance(yaml.safe_load(head), dict)
        page = MarkdownIt("commonmark", {"html": True}).enable("table").render(body)
        assert "<script" not in page
        assert "<a " not in page
        assert "<em>" not in page
        assert "&lt;script&gt;" in page
