"""``predict`` on archives: the answers of what is inside, and nothing left behind."""

from __future__ import annotations

import json
import shutil
import stat
import zipfile

import numpy as np
import pytest
from PIL import Image
from tests.unit.data.links import link
from tests.unit.serving.served import SLABS, SLICES, head, picture, write_model

from vit_dementia.data.volumes import Volume, write_volume
from vit_dementia.inference.predictor import Predictor

SENTINEL = "qzSentinel"


@pytest.fixture(autouse=True)
def aside(tmp_path, monkeypatch):
    """Return the folder of temporary files, which is empty after each test."""
    folder = tmp_path / "aside"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def slices(tmp_path):
    """Return a folder of five slices of three people, one of them damaged."""
    folder = tmp_path / "scans"
    (folder / "more").mkdir(parents=True)
    for number in range(5):
        where = folder / "more" if number > 2 else folder
        file = where / f"sub-{number // 2}_slice-{number}.png"
        Image.fromarray(picture(number)).save(file)
    (folder / "sub-9.png").write_bytes(b"no picture")
    return folder


def packed(folder, archive):
    """Pack what is in a folder; a Mac leaves things beside it."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                name = file.relative_to(folder).as_posix()
                opened.write(file, name)
                opened.writestr(f"__MACOSX/{name}", b"left by a Mac")
    return archive


def document(done, where):
    """Return an answer with the paths below some place in place of whole paths."""
    told = json.loads(done.stdout.replace(json.dumps(f"{where}/")[1:-1], "SCANS/"))
    assert all(one["path"].startswith("SCANS/") for one in told["results"])
    return told


def test_slices_in_a_zip_get_the_answers_of_the_files(
    slices, command, tmp_path
) -> None:
    run = write_model(tmp_path / "run", SLICES)
    words = ("--device=cpu", "--json")
    plain = command("predict", run, slices, *words, check=3)
    archive = packed(slices, tmp_path / "scans.zip")
    zipped = command("predict", run, archive, *words, "--out=out", check=3)
    told = document(zipped, archive)
    assert told == document(plain, slices)
    assert len(told["participants"]) == 3
    assert f"refused: {archive}/sub-9.png: " in zipped.stderr
    text = (tmp_path / "out" / "predictions.tsv").read_text()
    assert f"\t{archive}/more/sub-2_slice-4.png\t" in text
    assert "aside" not in zipped.stdout + zipped.stderr + text


@pytest.mark.slow
def test_slices_in_a_zip_get_the_maps_of_the_files(slices, command, tmp_path) -> None:
    run = write_model(tmp_path / "run", SLICES)
    archive = packed(slices, tmp_path / "scans.zip")
    words = ("--device=cpu", "--json", "--explain", "--html=page.html")
    told, maps = {}, {}
    for where in (slices, archive):
        asked = ("predict", run, where, *words, "--out", where.name + "-out")
        told[where] = document(command(*asked, check=3), where)
        folder = tmp_path / (where.name + "-out") / "maps"
        maps[where] = {file.name: file.read_bytes() for file in folder.glob("*.png")}
    assert told[archive] == told[slices]
    assert maps[archive] == maps[slices]
    assert len([name for name in maps[archive] if name[0] == "0"]) == 5


def test_what_was_read_of_a_zip_is_not_read_again_until_it_changes(
    slices, command, tmp_path, monkeypatch
) -> None:
    run = write_model(tmp_path / "run", SLICES)
    archive = packed(slices, tmp_path / "scans.zip")
    words = ("predict", run, archive, "--device=cpu", "--json", "--out=out")
    first = command(*words, check=3).stdout
    read, as_it_was = [], Predictor._prepared
    monkeypatch.setattr(
        Predictor,
        "_prepared",
        lambda self, path: read.append(path.name) or as_it_was(self, path),
    )
    assert command(*words, check=3).stdout == first
    assert read == []
    (slices / "sub-9.png").unlink()
    packed(slices, archive)
    command(*words)
    assert len(read) == 5


@pytest.mark.parametrize(
    "kind",
    [
        "nifti",
        "bids participant",
        pytest.param("dicom", marks=pytest.mark.slow),
        pytest.param("bids", marks=pytest.mark.slow),
    ],
)
def test_volumes_in_a_zip_get_the_answers_of_the_files(
    kind, command, tmp_path, write_series
) -> None:
    run = write_model(tmp_path / "run", SLABS)
    voxels = head()
    volume = Volume(voxels.astype(np.float32), np.diag([4.4, 4.4, 4.4, 1.0]))
    folder, archive = tmp_path / "scans", tmp_path / "scans.zip"
    if kind == "nifti":
        for name in ("sub-1.nii.gz", "sub-2.nii"):
            write_volume(folder / name, volume)
    elif kind == "dicom":
        side = 4 * 31
        write_series(
            folder / SENTINEL, head(32, 4.0).astype(np.int16), PixelSpacing=[4, 4],
            SliceThickness="4", ImagePositionPatient=lambda n: [-side, -side, 4 * n],
            PatientName=SENTINEL,
        )  # fmt: skip
    else:
        folder = tmp_path / "data" / "sub-01"
        for name in ("T1w", "T2w"):
            write_volume(folder / "anat" / f"sub-01_{name}.nii.gz", volume)
        archive = tmp_path / "sub-01.zip"
        folder = folder if kind == "bids participant" else folder.parent
    words = ("--device=cpu", "--json")
    plain = document(command("predict", run, folder, *words), folder)
    zipped = document(command("predict", run, packed(folder, archive), *words), archive)
    assert zipped == plain
    assert len(zipped["results"]) == (2 if kind == "nifti" else 1)
    assert all(one["participant_id"] for one in zipped["results"])
    if kind == "dicom":
        said = [one for one in zipped["results"] if SENTINEL in one["participant_id"]]
        assert said == []


@pytest.mark.parametrize(
    ("members", "cause"),
    [
        ([("../evil.png", b"x")], "leads out of the folder"),
        ([(link("evil.png"), b"/etc/passwd")], "is a link or a device"),
        ([("bomb.png", bytes(10_000_000))], "times its own size"),
        ([("inner.zip", b"PK")], "holds no scan"),
        ([], "holds no scan"),
        (None, "damaged zip archive"),
    ],
    ids=["climbs", "link", "bomb", "nested", "empty", "damaged"],
)
def test_a_bad_zip_is_one_line_and_leaves_nothing(
    members, cause, command, tmp_path
) -> None:
    run = write_model(tmp_path / "run", SLICES)
    with zipfile.ZipFile(tmp_path / "bad.zip", "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members or ():
            opened.writestr(name, content)
    if members is None:
        (tmp_path / "bad.zip").write_bytes(b"PK\3\4 and nothing more")
    done = command("predict", run, "bad.zip", "--out=out", check=2)
    assert len(done.stderr.splitlines()) == 1
    assert "bad.zip: " in done.stderr
    assert cause in done.stderr
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob("evil.png"))


def test_an_archive_goes_also_when_the_prediction_fails(
    slices, command, tmp_path, aside, monkeypatch
) -> None:
    run = write_model(tmp_path / "run", SLICES)
    archive = packed(slices, tmp_path / "scans.zip")
    seen = []

    def stopped(self, path):
        (folder,) = (one for one in aside.iterdir() if one.is_dir())
        seen.append(stat.S_IMODE(folder.stat().st_mode))
        assert path.is_relative_to(folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(Predictor, "_prepared", stopped)
    command("predict", run, archive, check=130)
    assert seen == [0o700]


def test_several_archives_and_files_stand_in_the_order_they_were_named(
    slices, command, tmp_path
) -> None:
    run = write_model(tmp_path / "run", SLICES)
    (slices / "sub-9.png").unlink()
    one = packed(slices, tmp_path / "one.zip")
    shutil.copy(one, tmp_path / "two.ZIP")
    scan = slices / "sub-0_slice-0.png"
    (tmp_path / "who.csv").write_text(
        "path,participant_id\none.zip/sub-0_slice-0.png,somebody\n"
    )
    words = ("--participants=who.csv", "--json")
    done = command("predict", run, "two.ZIP", scan, "one.zip", *words)
    results = json.loads(done.stdout)["results"]
    paths = [told["path"] for told in results]
    (listed,) = [one["path"] for one in results if one["participant_id"] == "somebody"]
    assert listed == "one.zip/sub-0_slice-0.png"
    assert [path.partition("/")[0] for path in paths if path != str(scan)] == [
        *["two.ZIP"] * 5, *["one.zip"] * 5,
    ]  # fmt: skip
    assert paths[5] == str(scan)
