"""``--limits.NAME`` holds for every verb that reads scans, up to what it writes."""

from __future__ import annotations

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from tests.integration.conftest import CLASSES, TINY

from vit_dementia.limits import LIMITS, Limits

pytestmark = pytest.mark.torture

PREPARE = ("prepare", "data", "out", "--pipeline=none", "--workers=1")
SHORT = (*TINY, "--epochs=1")
VERBS = {
    "check": ("check", "DATA", "--out=out"),
    "train": ("train", "DATA", *SHORT, "--out=out"),
    "pretrain": ("pretrain", "DATA", *SHORT, "--out=out"),
    "evaluate": ("evaluate", "RUN", "DATA", "--out=out"),
    "predict": ("predict", "RUN", "DATA", "--out=out"),
    "explain": ("explain", "RUN", "SCAN", "--out=out"),
}


@pytest.fixture
def slivers(trained, tmp_path):
    """Return the pictures of the run, each a sliver of five to one."""
    data = shutil.copytree(trained / "data", tmp_path / "slivers")
    for file in data.rglob("*.png"):
        with Image.open(file) as image:
            pixels = np.asarray(image)
        Image.fromarray(np.kron(pixels, np.ones((5, 1), np.uint8))).save(file)
    return data


# row lim-verbs
@pytest.mark.parametrize("verb", VERBS)
def test_a_limit_is_set_for_every_verb_that_reads_scans(
    trained, slivers, tmp_path, command, verb
) -> None:
    shutil.copytree(trained / "run", tmp_path / "run")
    places = {
        "DATA": slivers,
        "RUN": tmp_path / "run",
        "SCAN": next(slivers.rglob("*.png")),
    }
    told = [places.get(word, word) for word in VERBS[verb]]
    command(*told, check=2)
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    before = set(tmp_path.rglob("*"))
    command(*told, "--limits.sides=7.5", check=(0, 3))
    assert set(tmp_path.rglob("*")) > before
    assert Limits() == LIMITS


# row lim-many
@pytest.mark.parametrize("verb", ["cross-validate", "tune"])
def test_a_limit_is_set_where_many_are_trained(slivers, command, verb) -> None:
    told = (verb, slivers, *SHORT, "--out=out", "--limits.sides=4.5")
    refused = command(*told, check=2)
    assert "more than 4.5 times as long as wide" in refused.stderr


# row lim-split
def test_a_limit_is_set_for_a_split(slivers, command, tmp_path) -> None:
    refused = command("split", slivers, "--limits.entries", 3, "--out=s.json", check=2)
    assert "more than 3 entries" in refused.stderr
    command("split", slivers, "--limits.entries", 300, "--out=s.json")
    assert json.loads((tmp_path / "s.json").read_text())["folds"]


def write_volumes(data, each):
    """Write volumes of noise that can be read, so many in each class."""
    written = []
    rng = np.random.default_rng(0)
    for number in range(2 * each):
        path = data / CLASSES[number % 2] / f"sub-{number:02}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        voxels = rng.normal(100, 9, (16, 16, 16)).astype(np.float32)
        nib.save(nib.Nifti1Image(voxels, np.diag([10, 10, 10, 1])), path)
        written.append(path)
    return written


# row lim-workers
def test_a_limit_reaches_the_processes_that_prepare(command, tmp_path) -> None:
    write_volumes(tmp_path / "data", 1)
    refused = command(*PREPARE, "--limits.voxels=4000", "--json", check=2)
    assert refused.stderr.count("at most 4000 voxels are read") == 2
    assert not (tmp_path / "out").exists()


# row lim-unreadable
def test_a_bad_volume_among_many_is_left_out_and_two_stop_the_work(
    command, tmp_path
) -> None:
    volumes = write_volumes(tmp_path / "data", 2)
    volumes[3].write_bytes(volumes[3].read_bytes()[:500])
    refused = command(*PREPARE, check=2).stderr
    assert "1 of 4 scans cannot be used (25.0 %); at most 5 % are left out" in refused
    quarter = (*PREPARE, "--limits.unreadable=0.25")
    told = json.loads(command(*quarter, "--json", check=(2, 3)).stdout)
    assert told["counts"]["failed"] == 1
    (failed,) = (one for one in told["scans"] if one["outcome"] == "failed")
    rows = (tmp_path / "out" / "failures.tsv").read_text().splitlines()
    assert [row for row in rows if "cut off" in row] == [
        row for row in rows if row.startswith(f"{failed['scan']}\t")
    ]
    shutil.rmtree(tmp_path / "out")
    volumes[0].write_bytes(b"")
    refused = command(*quarter, check=2).stderr
    assert "2 of 4 scans cannot be used (50.0 %)" in refused
    assert f"{volumes[3].name}: cut off" in refused.replace("damaged or cut", "cut")
    assert f"{volumes[0].name}: is empty" in refused
    assert not (tmp_path / "out").exists()


# row lim-class
def test_a_class_of_volumes_is_never_lost(command, tmp_path) -> None:
    for volume in write_volumes(tmp_path / "data", 1)[:1]:
        volume.write_bytes(b"")
    refused = command(*PREPARE, "--limits.unreadable=0.9", check=2).stderr
    assert f"no usable scan is left of class {CLASSES[0]!r}" in refused


# row lim-wrong
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--limits.pixel=3"], "did you mean --limits.pixels?"),
        (["--limits.pixels=many"], "needs a whole number above 0"),
        (["--limits.pixels=0"], "needs a whole number above 0"),
        (["--limits.decoding-seconds=inf"], "needs a number above 0"),
        (["--limits.decoding-seconds"], "needs a number above 0"),
    ],
)
def test_a_limit_that_is_none_is_refused_in_one_line(
    command, tmp_path, flags, said
) -> None:
    refused = command("check", tmp_path, *flags, check=2)
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1
