"""``predict`` on many scans: its page, what it keeps, what it says of its numbers."""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.unit.serving.served import SLICES, calibrate, picture, write_model

from vit_dementia.cli.predict import _tell
from vit_dementia.errors import ConfigError
from vit_dementia.evaluation.calibrated import Sets
from vit_dementia.inference.growing import GrowingTables
from vit_dementia.inference.model_folder import (
    read_model_folder,
    write_likeness,
    write_model_folder,
)
from vit_dementia.inference.predictor import Predictor
from vit_dementia.preparation.likeness import Likeness
from vit_dementia.workflows import predict_apart
from vit_dementia.workflows.apart import Died
from vit_dementia.workflows.predict_apart import OnCluster, opened


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
    return calibrate(write_model(tmp_path / "run", SLICES))


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
    sentences = re.findall(r"Of (\d+) participants left out[^,]*, (\d+) %", text)
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


def test_the_text_tells_what_the_document_tells(
    scans, command, tmp_path, capsys
) -> None:
    model = calibrate(
        write_model(tmp_path / "sets", SLICES), sets=Sets(0.9, 0.7, 20, "test")
    )
    images = np.stack([picture(seed)[None] for seed in range(20)])
    write_likeness(model, Likeness.of(images))
    nobody = shutil.copy(scans[0], tmp_path / "Doe" / "nobody.png")
    words = ("predict", model, *scans, nobody, "--device=cpu")
    document = json.loads(command(*words, "--json", check=3).stdout)
    done = command(*words, check=3)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    told = [one for one in document["results"] if one["probabilities"]]
    people = document["participants"]
    names = [one["path"] for one in told]
    names += [f"{one['participant_id']} (1 scans)" for one in people]
    assert [line[0] for line in lines] == names
    for line, one in zip(lines, [*told, *people], strict=True):
        shares = "  ".join(f"{c} {p:.3f}" for c, p in one["probabilities"].items())
        assert line[1:3] == [one["predicted"], shares]
        seen, rest = one["observed"], []
        if one.get("participant_id") is None or one in people:
            rest = [
                f"MildDemented: {one['early']}",
                f"not ruled out: {', '.join(one['set'])}",
                f"{seen['share']:.0%} [{seen['low']:.0%}, {seen['high']:.0%}] of "
                f"{seen['n_participants']} participants told alike were MildDemented",
            ]
        if "quality" in one:
            rest += [f"distance {one['distance']:.2f} (limit 1)", "not assessed"]
        assert line[3:] == rest
    assert f"refused: {scans[3]}: " in done.stderr
    reasons = [f"{told[0]['path']}: too dark", "too coarse"]
    told[0]["quality"] = {"verdict": "warn", "reasons": reasons}
    _tell(document)
    first = capsys.readouterr().out.splitlines()[0]
    assert first.endswith("(limit 1)\twarn: too dark; too coarse")


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


@pytest.mark.slow
def test_a_cluster_gives_the_same_answers_to_the_last_bit(
    model, scans, command, tmp_path, monkeypatch
) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr("vit_dementia.inference.predictor.BATCH_SIZE", 2)
    for number in range(4, 11):
        file = tmp_path / "Doe" / f"sub-{number // 2}_slice-{number}.png"
        Image.fromarray(picture(number)).save(file)
    words = ("predict", "run", "Doe", "--json", "--device=cpu")
    alone = command(*words, "--out=alone", check=3).stdout
    told = []
    as_it_was = GrowingTables.__call__
    monkeypatch.setattr(
        GrowingTables,
        "__call__",
        lambda self, so_far: told.append(1) or as_it_was(self, so_far),
    )
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        spread = ("--scheduler", cluster.scheduler_address)
        assert command(*words, "--out=spread", *spread, check=3).stdout == alone
        assert len(told) == 6  # eleven scans, two at once
        named = command("predict", "run", *sorted((tmp_path / "Doe").iterdir()),
                        "--json", "--device=cpu", *spread, check=3).stdout  # fmt: skip
        with distributed.Client(cluster.scheduler_address) as client:
            pids = client.run(os.getpid)
    assert os.getpid() not in pids.values()
    assert len(pids) == 2
    for name in ("predictions.tsv", "predictions_participants.tsv"):
        assert Path("spread", name).read_bytes() == Path("alone", name).read_bytes()
    assert named.replace(f"{tmp_path}/", "") == alone


def test_a_batch_whose_worker_died_is_read_again_scan_by_scan(
    model, scans, monkeypatch
) -> None:
    asked = []

    def each(work, tasks, *, scheduler):
        for place, task in enumerate(tasks):
            asked.append([Path(name).name for name in task.names])
            is_bad = any("sub-1" in name for name in task.names)
            yield place, Died("lost") if is_bad else work(task)

    monkeypatch.setattr(predict_apart, "each_apart", each)
    monkeypatch.setattr("vit_dementia.inference.predictor.BATCH_SIZE", 2)
    predictor = Predictor.load(model, device="cpu")
    way = opened(model, predictor, "torch", "cpu")
    on_cluster = OnCluster(scheduler="tcp://somewhere", model=way)
    answer = predictor(scans, reading=on_cluster)
    names = [scan.name for scan in scans]
    assert asked == [names[:2], names[2:], names[:1], names[1:2]]
    assert answer.refused[str(scans[1])] == f"{scans[1]}: lost"
    assert answer.predictions.table.path.tolist() == [str(scans[0]), str(scans[2])]
    for wrong in ({"sha256": "0" * 64}, {"way": "cuda, bfloat16"}):
        other = OnCluster(scheduler="tcp://somewhere", model=replace(way, **wrong))
        with pytest.raises(ConfigError, match="a worker"):
            predictor(scans, reading=other)


def test_a_zip_is_not_sent_to_a_cluster(model, scans, command, tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "scans.zip", "w") as archive:
        archive.write(scans[0], scans[0].name)
    words = ("--scheduler=tcp://127.0.0.1:9", "--json")
    done = command("predict", model, "scans.zip", *words, check=2)
    assert "unpacked on this machine alone" in done.stderr


def test_every_answer_says_which_model_it_is_of_and_on_whom_that_was_trained(
    model, scans, command, tmp_path
) -> None:
    facts = {"training participants": 30, "validation participants": 8}
    facts |= {"training slices": 90, "allow_leakage": ""}
    saved = read_model_folder(model)
    write_model_folder(
        model / "model", saved.network, classes=saved.classes, ordered=saved.ordered,
        preprocessing=saved.preprocessing, facts=facts,
    )  # fmt: skip
    sentence = (
        "trained on 30 training participants (90 slices), "
        "chosen on 8 validation participants"
    )
    words = ("predict", model, scans[0], "--device=cpu")
    said = command(*words, "--out=told", "--html=page.html").stderr
    told = json.loads((tmp_path / "told" / "model.json").read_text())
    assert f"answered by the model {told['sha256'][:12]}, {sentence}" in said
    assert told["trained_on"] == sentence
    assert "research use only" in told["disclaimer"].lower()
    assert f"The model was {sentence}." in (tmp_path / "page.html").read_text("utf-8")
    document = json.loads(command(*words, "--json").stdout)
    assert document["model"]["trained_on"] == sentence
    assert document["model"]["sha256"] == told["sha256"]
