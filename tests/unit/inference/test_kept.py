"""A prediction that was stopped goes on, and says the same."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tests.unit.serving.served import SLABS, SLICES, picture, write_model

from vit_dementia.data.volumes import Volume, write_volume
from vit_dementia.errors import DataError
from vit_dementia.inference import predictor as module
from vit_dementia.inference.kept import NAME, Kept, Said
from vit_dementia.inference.predictor import Predictor


@pytest.fixture
def scans(tmp_path):
    files = [tmp_path / f"sub-{number}.png" for number in range(5)]
    for number, file in enumerate(files):
        Image.fromarray(picture(number)).save(file)
    files[3].write_bytes(b"no picture")
    return files


@pytest.fixture
def predictor(tmp_path):
    return Predictor.load(write_model(tmp_path / "run", SLICES), device="cpu")


@pytest.fixture
def read(monkeypatch):
    """Return the names of the scans that were read since."""
    names, as_it_was = [], Predictor._prepared

    def noted(self, path):
        names.append(path.name)
        return as_it_was(self, path)

    monkeypatch.setattr(Predictor, "_prepared", noted)
    return names


def test_what_was_read_before_a_stop_is_not_read_again(
    predictor, scans, read, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(module, "BATCH_SIZE", 2)
    whole = predictor(scans).to_dict()
    predictor(scans[:2], kept=Kept(tmp_path / "out", "a"))
    with (tmp_path / "out" / NAME).open("a") as file:
        file.write('[{"scan": "cut sho')  # as a crash leaves it
    read.clear()
    assert predictor(scans, kept=Kept(tmp_path / "out", "a")).to_dict() == whole
    assert read == [scan.name for scan in scans[2:]]
    read.clear()
    assert predictor(scans, kept=Kept(tmp_path / "out", "a")).to_dict() == whole
    assert read == []  # the one that was refused is not tried again either


def test_a_scan_is_read_in_the_batch_where_it_would_be_anyway(monkeypatch) -> None:
    """Otherwise a prediction that goes on would end in other last digits."""
    monkeypatch.setattr(module, "BATCH_SIZE", 2)
    assert module._batches("abcabde", {"b"}) == [["a"], ["c", "d"], ["e"]]
    assert module._batches("abcd", {"c", "d"}) == [["a", "b"]]


def test_a_changed_scan_and_another_model_are_read_anew(
    predictor, scans, read, tmp_path
) -> None:
    before = predictor(scans, kept=Kept(tmp_path / "out", "a")).to_dict()
    Image.fromarray(picture(9)).save(scans[0], compress_level=0)
    read.clear()
    after = predictor(scans, kept=Kept(tmp_path / "out", "a")).to_dict()
    assert read == [scans[0].name]
    assert after == predictor(scans).to_dict() != before
    read.clear()
    predictor(scans, kept=Kept(tmp_path / "out", "b"))
    assert len(read) == len(scans)


def test_volumes_keep_the_verdict_of_quality_control(tmp_path, read) -> None:
    from tests.unit.serving.served import head

    scan = tmp_path / "scan.nii.gz"
    affine = np.diag([4.4, 4.4, 4.4, 1.0])
    write_volume(scan, Volume(head().astype(np.float32), affine))
    asked = Predictor.load(write_model(tmp_path / "run", SLABS), device="cpu")
    first = asked([scan], kept=Kept(tmp_path / "out", "a")).to_dict()
    assert first["results"][0]["quality"]["verdict"] == "warn"
    read.clear()
    assert asked([scan], kept=Kept(tmp_path / "out", "a")).to_dict() == first
    assert read == []


def test_no_path_is_kept_and_a_refusal_of_other_files_is_not(
    predictor, scans, tmp_path
) -> None:
    predictor(scans, kept=Kept(tmp_path / "out", "a"))
    text = (tmp_path / "out" / NAME).read_text()
    assert len(text.splitlines()) == 2  # all in one batch
    assert text.count('"scan"') == len(scans)
    assert not [part for part in (*tmp_path.parts[1:], "sub-", ".png") if part in text]
    kept, scan = Kept(tmp_path / "out", "b"), str(scans[0])
    for cause in (
        f"{scan}: a pair; needs sub-0.img",
        f"{tmp_path}: holds two people",
        f"{scan}/1.dcm: damaged",
    ):
        kept.add({scan: Said(refused=cause)})
        assert Kept(tmp_path / "out", "b").get(scan) is None
    kept.add({scan: Said(refused=f"{scan}: damaged")})
    told = Kept(tmp_path / "out", "b").get(scan)
    assert told == Said(refused=f"{scan}: damaged")


def test_files_of_series_between_which_one_must_choose_are_not_kept(
    write_series, tmp_path
) -> None:
    study, out = tmp_path / "study", tmp_path / "out"
    for series in ("1", "2"):
        write_series(
            study / series,
            np.ones((9, 9, 22)),
            series=series,
            name_of=lambda number: f"Doe-{number:02}.dcm",
        )
    asked = Predictor.load(write_model(tmp_path / "run", SLABS), device="cpu")
    told = asked([study], kept=Kept(out, "a")).to_dict()
    (reason,) = told["results"][0]["quality"]["reasons"]
    assert str(study / "1" / "Doe-00.dcm") in reason
    assert "Doe" not in (out / NAME).read_text()
    assert asked([study], kept=Kept(out, "a")).to_dict() == told


def test_a_damaged_line_is_named(predictor, scans, tmp_path) -> None:
    predictor(scans, kept=Kept(tmp_path / "out", "a"))
    file = tmp_path / "out" / NAME
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], "[{}]", *lines[2:], ""]))
    with pytest.raises(DataError, match="line 2 is damaged"):
        Kept(tmp_path / "out", "a")
