"""``predict`` on many scans: its page, what it keeps, what it says of its numbers."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.unit.serving.served import SLICES, picture, write_model

from vit_dementia.evaluation.calibrated import Calibration
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.inference.model_folder import read_model_folder, write_calibration
from vit_dementia.inference.predictor import Predictor


@pytest.fixture
def scans(tmp_path):
    (tmp_path / "Doe").mkdir()
    files = [tmp_path / "Doe" / f"sub-{number}_slice-0.png" for number in range(4)]
    for number, file in enumerate(files):
        Image.fromarray(picture(number)).save(file)
    files[3].write_bytes(b"no picture")
    return files


@pytest.fixture
def model(tmp_path):
    """Write a model that was calibrated on forty people."""
    run = write_model(tmp_path / "run", SLICES)
    classes = read_model_folder(run).classes
    rng = np.random.default_rng(0)
    label = np.arange(40) % 2
    share = np.clip(label * 0.4 + rng.uniform(0, 0.6, 40), 0.01, 0.99)
    told = Predictions.from_arrays(
        classes,
        participant_ids=[f"sub-{number:02}" for number in range(40)],
        session_ids=["n/a"] * 40,
        paths=[f"{number}.png" for number in range(40)],
        labels=[classes[one] for one in label],
        probabilities=np.stack([1 - share, share], axis=1),
    )
    write_calibration(run, Calibration.fit(told, positive=classes[1:]))
    return run


def test_the_page_tells_what_the_document_tells_and_names_no_file(
    model, scans, command, tmp_path
) -> None:
    words = ("predict", model, *scans, "--html=page.html", "--json", "--device=cpu")
    document = json.loads(command(*words, check=3).stdout)
    text = (tmp_path / "page.html").read_text("utf-8")
    told = document["participants"] + document["results"]
    shares = [f"{100 * p:.1f} %" for one in told for p in _shares(one)]
    assert re.findall(r"<dt>\w+: ([\d.]+ %)</dt>", text) == shares
    seen = [one["observed"] for one in told if one["observed"]]
    sentences = re.findall(r"Of (\d+) validation participants[^,]*, (\d+) %", text)
    assert sentences == [
        (str(one["n_participants"]), f"{100 * one['share']:.0f}") for one in seen
    ]
    assert len(seen) == 6
    assert "4 scans, 1 of them refused" in text
    assert document["disclaimer"] in text
    assert "Doe" not in text
    assert ".png" not in text


def _shares(told) -> list[float]:
    return list((told["probabilities"] or {}).values())


def test_what_is_observed_is_the_bin_of_the_participants_probability(
    model, scans, command
) -> None:
    document = json.loads(command("predict", model, *scans, "--json", check=3).stdout)
    bins = document["model"]["calibration"]["observed"]
    assert sum(one["n_participants"] for one in bins) == 40
    assert sum(one["num_positive"] for one in bins) == 20
    for one in document["participants"]:
        (mine,) = [
            edge
            for edge in bins
            if edge["above"] < one["probabilities"]["MildDemented"] <= edge["up_to"]
        ]
        assert one["observed"] == mine


def test_a_table_of_many_goes_on_where_it_was_stopped(
    model, scans, command, monkeypatch
) -> None:
    words = ("predict", model, *scans, "--json", "--device=cpu")
    command(*words, "--out=whole", check=3)
    command(*words[:3], "--json", "--device=cpu", "--out=two")
    read, as_it_was = [], Predictor._prepared
    monkeypatch.setattr(
        Predictor,
        "_prepared",
        lambda self, path: read.append(path.name) or as_it_was(self, path),
    )
    command(*words, "--out=two", check=3)
    assert read == [scan.name for scan in scans[1:]]
    one, two = (
        pd.read_csv(f"{folder}/predictions.tsv", sep="\t")
        for folder in ("whole", "two")
    )
    pd.testing.assert_frame_equal(one, two, rtol=1e-5)  # batches of other sizes


def test_a_table_stands_for_its_scans_and_says_who_is_on_them(
    model, scans, command, tmp_path
) -> None:
    rows = [("Doe/sub-1_slice-0.png", "A"), ("Doe/sub-0_slice-0.png", "B")]
    table = pd.DataFrame(rows, columns=["path", "participant_id"])
    table.to_csv(tmp_path / "many.tsv", sep="\t", index=False)
    listed = json.loads(command("predict", model, "many.tsv", "--json").stdout)
    assert [one["participant_id"] for one in listed["results"]] == ["A", "B"]
    named = json.loads(command("predict", model, scans[1], scans[0], "--json").stdout)
    shares = [
        [one["probabilities"] for one in told["results"]] for told in (listed, named)
    ]
    assert shares[0] == shares[1]
    table[["path"]].to_csv(tmp_path / "paths.csv", index=False)
    nameless = json.loads(command("predict", model, "paths.csv", "--json").stdout)
    told = [one["participant_id"] for one in nameless["results"]]
    assert told == ["sub-1", "sub-0"]  # file names tell
    table[["participant_id"]].to_csv(tmp_path / "wrong.csv", index=False)
    done = command("predict", model, "wrong.csv", check=2)
    assert "wrong.csv" in done.stderr
    assert "path" in done.stderr
