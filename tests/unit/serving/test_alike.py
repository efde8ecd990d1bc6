"""Cases like this over HTTP: those of ``explain --cases``, and nobody is named."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from tests.unit.serving import served

from vit_dementia.cli.app import run as command
from vit_dementia.data.cohort import Cohort
from vit_dementia.errors import CheckpointError, ConfigError
from vit_dementia.limits import ServingLimits
from vit_dementia.serving.alike import Offered
from vit_dementia.serving.work import Work


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return served.write_run(tmp_path_factory.mktemp("a-run"))


def ask(run: Path, scan: Path, offered: Offered, *, route: str = "cases?scan=1"):
    with served.listening(served.Here.with_model(run, offered=offered)) as url:
        form = [("files", ("Doe^Jane.png", scan.read_bytes()))]
        return httpx.post(f"{url}/v1/{route}", files=form, timeout=60)


def test_cases_are_those_of_the_command_and_name_nobody(run, tmp_path, capsys) -> None:
    cohort = Cohort.read(run / "cohort.tsv")
    scan = tmp_path / "scan.png"
    Image.fromarray(served.picture(7)).save(scan)
    words = ["explain", run, scan, "--cases=3", "--method=rollout", "--json"]
    capsys.readouterr()
    told = command([str(word) for word in (*words, f"--out={tmp_path / 'maps'}")])
    (shell,) = json.loads(capsys.readouterr().out)["results"]
    assert told == 0
    reply = ask(run, scan, Offered(cases=3))
    assert reply.status_code == 200
    cases = reply.json()["cases"]
    for name in ("label", "distance"):
        assert [one[name] for one in cases] == [one[name] for one in shell["cases"]]
    # Whoever has the table of the training can look them up, at the line as it stands.
    lines = (run / "cohort.tsv").read_text().splitlines()
    for one, other in zip(cases, shell["cases"], strict=True):
        assert other["participant_id"] in lines[one["line"] - 1].split("\t")
    assert [one["picture"] for one in cases] == [None] * 3
    for who in cohort.table["participant_id"]:
        assert who not in reply.text
    assert not re.search(r"sub-|slice-|\.png|Jane|/", reply.text.replace("n/a", ""))


def test_a_scan_of_the_training_finds_itself_and_is_drawn_where_that_is_allowed(
    run,
) -> None:
    cohort = Cohort.read(run / "cohort.tsv")
    offered = Offered(cases=2, show_scans=True)
    line = int(Work(run, "cpu", ServingLimits(), offered)._cases.features.lines[0])
    reply = ask(run, cohort.file_of(line), offered)
    first, second = reply.json()["cases"]
    assert first["line"] == line + 2
    assert first["distance"] < 1e-3 < second["distance"]  # kept in 16 bits
    drawn = Image.open(io.BytesIO(base64.b64decode(first["picture"])))
    stored = np.asarray(Image.open(cohort.file_of(line)), float)
    assert drawn.size == stored.shape[::-1]
    assert np.corrcoef(np.asarray(drawn, float).ravel(), stored.ravel())[0, 1] > 0.99


def test_cases_are_not_offered_unless_somebody_asked_for_them(run, tmp_path) -> None:
    scan = tmp_path / "scan.png"
    Image.fromarray(served.picture(7)).save(scan)
    reply = ask(run, scan, Offered())
    assert reply.status_code == 404
    assert "--cases N" in reply.json()["error"]["faults"][0]
    with served.listening(served.Here.with_model(run)) as url:
        assert httpx.get(f"{url}/v1/model").json()["cases"] is None
    with served.listening(served.Here.with_model(run, offered=Offered(cases=2))) as url:
        told = httpx.get(f"{url}/v1/model").json()["cases"]
        assert told == {"count": 2, "scans_shown": False}


def test_a_file_that_is_no_scan_has_no_cases(run, tmp_path) -> None:
    (tmp_path / "scan.png").write_bytes(b"\x89PNG no scan")
    reply = ask(run, tmp_path / "scan.png", Offered(cases=2))
    assert reply.status_code == 422
    reply = ask(run, tmp_path / "scan.png", Offered(cases=2), route="cases?scan=2")
    assert reply.status_code == 422


def test_a_model_folder_alone_offers_no_cases(run, slice_model) -> None:
    for where in (run / "model", slice_model):
        with pytest.raises(CheckpointError, match="needs the run folder"):
            Work(where, "cpu", ServingLimits(), Offered(cases=2))
    with pytest.raises(ConfigError, match="needs --cases N"):
        Work(run, "cpu", ServingLimits(), Offered(show_scans=True))
