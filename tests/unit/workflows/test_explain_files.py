"""One explain behind the command and Python; what it writes is what it says."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import vit_dementia
from vit_dementia.errors import ConfigError, DataError
from vit_dementia.inference.folds import SavedFolds
from vit_dementia.inference.model_folder import write_model_folder
from vit_dementia.workflows import explain as explain_module
from vit_dementia.workflows import explain_files
from vit_dementia.workflows.explain import Asked
from vit_dementia.workflows.explain_kept import KeptMaps
from vit_dementia.workflows.explain_predicted import one_model, with_maps

from .conftest import CLASSES


@pytest.fixture(scope="module")
def folder(tmp_path_factory, untrained):
    """Return a model folder, two scans of one person and a broken one."""
    root = tmp_path_factory.mktemp("explained")
    write_model_folder(
        root / "model",
        untrained.network,
        classes=CLASSES,
        ordered=True,
        preprocessing=untrained.preprocessing,
        facts={},
    )
    rng = np.random.default_rng(0)
    for place in range(2):
        pixels = rng.integers(1, 255, (32, 24)).astype(np.uint8)
        (root / "scans/sub-07").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / f"scans/sub-07/{place}.png")
    (root / "scans/broken.png").write_bytes(b"nothing")
    return root


def test_python_writes_and_says_what_the_command_does(folder, tmp_path) -> None:
    done = vit_dementia.explain(
        folder / "model",
        [folder / "scans"],
        method="rollout",
        label=CLASSES[0],
        out=tmp_path / "maps",
    )
    assert done.folder == tmp_path / "maps"
    assert json.loads((done.folder / "explanations.json").read_text()) == done.document
    assert len(done.document["results"]) == 2
    assert len(done.document["refused"]) == 1
    (person,) = done.document["participants"]
    assert person["participant_id"] == "sub-07"  # its folder's name tells
    for one in (*done.document["results"], person, *done.document["groups"]):
        assert (done.folder / one["picture"]).is_file()
    table = pd.read_csv(done.folder / "explanations.tsv", sep="\t")
    assert "regions" not in table
    assert not (done.folder / "regions.tsv").exists()  # slices lie in no template


def test_nothing_is_known_of_who_is_who_without_a_run(folder) -> None:
    assert explain_files.truth_in(folder / "model") == {}


def test_a_run_tells_the_class_of_its_participants(run) -> None:
    truth = explain_files.truth_in(run.path)
    assert truth["id-00"] == CLASSES[0]
    assert truth["id-02"] == CLASSES[2]
    assert len(truth) == 30


def test_predict_names_the_map_of_each_scan_and_person(
    untrained, folder, tmp_path
) -> None:
    scans = [str(folder / f"scans/sub-07/{n}.png") for n in range(2)]
    told = {"probabilities": {}, "predicted": CLASSES[1], "participant_id": "p1"}
    alone = {"path": scans[1], "predicted": CLASSES[2], "participant_id": None}
    document = {
        "results": [
            told | {"path": scans[0], "probabilities": {CLASSES[1]: 1.0}},
            told | alone | {"probabilities": {CLASSES[2]: 1.0}},
            told | {"path": "refused.png", "probabilities": None},
        ],
        "participants": [
            {"participant_id": "p1", "predicted": CLASSES[0], "num_scans": 1}
        ],
    }
    found = with_maps(document, untrained, tmp_path, device="cpu")
    of_scan = [one["explanation"] for one in found["results"]]
    assert of_scan[0]["class"] == CLASSES[0]  # what was told of the person
    assert of_scan[1]["class"] == CLASSES[2]
    assert of_scan[2] is None
    for one in of_scan[:2]:
        assert (tmp_path / one["picture"]).is_file()
        assert one["volume"] is None
        assert one["faithful"] == (one["reasons"] == "")
    (person,) = found["participants"]
    assert person["explanation"]["picture"] == of_scan[0]["picture"]
    assert person["explanation"]["num_scans"] == 1


def test_the_map_of_a_person_is_the_mean_of_all_their_scans_or_none(
    untrained, folder, tmp_path, monkeypatch
) -> None:
    scans = [str(folder / f"scans/sub-07/{n}.png") for n in range(2)]
    one = {"probabilities": {"a": 1.0}, "predicted": CLASSES[0], "participant_id": "p1"}
    person = {"participant_id": "p1", "predicted": CLASSES[0], "num_scans": 2}
    document = {
        "results": [one | {"path": path} for path in scans],
        "participants": [person],
    }
    found = with_maps(document, untrained, tmp_path, device="cpu")
    said = found["participants"][0]["explanation"]
    assert said["picture"] == "maps/participant-0001.png"
    assert said["num_scans"] == 2
    maps = {file: file.read_bytes() for file in (tmp_path / "maps").glob("*.*")}
    made, as_it_was = [], explain_module._explain
    monkeypatch.setattr(
        explain_module,
        "_explain",
        lambda *given: made.append(given[1].name) or as_it_was(*given),
    )
    assert with_maps(document, untrained, tmp_path, device="cpu") == found
    assert made == []
    assert maps == {file: file.read_bytes() for file in maps}  # the mean as well
    (tmp_path / "maps" / "0002.png").unlink()
    assert with_maps(document, untrained, tmp_path, device="cpu") == found
    assert made == ["1.png"]
    document["participants"] = [person | {"num_scans": 3}]
    again = with_maps(document, untrained, tmp_path, device="cpu")
    assert again["participants"][0]["explanation"] is None


def test_several_models_together_are_not_explained(untrained) -> None:
    assert one_model(untrained) is untrained
    folds = object.__new__(SavedFolds)
    with pytest.raises(ConfigError, match="name one of its folds"):
        one_model(folds)


def test_what_is_kept_of_a_map_is_of_that_scan_class_model_and_names_nobody(
    untrained, folder, tmp_path
) -> None:
    scan = str(folder / "scans/sub-07/0.png")
    one = {"path": scan, "participant_id": "p1", "predicted": CLASSES[0]}
    document = {
        "results": [one | {"probabilities": {"a": 1.0}}],
        "participants": [],
    }
    with_maps(document, untrained, tmp_path, device="cpu")
    kept = KeptMaps(tmp_path / "maps", untrained, Asked(), device="cpu")
    other = replace(untrained, sha256="1" * 64)
    assert kept.holds(1, scan, CLASSES[0])
    assert not kept.holds(1, scan, CLASSES[1])
    assert not kept.holds(2, scan, CLASSES[0])
    assert not kept.holds(1, str(folder / "scans/sub-07/1.png"), CLASSES[0])
    assert not KeptMaps(tmp_path / "maps", other, Asked(), device="cpu").holds(
        1, scan, CLASSES[0]
    )
    file = tmp_path / "maps" / "kept" / "0001.npz"
    with np.load(file, allow_pickle=False) as told:
        facts = str(told["facts"])
    assert "p1" not in facts
    assert "sub-07" not in facts
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match=r"0001\.npz: is damaged"):
        kept.holds(1, scan, CLASSES[0])
