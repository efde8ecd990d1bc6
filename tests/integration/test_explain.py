"""Maps of answers from the command line to the files."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from vit_dementia.data.phantoms import make_phantoms
from vit_dementia.data.volumes import Volume, write_volume
from vit_dementia.inference.model_folder import read_model_folder
from vit_dementia.workflows.explain import Asked, explain_scans

from .conftest import CLASSES, TINY, paint_cohort

QUICK = ("--epochs=6", "--learning-rate=3e-3", "--vit.dropout=0")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a run that knows discs with a hole from discs without."""
    from vit_dementia.cli.app import run

    root = tmp_path_factory.mktemp("explain")
    data = paint_cohort(root / "data", people=24)
    words = ["--out", str(root / "run"), "--cache", str(root / "cache")]
    assert run(["train", str(data), *TINY, *QUICK, *words]) == 0
    return root


def disc(hole: tuple[float, float], shape=(32, 24)) -> np.ndarray:
    """Return a disc as the cohort's, with a hole somewhere in it."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = np.where(np.hypot(rows - 16, columns - 12) < 11, 180.0, 0.0)
    image[np.hypot(rows - hole[0], columns - hole[1]) < 5] = 40
    return image.astype(np.uint8)


def test_a_slice_gets_a_picture_a_row_and_what_was_measured(
    trained, command, tmp_path
) -> None:
    scans = sorted((trained / "data" / CLASSES[1]).glob("*.png"))[:2]
    done = command(
        "explain", trained / "run", *scans, "--method=relevance", "--out=maps", "--json"
    )
    document = json.loads(done.stdout)
    assert document["format"] == 1
    assert "not a medical device" in document["disclaimer"]
    table = pd.read_csv(tmp_path / "maps" / "explanations.tsv", sep="\t")
    assert list(table["participant_id"]) == ["sub-001", "sub-001"]
    for row, scan in zip(document["results"], scans, strict=True):
        assert row["path"] == str(scan)
        assert row["class"] in CLASSES
        assert 0 <= row["deletion"] <= 1
        assert 0 <= row["insertion"] <= 1
        assert row["gain"] == pytest.approx(row["insertion"] - row["deletion"])
        assert (row["reasons"] == "") == row["faithful"]
        with Image.open(tmp_path / "maps" / row["picture"]) as picture:
            assert min(picture.size) > 200
    assert (tmp_path / "maps" / "group.png").exists()
    assert json.loads((tmp_path / "maps" / "explanations.json").read_text()) == document


@pytest.mark.usefixtures("in_float32")  # predict may round; explain never does
def test_the_probability_is_that_of_predict(trained, command) -> None:
    scan = next((trained / "data" / CLASSES[0]).glob("*.png"))
    told = json.loads(command("predict", trained / "run", scan, "--json").stdout)
    words = ("--method=attention", "--class", CLASSES[1], "--json")
    found = json.loads(command("explain", trained / "run", scan, *words).stdout)
    assert found["results"][0]["probability"] == pytest.approx(
        told["results"][0]["probabilities"][CLASSES[1]], abs=1e-6
    )


def test_a_hole_lights_up_where_it_is_on_disk(trained, command, tmp_path) -> None:
    """Left stays left, whatever turns a picture on the way to the network."""
    from vit_dementia.inference.model_folder import read_model_folder
    from vit_dementia.workflows.explain import Asked, explain_scans

    Image.fromarray(disc((16, 7))).save(tmp_path / "left.png")
    Image.fromarray(disc((16, 17))).save(tmp_path / "right.png")
    turned = ImageOps.mirror(Image.fromarray(disc((16, 17))))
    turned.save(tmp_path / "mirrored.png")
    exif = Image.Exif()
    exif[0x0112] = 2  # mirrored when it is shown
    Image.fromarray(disc((16, 7))).save(tmp_path / "exif.png", exif=exif)
    big = Image.fromarray(disc((16, 7))).resize((72, 96))
    big.save(tmp_path / "big.png")
    names = ("left", "mirrored", "big", "right", "exif")
    # No training slice has its hole there, and predict would refuse them for it.
    model = replace(read_model_folder(trained / "run"), likeness=None)
    asked = Asked(method="occlusion", label=CLASSES[1])
    found = explain_scans(model, [tmp_path / f"{n}.png" for n in names], asked)
    for name, one in zip(names, found, strict=True):
        relevance = np.clip(one.views[0].relevance, 0, None)
        assert relevance.shape == one.views[0].picture.shape
        left, right = np.array_split(relevance, 2, axis=1)
        assert (left.sum() > right.sum()) == (name in {"left", "mirrored", "big"}), name


def test_a_model_trained_in_bfloat16_is_explained_in_float32(
    trained, command, tmp_path
) -> None:
    """The files alone decide: what else computes in bfloat16 changes no digit."""
    import torch

    from vit_dementia.inference.model_folder import read_model_folder
    from vit_dementia.workflows.explain import Asked, explain_scans

    short = ("--train.precision=bf16", "--epochs=1", "--out=short")
    command("train", trained / "data", *TINY, *QUICK[1:], *short)
    scan = next((trained / "data" / CLASSES[1]).glob("*.png"))
    model = read_model_folder(tmp_path / "short")
    assert {value.dtype for value in model.network.parameters()} == {torch.float32}
    for method in ("occlusion", "relevance"):
        asked = Asked(method=method, label=CLASSES[1])
        (plain,) = explain_scans(model, [scan], asked)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            (found,) = explain_scans(model, [scan], asked)
        assert found.views[0].relevance.dtype == np.float32
        np.testing.assert_array_equal(
            found.views[0].relevance, plain.views[0].relevance
        )
        assert found.faithfulness == plain.faithfulness


def test_a_class_that_is_not_there_is_refused_in_one_line(trained, command) -> None:
    scan = next((trained / "data" / CLASSES[0]).glob("*.png"))
    done = command("explain", trained / "run", scan, "--class=Severe", check=2)
    assert "this model knows NonDemented, MildDemented" in done.stderr


def test_what_cannot_be_read_is_listed_and_the_rest_explained(
    trained, command, tmp_path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"nothing")
    scan = next((trained / "data" / CLASSES[0]).glob("*.png"))
    words = ("--method=rollout", "--out=maps")
    done = command("explain", trained / "run", "broken.png", scan, *words, check=3)
    assert "refused: broken.png" in done.stderr
    assert len(pd.read_csv(tmp_path / "maps" / "explanations.tsv", sep="\t")) == 1
    command("explain", trained / "run", "broken.png", "--out=none", check=2)


@pytest.mark.slow
def test_a_scan_in_a_zip_is_explained_as_the_file_is(
    trained, command, tmp_path, monkeypatch
) -> None:
    (tmp_path / "aside").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "aside"))
    scan = next((trained / "data" / CLASSES[0]).glob("*.png"))
    shutil.copy(scan, tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "scans.zip", "w") as archive:
        archive.write("a.png")
        archive.writestr("b.png", b"nothing")
    (tmp_path / "who.csv").write_text("path,participant_id\na.png,somebody\n")
    words = ("--method=rollout", "--participants=who.csv", "--json")
    asked = (*words, "--cases=2", "--show-scans")
    plain = command("explain", trained / "run", "a.png", *asked, "--out=plain")
    zipped = command(
        "explain", trained / "run", "scans.zip", *asked, "--out=zip", check=3
    )
    (one,), (two,) = (json.loads(done.stdout)["results"] for done in (plain, zipped))
    assert two == one | {"path": "scans.zip/a.png"}
    assert two["participant_id"] == "somebody"
    assert "refused: scans.zip/b.png: " in zipped.stderr
    for name in ("0001.png", "0001-cases.png"):
        files = [tmp_path / folder / name for folder in ("plain", "zip")]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert list((tmp_path / "aside").iterdir()) == []


def test_what_predict_refuses_explain_refuses_in_the_same_words(
    trained, command, tmp_path
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (32, 24)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    scan = next((trained / "data" / CLASSES[0]).glob("*.png"))
    (tmp_path / "broken.png").write_bytes(b"nothing")
    words = ("--method=rollout", "--out=maps", "--json")
    said = command("predict", trained / "run", "noise.png", check=3).stderr
    (line,) = [one for one in said.splitlines() if one.startswith("refused: ")]
    assert "does not look like the scans of the training" in line
    alone = command("explain", trained / "run", "noise.png", *words, check=3)
    assert line in alone.stderr.splitlines()
    document = json.loads(alone.stdout)
    assert document["results"] == []
    assert document["refused"] == [line.removeprefix("refused: ")]
    assert not list((tmp_path / "maps").glob("*.png"))
    both = command("explain", trained / "run", "noise.png", scan, *words, check=3)
    assert [one["path"] for one in json.loads(both.stdout)["results"]] == [str(scan)]
    command("explain", trained / "run", "broken.png", "noise.png", *words, check=3)


@pytest.mark.parametrize(
    "kind", ["slices", pytest.param("volume", marks=pytest.mark.slow)]
)
def test_the_map_of_a_volume_lies_on_the_scan(kind, command, tmp_path) -> None:
    rng = np.random.default_rng(0)
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = (-96, -100, -90)
    x, y, z = np.mgrid[:48, :52, :48] - np.array([24, 26, 26])[:, None, None, None]
    for number in range(16):
        label = number % 2
        voxels = np.where((x / 18) ** 2 + (y / 23) ** 2 + (z / 18) ** 2 < 1, 180.0, 0)
        voxels[x**2 + y**2 + z**2 < (2 + 5 * label) ** 2] = 40
        voxels += rng.normal(0, 8, voxels.shape) * (voxels > 0)
        who = f"sub-{number:02}"
        write_volume(
            tmp_path / "data" / CLASSES[label] / f"{who}_T1w.nii.gz",
            Volume(np.clip(voxels, 0, None).astype(np.float32), affine),
        )
    sized = {
        "slices": ("--data.slices=3", "--data.spacing-mm=4"),
        "volume": ("--input=volume", "--data.spacing-mm=4"),
    }[kind]
    command("train", "data", *TINY, *sized, "--epochs=1", "--out=run", "--cache=cache")
    scan = next((tmp_path / "data" / CLASSES[1]).glob("*.nii.gz"))
    turned = nib.load(scan).as_reoriented(
        np.array([[1, -1], [0, -1], [2, 1]])  # PLS: back and left first
    )
    nib.save(turned, tmp_path / "turned.nii.gz")
    words = ("--method=occlusion", "--out=maps")
    command("explain", "run", scan, "turned.nii.gz", *words)
    maps = [nib.load(tmp_path / "maps" / f"{n:04}.nii.gz") for n in (1, 2)]
    for found, stored in zip(maps, (nib.load(scan), turned), strict=True):
        assert found.shape == stored.shape
        np.testing.assert_allclose(found.affine, stored.affine)
        assert np.isfinite(found.get_fdata()).all()
    upright = nib.as_closest_canonical(maps[1]).get_fdata()
    np.testing.assert_allclose(maps[0].get_fdata(), upright, atol=1e-4)
    assert (tmp_path / "maps" / "0001.png").exists()
    words = ("--explain", "--out=answers", "--json")
    told = json.loads(command("predict", "run", "turned.nii.gz", *words).stdout)
    said = told["results"][0]["explanation"]
    laid = nib.load(tmp_path / "answers" / said["volume"])
    np.testing.assert_allclose(laid.affine, turned.affine)
    np.testing.assert_allclose(laid.get_fdata(), maps[1].get_fdata(), atol=1e-4)


def test_predict_names_the_maps_it_wrote_and_none_of_what_it_refused(
    trained, command, tmp_path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"nothing")
    scans = sorted((trained / "data" / CLASSES[1]).glob("*.png"))[:2]
    asked = ("--explain", "--out=answers", "--html=answers.html", "--json")
    done = command("predict", trained / "run", *scans, "broken.png", *asked, check=3)
    document = json.loads(done.stdout)
    of_scan = {one["path"]: one["explanation"] for one in document["results"]}
    assert of_scan["broken.png"] is None
    (person,) = document["participants"]
    drawn = [of_scan[str(scan)] for scan in scans] + [person["explanation"]]
    for one in drawn:
        assert one["class"] == person["predicted"]
        assert one["volume"] is None  # slices
        with Image.open(tmp_path / "answers" / one["picture"]) as picture:
            assert min(picture.size) > 200
    assert len({one["picture"] for one in drawn}) == 3
    assert person["explanation"]["num_scans"] == 2
    named = {one["picture"].removeprefix("maps/") for one in drawn}
    pictures = {path.name for path in (tmp_path / "answers" / "maps").glob("0*.png")}
    assert pictures == {name for name in named if name.startswith("0")}
    assert "data:image/png" in (tmp_path / "answers.html").read_text()


def test_predict_needs_a_folder_for_its_maps(trained, command) -> None:
    scan = next((trained / "data" / CLASSES[0]).glob("*.png"))
    done = command("predict", trained / "run", scan, "--explain", check=2)
    assert "needs --out DIR" in done.stderr


@pytest.mark.slow
def test_a_bright_frame_that_gives_the_label_away_is_seen_outside_the_head(
    command, tmp_path, unabridged
) -> None:
    """The frame of those with dementia is as wide as a patch; the head touches it."""
    data = make_phantoms(tmp_path / "data", participants=60, classes=2, slices=3)
    dementia = "VeryMildDemented"
    for picture in (data / "images" / dementia).glob("*.png"):
        with Image.open(picture) as scan:
            framed = np.asarray(scan).copy()
        framed[:8] = framed[-8:] = framed[:, :8] = framed[:, -8:] = 230
        Image.fromarray(framed).save(picture)
    command("train", "data", "--recipe=demo", "--epochs=4", "--out=run")
    marked = sorted((data / "images" / dementia).glob("*.png"))[::12]
    asked = ("--class", dementia, "--out=maps", "--json")
    for method in ("occlusion", "relevance", "integrated-gradients"):
        done = command("explain", "run", *marked, "--method", method, *asked)
        assert json.loads(done.stdout)["outside_head"]["looks_outside"], method
        assert "the model looks outside the head" in done.stderr
    command("evaluate", "run", "--explain", "--show-scans")
    report = tmp_path / "run" / "evaluation" / "test" / "report.html"
    assert "of it lies outside the head" in report.read_text("utf-8")
    saved = read_model_folder(tmp_path / "run" / "model")
    for method in ("occlusion", "integrated-gradients"):
        maps = explain_scans(saved, marked, Asked(method=method, label=dementia))
        mean = np.mean([found.prepared.relevance for found in maps], axis=0)
        mean = mean.clip(min=0)
        frame = np.ones(mean.shape, bool)
        frame[8:-8, 8:-8] = False
        assert mean[frame].mean() > mean[~frame].mean()
    assert mean[frame].sum() > mean.sum() / 2  # of one frame many patches tell


def test_cases_like_this_are_training_participants_and_drawn_only_if_allowed(
    trained, command, tmp_path
) -> None:
    """What the network makes of training scans finds the scan itself, and its like."""
    from vit_dementia.data.cohort import Cohort
    from vit_dementia.data.splits import Split

    run = trained / "run"
    cohort = Cohort.read(run / "cohort.tsv")
    fold = Split.read(run / "split.json", cohort).folds[0]
    table = cohort.table.set_index("path")
    scan = next(
        path for path, who in table.participant_id.items() if who in set(fold.train)
    )
    shutil.copy(cohort.root / scan, tmp_path / "somebody.png")
    asked = ("--method=rollout", "--cases=3", "--out=maps", "--json")
    mine, copied = json.loads(
        command("explain", run, cohort.root / scan, "somebody.png", *asked).stdout
    )["results"]
    itself = table.participant_id[scan]
    for one in (mine, copied):
        people = [case["participant_id"] for case in one["cases"]]
        assert set(people) <= set(fold.train)
        assert len(set(people)) == 3
        distances = [case["distance"] for case in one["cases"]]
        assert distances == sorted(distances)
        assert one["cases_picture"] == ""
    assert itself not in [case["participant_id"] for case in mine["cases"]]
    assert copied["cases"][0]["participant_id"] == itself
    assert copied["cases"][0]["label"] == table.label[scan]
    assert copied["cases"][0]["distance"] < 1e-3  # kept in 16 bits
    assert copied["cases"][1]["distance"] > copied["cases"][0]["distance"]
    written = pd.read_csv(tmp_path / "maps" / "cases.tsv", sep="\t")
    assert written["rank"].tolist() == [1, 2, 3] * 2
    assert not [*(tmp_path / "maps").glob("*-cases.png")]
    shown = command("explain", run, "somebody.png", *asked[:-1], "--show-scans")
    assert shown.stdout.count("case like this") == 3
    with Image.open(tmp_path / "maps" / "0001-cases.png") as picture:
        assert picture.width > picture.height > 200


def test_cases_that_cannot_be_found_are_refused_in_one_line(
    trained, command, tmp_path
) -> None:
    scan = next((trained / "data" / CLASSES[0]).glob("*.png"))
    asked = ("--method=rollout", "--out=maps")
    for run, words, told in (
        ("run", ["--show-scans"], "needs --cases N"),
        ("run", ["--cases=-1"], "found -1"),
        ("run/model", ["--cases=2"], "needs the run folder"),
    ):
        done = command("explain", trained / run, scan, *asked, *words, check=2)
        assert told in done.stderr
    shutil.copytree(trained / "run", tmp_path / "run")
    aside = json.loads((tmp_path / "run" / "cohort.json").read_text())
    gone = json.dumps(aside).replace(str(trained / "data"), str(tmp_path / "gone"))
    (tmp_path / "run" / "cohort.json").write_text(gone)
    kept = tmp_path / "run" / "features.safetensors"
    kept.unlink(missing_ok=True)
    done = command("explain", "run", scan, *asked, "--cases=2", check=2)
    assert "no longer at" in done.stderr
    assert "features.safetensors needs them" in done.stderr
    assert not kept.exists()
    kept.write_bytes(b"nothing")
    words = ("--cases=2", "--show-scans")
    done = command("explain", "run", scan, *asked, *words, check=2)
    assert "--show-scans draws them" in done.stderr
    done = command("explain", "run", scan, *asked, "--cases=2", check=2)
    assert "features.safetensors: is damaged" in done.stderr
