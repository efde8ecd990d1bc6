"""What the model's process does: the same answers as the command, and no names."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from functools import partial
from pathlib import Path

import httpx
import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from tests.unit.serving import served
from tests.unit.serving.test_received import received, zipped

from vit_dementia.cli.app import run as command
from vit_dementia.data.volumes import Volume, write_volume
from vit_dementia.inference.model_folder import write_likeness
from vit_dementia.inference.predictor import Predictor
from vit_dementia.limits import ServingLimits
from vit_dementia.preparation.likeness import Likeness
from vit_dementia.serving.work import VIEW, Job, Work

SENTINEL = "Xyzzy"


@pytest.fixture(scope="module")
def slices(slice_model) -> Work:
    return Work(slice_model, "cpu", ServingLimits())


@pytest.fixture(scope="module")
def slabs(slab_model) -> Work:
    return Work(slab_model, "cpu", ServingLimits())


@pytest.fixture(scope="module")
def nifti(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("nifti") / "scan.nii.gz"
    voxels = served.head().astype(np.float32)
    write_volume(path, Volume(voxels, np.diag([4.4, 4.4, 4.4, 1.0])))
    return path


def asked(work, folder, *contents, question="predict", **how):
    folder.mkdir()
    job = Job(question=question, folder=received(folder, *contents), **how)
    (reply,) = work([job])
    return reply


def noisy(seed: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(served.picture(seed)).save(out, format="PNG")
    return out.getvalue()


def through_doors(run, files, capsys, **query):
    """Return what Python, the command, and the server say of files and of their zip."""
    python = Predictor.load(run, device="cpu")(files)
    capsys.readouterr()
    words = ["predict", str(run), *map(str, files), "--json", "--device=cpu"]
    assert command(words) == 0
    shell = json.loads(capsys.readouterr().out)
    archive = zipped(*((file.name, file.read_bytes()) for file in files))
    sent = ([("files", f.read_bytes()) for f in files], [("files", archive)])
    with served.listening(served.Here.with_model(run)) as url:
        post = partial(httpx.post, f"{url}/v1/predict", timeout=60)
        single = post(files=sent[0], params=query).json()
        named = post(files=sent[1]).json()
    return python, shell, single, named


def test_three_doors_give_one_answer(slice_model, tmp_path, capsys) -> None:
    files = []
    for seed in range(5):
        files.append(tmp_path / f"sub-{seed // 2}_{seed}.png")
        files[-1].write_bytes(noisy(seed))
    python, shell, single, named = through_doors(slice_model, files, capsys)
    for told in (shell, single, named):
        found = [list(one["probabilities"].values()) for one in told["results"]]
        assert np.array_equal(found, python.predictions.probabilities)
        assert told["model"] == shell["model"]
    # Names inside an archive tell who is who, as they do on disk; others tell nothing.
    rest = ("num_scans", "probabilities", "predicted", "abstained", "early")
    people = [[{k: one[k] for k in rest} for one in t["participants"]]
              for t in (shell, named)]  # fmt: skip
    assert people[0] == people[1]
    assert len(people[0]) == 3
    assert [one["early"] for one in named["results"]] == [
        one["early"] for one in shell["results"]
    ]
    assert single["participants"] == []


def test_three_doors_weigh_the_slices_of_a_visit_alike(tmp_path, capsys) -> None:
    model = served.write_model(tmp_path / "run", served.SLICES, weighs_slices=True)
    files = [tmp_path / f"sub-0_slice-{number}.png" for number in range(5)]
    for number, file in enumerate(files):
        file.write_bytes(noisy(number))
    doors = through_doors(model, files, capsys, same_person=True)
    python, *others = doors
    weights = python.predictions.weights
    assert len(set(weights)) == 5
    assert sum(weights) == pytest.approx(1)
    pooled = python.predictions.by_participant().probabilities[0]
    by_hand = weights @ python.predictions.probabilities
    np.testing.assert_allclose(pooled, by_hand, rtol=1e-12)
    for told in others:
        shares = [one["slice_weights"] for one in told["results"]]
        assert np.array_equal(shares, weights[:, None])
        found = [list(one["probabilities"].values()) for one in told["results"]]
        assert np.array_equal(found, python.predictions.probabilities)
        (person,) = told["participants"]
        assert list(person["probabilities"].values()) == pooled.tolist()
        assert {one["early"] for one in told["results"]} == {person["early"]}


def test_all_scans_of_one_person_get_one_answer(slices, tmp_path) -> None:
    reply = asked(slices, tmp_path / "1", noisy(0), noisy(1), same_person=True)
    (person,) = reply.body["participants"]
    mean = np.mean(
        [one["probabilities"]["MildDemented"] for one in reply.body["results"]]
    )
    assert person["num_scans"] == 2
    assert person["probabilities"]["MildDemented"] == pytest.approx(mean)
    assert {one["participant"] for one in reply.body["results"]} == {1}


def test_requests_answered_together_do_not_mix(slices, tmp_path) -> None:
    jobs = []
    for number in range(4):
        folder = tmp_path / str(number)
        folder.mkdir()
        contents = [noisy(10 * number + place) for place in range(number)] or [b"none"]
        jobs.append(
            Job(
                question="predict",
                folder=received(folder, *contents),
                same_person=number % 2 == 1,
            )
        )
    together = slices(jobs)
    for number, reply in enumerate(together):
        alone = asked(
            slices, tmp_path / f"alone-{number}",
            *([noisy(10 * number + place) for place in range(number)] or [b"none"]),
            same_person=number % 2 == 1,
        )  # fmt: skip
        assert len(reply.body["results"]) == max(number, 1)
        assert len(reply.body["participants"]) == number % 2
        for one, other in zip(
            reply.body["results"], alone.body["results"], strict=True
        ):
            assert one["probabilities"] == pytest.approx(other["probabilities"])
            assert one["early"] == other["early"]


def test_one_bad_file_does_not_stop_the_others(slices, tmp_path) -> None:
    reply = asked(
        slices, tmp_path / "1", noisy(0)[:-60], noisy(1), b"no scan", b"PK\3\4"
    )
    by_scan = {one["scan"]: one for one in reply.body["results"]}
    assert by_scan[2]["probabilities"]
    refused = [one for one in by_scan.values() if not one["probabilities"]]
    assert len(refused) == 3
    assert all(one["quality"]["verdict"] == "refused" for one in refused)
    assert str(tmp_path) not in json.dumps(reply.body)


def test_a_slice_is_shown_as_it_is_read(slices, tmp_path) -> None:
    turned = Image.fromarray(served.picture()).transpose(Image.Transpose.ROTATE_270)
    exif = Image.Exif()
    exif[0x0112] = 8  # stands on its side
    out = io.BytesIO()
    turned.save(out, format="PNG", exif=exif)
    reply = asked(slices, tmp_path / "1", out.getvalue(), question="view")
    assert (reply.status, reply.body["media_type"]) == (200, "image/png")
    shown = np.asarray(Image.open(tmp_path / "1" / VIEW), float)
    assert shown.shape == served.picture().shape
    assert np.corrcoef(shown.ravel(), served.picture().ravel())[0, 1] > 0.99


@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "A.PNG"])
def test_a_picture_in_a_zip_is_shown_whatever_its_kind(slices, tmp_path, name) -> None:
    out = io.BytesIO()
    kind = Image.registered_extensions()[Path(name).suffix.lower()]
    Image.fromarray(served.picture()).save(out, format=kind)
    archive = zipped((name, out.getvalue()))
    reply = asked(slices, tmp_path / "1", archive, question="view")
    assert (reply.status, reply.body.get("media_type")) == (200, "image/png")


def test_a_volume_is_shown_and_answered(slabs, nifti, tmp_path) -> None:
    view = asked(slabs, tmp_path / "1", nifti.read_bytes(), question="view")
    assert view.body["media_type"] == "application/x-nifti"
    shown = nib.Nifti1Image.from_bytes((tmp_path / "1" / VIEW).read_bytes())
    np.testing.assert_allclose(shown.get_fdata(), served.head(), atol=0.01)
    np.testing.assert_array_equal(shown.affine, nib.load(nifti).affine)
    told = asked(slabs, tmp_path / "2", nifti.read_bytes()).body["results"][0]
    expected = slabs.predictor([nifti]).predictions.probabilities[0]
    assert list(told["probabilities"].values()) == expected.tolist()


def test_what_the_answer_hangs_on_lies_on_the_scan(slices, tmp_path) -> None:
    reply = asked(
        slices, tmp_path / "1", noisy(0), noisy(1), question="explain", scan=2
    )
    drawn = Image.open(io.BytesIO(base64.b64decode(reply.body["map"])))
    assert drawn.size == served.picture().shape[::-1]
    assert drawn.mode == "RGBA"
    assert reply.body["class"] in served.CLASSES
    none = asked(slices, tmp_path / "2", noisy(0), question="explain", scan=2)
    assert none.status == 422


def test_a_map_is_the_same_before_and_after_an_answer(
    slices, slice_model, tmp_path
) -> None:
    maps = []
    for number in range(2):  # a network that learned with dropout has it no longer
        asked(slices, tmp_path / f"answer-{number}", noisy(0))
        reply = asked(slices, tmp_path / f"map-{number}", noisy(0), question="explain")
        maps.append(reply.body["map"])
    alone = Work(slice_model, "cpu", ServingLimits())
    fresh = asked(alone, tmp_path / "alone", noisy(0), question="explain")
    assert maps == [fresh.body["map"]] * 2


def test_a_scan_unlike_the_training_is_neither_answered_nor_explained(
    slice_model, tmp_path
) -> None:
    run = shutil.copytree(slice_model, tmp_path / "run")
    seen = np.stack([served.picture(seed)[None] for seed in range(20)])
    write_likeness(run, Likeness.of(seen))
    work = Work(run, "cpu", ServingLimits())
    noise = np.random.default_rng(0).integers(0, 255, (32, 24)).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, format="PNG")
    words = "does not look like the scans of the training"
    answer = asked(work, tmp_path / "1", out.getvalue())
    (told,) = answer.body["results"]
    assert told["probabilities"] is None
    assert words in told["quality"]["reasons"][0]
    assert float(re.findall(r"distance ([\d.]+)", told["quality"]["reasons"][0])[0]) > 1
    refused = asked(work, tmp_path / "2", out.getvalue(), question="explain")
    assert refused.status == 422
    assert refused.body["error"]["faults"] == told["quality"]["reasons"]
    fine = asked(work, tmp_path / "3", noisy(1), question="explain")
    assert fine.status == 200


def test_a_zip_of_dicom_is_one_scan_and_tells_nothing(
    slabs, tmp_path, write_series
) -> None:
    texts = dict.fromkeys(
        ("PatientName", "PatientID", "SeriesDescription", "StudyDescription",
         "ProtocolName", "InstitutionName", "AccessionNumber"),
        f"{SENTINEL} t1_mprage",
    ) | {"PixelSpacing": [4, 4], "SliceThickness": "4"}  # fmt: skip
    voxels = served.head(32, 4.0).astype(np.int16)
    side = 4 * 31
    places = {"ImagePositionPatient": lambda n: [-side, -side, 4 * n]}
    files = write_series(tmp_path / "dicom", voxels, **texts, **places)
    archive = zipped(*((f"{SENTINEL}/{f.name}", f.read_bytes()) for f in files))
    good = asked(slabs, tmp_path / "1", archive)
    (told,) = good.body["results"]
    assert told["probabilities"], told
    assert told["participant"] == 1
    loose = asked(slabs, tmp_path / "2", *(file.read_bytes() for file in files))
    assert loose.body["results"][0]["probabilities"] == told["probabilities"]
    cut = asked(slabs, tmp_path / "3", *(file.read_bytes() for file in files[:20]))
    broken = asked(slabs, tmp_path / "4", files[0].read_bytes()[:-50])
    for reply in (good, loose, cut, broken):
        said = json.dumps(reply.body)
        assert SENTINEL not in said
        assert str(tmp_path) not in said
    assert not cut.body["results"][0]["probabilities"]


def test_half_a_pair_is_refused_without_the_name_of_its_other_half(
    slabs, tmp_path
) -> None:
    voxels = served.head().astype(np.float32)
    nib.save(nib.Nifti1Pair(voxels, np.eye(4)), tmp_path / "half.hdr")
    archive = zipped((f"{SENTINEL}.hdr", (tmp_path / "half.hdr").read_bytes()))
    reply = asked(slabs, tmp_path / "1", archive)
    (reason,) = reply.body["results"][0]["quality"]["reasons"]
    assert reason.startswith("is one half of a pair; the .img file")
    assert SENTINEL not in json.dumps(reply.body)


def test_series_between_which_one_must_choose_are_listed_without_their_files(
    slabs, tmp_path, write_series
) -> None:
    voxels = served.head(24, 6.0).astype(np.int16)
    archive = [
        (f"{SENTINEL}/{SENTINEL}{file.name}", file.read_bytes())
        for series in ("1", "2")
        for file in write_series(tmp_path / "dicom" / series, voxels, series=series)
    ]
    archive = [(f"{name}.{n}", content) for n, (name, content) in enumerate(archive)]
    reply = asked(slabs, tmp_path / "1", zipped(*archive))
    (reason,) = reply.body["results"][0]["quality"]["reasons"]
    assert "found 2 series that may be meant" in reason
    assert "name a file of one of them" in reason
    assert SENTINEL not in json.dumps(reply.body)
    assert str(tmp_path) not in reason
