"""What docs/reference says of the answer of ``predict`` is what it is: each field."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image
from tests.conftest import REPO_ROOT
from tests.unit.inference.test_folds import folder as _folder  # noqa: F401  # fixture
from tests.unit.serving.served import (
    SLABS,
    SLICES,
    calibrate,
    head,
    picture,
    write_model,
)
from tests.unit.serving.test_received import received

from vit_dementia.data.volumes import Volume, write_volume
from vit_dementia.evaluation import calibrated
from vit_dementia.evaluation.calibrated import Sets
from vit_dementia.inference import answer
from vit_dementia.limits import ServingLimits
from vit_dementia.serving import work
from vit_dementia.workflows import answer_page

REFERENCE = (REPO_ROOT / "docs" / "reference" / "files.md").read_text("utf-8")
SETS = Sets(0.9, 0.7, 20, "test")


def schema():
    file = resources.files("vit_dementia.workflows").joinpath("predict.schema.json")
    return json.loads(file.read_text("utf-8"))


def section(title: str) -> str:
    return REFERENCE.split(f"{title}\n", 1)[1].split("\n##", 1)[0]


def documented() -> dict[tuple[str, str], str]:
    """Return object and field with the kind of value, as the reference has them."""
    text = section("## Answer of `predict --json`")
    rows = re.findall(r"^\| ([\w-]+) \| `(\w+)` \| ([^|]+) \|", text, re.M)
    assert len(rows) == len({row[:2] for row in rows})
    return {(name, field): kind for name, field, kind in rows}


def test_the_reference_has_every_field_of_the_schema_and_no_other() -> None:
    told = schema()
    jsonschema.Draft202012Validator.check_schema(told)
    parts = {"document": told} | told["$defs"]
    fields = {(n, field) for n, part in parts.items() for field in part["properties"]}
    assert set(documented()) == fields
    for (name, field), kind in documented().items():
        is_nullable = '"null"' in json.dumps(parts[name]["properties"][field])
        is_nullable |= None in parts[name]["properties"][field].get("enum", ())
        if name != "participant" or field not in ("probabilities", "predicted"):
            assert ("null" in kind) == is_nullable, (name, field)


def test_the_versions_are_those_of_the_code() -> None:
    told = schema()
    assert told["properties"]["format"]["const"] == answer.FORMAT_VERSION
    assert told["$defs"]["calibration"]["properties"]["format"]["const"] == (
        calibrated.FORMAT
    )
    assert work.FORMAT == answer.FORMAT_VERSION
    assert f"`html[data-format]` is {answer_page.FORMAT};" in REFERENCE


@pytest.fixture
def scans(tmp_path):
    for number in range(4):
        file = tmp_path / "scans" / f"sub-{number // 2}_{number}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(picture(number)).save(file)
    (tmp_path / "scans" / "nobody.png").write_bytes(b"no picture")
    return tmp_path / "scans"


def names_in(told, found=None, prefix="") -> set[str]:
    """Return every field of a document, lists and classes left out."""
    found = set() if found is None else found
    if isinstance(told, list):
        for one in told:
            names_in(one, found, prefix)
    elif isinstance(told, dict):
        for name, value in told.items():
            if prefix != "probabilities":
                found.add(name)
            names_in(value, found, name)
    return found


def test_every_answer_is_as_documented_and_every_field_is_told_by_one(
    scans, command, tmp_path, request
) -> None:
    plain = write_model(tmp_path / "plain", SLICES)
    told = calibrate(write_model(tmp_path / "run", SLICES), sets=SETS)
    slabs = calibrate(write_model(tmp_path / "slabs", SLABS))
    voxels = head().astype(np.float32)
    write_volume(tmp_path / "a.nii.gz", Volume(voxels, np.diag([4.4, 4.4, 4.4, 1])))
    folds = request.getfixturevalue("_folder")
    few = [scans / name for name in ("sub-0_0.png", "sub-0_1.png", "nobody.png")]
    documents = [
        json.loads(command("predict", *words, "--json", "--device=cpu", check=code)
                   .stdout)
        for code, words in (
            (3, (plain, scans)),
            (3, (told, *few, "--explain", "--out=out", "--html=page.html")),
            (0, (slabs, "a.nii.gz")),
            (2, (told, scans / "nobody.png")),
            (3, (folds, scans)),
        )
    ]  # fmt: skip
    checked = jsonschema.Draft202012Validator(schema())
    for document in documents:
        checked.validate(document)
    found = set().union(*map(names_in, documents))
    assert found == {field for _, field in documented()}
    parts = section("### The page of `predict --html`")
    classes = set(re.findall(r"^\| `(\w+)` \|", parts, re.M))
    page = Path("page.html").read_text("utf-8")
    assert f'data-format="{answer_page.FORMAT}"' in page
    used = {
        name for words in re.findall(r'class="([^"]+)"', page) for name in words.split()
    }
    # No leak was allowed here, and nobody kept what the training looked like;
    # the model does not weigh slices.
    assert used - {"small"} == classes - {"leak", "distance", "weights"}
    documents[0]["results"][0]["distance"] = 0.5
    documents[0]["results"][0]["slice_weights"] = [1.0]
    other = answer_page.page(
        documents[0],
        {"classes": ["a", "b"], "positive": ["b"], "scaling": "none", "sha256": "0",
         "calibrated_on": 0, "allow_leakage": "old", "evaluation": None,
         "trained_on": "trained on 3 training participants"},
    )  # fmt: skip
    assert 'class="leak ' in other
    assert 'class="distance ' in other
    assert 'class="weights ' in other


def test_http_tells_the_same_fields_with_numbers_for_names(scans, tmp_path) -> None:
    run = calibrate(write_model(tmp_path / "run", SLICES), sets=SETS)
    contents = [file.read_bytes() for file in sorted(scans.iterdir())]
    (tmp_path / "asked").mkdir()
    folder = received(tmp_path / "asked", *contents)
    job = work.Job(question="predict", folder=folder, same_person=True)
    (reply,) = work.Work(run, "cpu", ServingLimits())([job])
    told = json.loads(json.dumps(reply.body))
    for one in told["results"]:
        one["path"] = str(one.pop("scan"))
    for one in (*told["results"], *told["participants"]):
        who = one.pop("participant")
        one["participant_id"] = None if who is None else str(who)
    jsonschema.Draft202012Validator(schema()).validate(told)
    assert len(told["participants"]) == 1
