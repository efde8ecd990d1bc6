"""A disk that is full, at its quota or read-only costs a line and no old file.

Every verb that writes is run once in peace; what it took is then left to it in part, or
not at all, or the disk takes no more writing. It must leave with 2 and one line, or, if
the part was enough, be done. What stood there stands there still, and whatever has a
final name can be read to its end.
"""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NoReturn

import httpx
import numpy as np
import pytest
from tests.conftest import REPO_ROOT
from tests.integration.conftest import CLASSES, TINY, paint_cohort
from tests.integration.test_prepare import brain
from tests.torture import disks
from tests.unit.data.test_fetch import NAME
from tests.unit.serving import served

from vit_dementia.cli.app import run
from vit_dementia.config import VitConfig
from vit_dementia.data.pseudonyms import read_salt
from vit_dementia.data.volumes import write_volume
from vit_dementia.errors import DataError
from vit_dementia.evaluation import floors, intervals
from vit_dementia.models.variants import architecture
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.models.weights import native
from vit_dementia.workflows.report import write

pytestmark = pytest.mark.torture

TRAIN = (*TINY, "--epochs=1")


@dataclass(frozen=True)
class Made:
    """Where the inputs are, and how a verb is told of them: ``OUT`` is on the disk."""

    root: Path

    def words(self, verb: str) -> list[str]:
        """Return the command line of a verb."""
        places = {"DATA": "trained/data", "RUN": "trained/run", "SCANS": "scans"}
        places |= {"NETWORKS": "networks"}
        places |= {"SCORED": "kept/evaluate/run", "TWICE": "twice"}
        places |= {"CACHE": "cache", "OUT": "disk/out", "TABLE": "table.tsv"}
        told = VERBS[verb].split()
        for name, place in places.items():
            told = [word.replace(name, str(self.root / place)) for word in told]
        return told


NEEDS: dict[str, dict[str, object]] = {  # what a layout can express
    "native": {}, "timm": {}, "huggingface": {},
    "torchvision": {"image_size": (32, 32), "channels": 3},
    "google": {"activation": "gelu_tanh"},
    "historical": {"layer_norm_eps": 1e-5},
}  # fmt: skip
SCAN = "DATA/MildDemented/sub-001_slice-0.png"
QUICK = " ".join((*TRAIN, "--cache=CACHE"))
VERBS = {
    "train": f"train DATA {QUICK} --out=OUT/run",
    "pretrain": f"pretrain DATA {QUICK} --mask.decoder-dim=16 --out=OUT/r",
    "cross-validate": f"cross-validate DATA {QUICK} --folds=2 --out=OUT/r",
    "tune": f"tune DATA {QUICK} --trials=1 --data.val=0.3 --out=OUT/r",
    "evaluate": "evaluate OUT/run DATA --cache=CACHE",
    "evaluate-table": "evaluate --predictions=TABLE --out=OUT/scores",
    "compare": "compare SCORED TWICE --out=OUT/compared",
    "check": "check DATA --out=OUT/found --write-participants=OUT/who.tsv",
    "split": "split DATA --out=OUT/split.json",
    "prepare": "prepare SCANS OUT/made --pipeline=none --workers=1",
    "explain": f"explain RUN {SCAN} --out=OUT/maps",
    "predict": f"predict RUN {SCAN} --out=OUT/told --html=OUT/told.html",
    "predict-explain": f"predict RUN {SCAN} --out=OUT/told --explain",
    "phantom": "data phantom OUT/phantoms --participants=4 --slices=2",
    "phantom-volumes": "data phantom OUT/phantoms --participants=1 --volumes",
    "bench": "bench --models=Ti/16 --batch=1 --image-size=32 --seconds=0 --no-memory "
    "--peers=TransformerEncoder --what=forward --precision=fp32 --out=OUT/bench",
    **{
        f"export-{form}": f"export RUN OUT/model --format={form} --check-on={SCAN}"
        for form in ("native", "onnx", "openvino", "torch-export", "monai")
    },
    **{
        f"convert-{form}": f"convert NETWORKS/{form} OUT/model --format={form}"
        for form in NEEDS
    },
}  # fmt: skip
# What they write may stand there already, and is then written anew.
AGAIN = {
    "evaluate", "compare", "check", "split", "explain", "predict",
    "predict-explain", "evaluate-table",
    *(verb for verb in VERBS if verb.startswith("convert-")),
}  # fmt: skip
# These take long to come to their first write: they are given one fault alone.
SLOW = {"cross-validate", "prepare", "bench", "export-onnx", "export-openvino",
        "phantom-volumes"}  # fmt: skip
FAULTS: dict[str, Callable[[Path], AbstractContextManager[None]]] = {
    "full": lambda at: disks.full(at, 0),
    "nearly-full": lambda at: disks.full(at, 12 * disks.PAGE),
    "quota": lambda at: disks.quota(at, 32),
    "read-only": disks.read_only,
}
CASES = [
    (verb, fault) for verb in VERBS for fault in (["full"] if verb in SLOW else FAULTS)
]


@pytest.fixture(scope="session")
def made(tmp_path_factory, trained) -> Iterator[Made]:
    """Return the inputs, and a disk of its own beside them."""
    root = tmp_path_factory.mktemp("disk")
    (root / "trained").symlink_to(trained)
    shutil.copytree(trained / "cache", root / "cache")
    write_volume(root / "scans" / "sub-01_T1w.nii.gz", brain(1))
    for form, needs in NEEDS.items():
        network = VisionTransformer(
            replace(
                architecture(
                    "ViT-Ti/16",
                    VitConfig(embed_dim=24, depth=1, num_heads=2, mlp_dim=48),
                    image_size=(32, 16),
                    num_classes=2,
                    channels=1,
                ),
                **needs,
            )
        )
        native.save(
            network.state_dict(),
            network.architecture,
            CLASSES,
            root / "networks" / form,
        )
    (root / "disk").mkdir()
    (root / "table.tsv").write_text(_predictions())
    with disks.disk(root / "disk"):
        yield Made(root)


def _predictions() -> str:
    """Return a table of predictions of forty people."""
    rng = np.random.default_rng(0)
    lines = ["participant_id\tpath\tlabel\tp_CN\tp_AD"]
    for person in range(40):
        ill = float(np.clip(0.3 + 0.4 * (person % 2) + rng.normal(0, 0.2), 0.01, 0.99))
        label = ("CN", "AD")[person % 2]
        cells = (f"sub-{person:02}", f"{person}.png", label, f"{1 - ill}", f"{ill}")
        lines.append("\t".join(cells))
    return "\n".join(lines) + "\n"


@pytest.fixture(autouse=True)
def _in_short(monkeypatch) -> None:
    """Leave out what takes most of the time, and writes nothing."""
    few = partial(floors.linear_of_permuted_labels, refits=19)
    monkeypatch.setattr(floors, "linear_of_permuted_labels", few)
    few = partial(intervals.bootstrap, replicates=200)
    monkeypatch.setattr(intervals, "bootstrap", few)
    monkeypatch.setattr(write, "draw", lambda *_: [])


@pytest.fixture(scope="session")
def in_peace(made) -> Callable[[str], Path]:
    """Return what runs a verb where nothing is wrong, once, and keeps what it wrote."""

    def of(verb: str) -> Path:
        kept = made.root / "kept" / verb
        if not kept.exists():
            if verb == "compare":
                shutil.copytree(of("evaluate") / "run", made.root / "twice")
            out = made.root / "disk" / "out"
            _begin(made, verb, None)
            assert run(made.words(verb)) == 0
            assert disks.broken_in(out) == []
            shutil.copytree(out, kept)
        return kept

    return of


def _begin(made: Made, verb: str, before: Path | None) -> None:
    """Put what stands there before a verb is run on the disk."""
    out = made.root / "disk" / "out"
    shutil.rmtree(out, ignore_errors=True)
    if before is not None:
        shutil.copytree(before, out)
    else:
        out.mkdir()
    if verb == "evaluate" and before is None:
        shutil.copytree(made.root / "trained" / "run", out / "run")


@pytest.mark.parametrize(("verb", "fault"), CASES)
def test_a_disk_that_refuses_costs_a_line_and_nothing_that_was_there(
    verb, fault, made, in_peace, command
) -> None:
    _begin(made, verb, in_peace(verb) if verb in AGAIN else None)
    place = made.root / "disk"
    before = disks.files_in(place / "out")
    with FAULTS[fault](place):
        # What is left may be enough; it is then done.
        done = command(*made.words(verb), check=2 if fault != "nearly-full" else (0, 2))
    now = disks.files_in(place / "out")
    assert disks.broken_in(place / "out") == []
    assert before.keys() - now.keys() == set()
    if done.exit_code:
        told = [line for line in done.stderr.splitlines() if "cannot be" in line]
        assert len(told) == 1, done.stderr
        assert told[0].startswith("vit-dementia: ")
        if verb.startswith("convert-"):  # of a model no part is changed alone
            assert now == before


@pytest.mark.parametrize("fault", ["full", "quota", "read-only"])
def test_scans_that_no_cache_has_room_for_are_told(made, command, fault) -> None:
    _begin(made, "cache", None)
    words = [w for w in made.words("train") if not w.startswith(("--cache", "--out"))]
    place = made.root / "disk"
    with FAULTS[fault](place):
        done = command(*words, f"--cache={place / 'out' / 'c'}", "--out=run", check=2)
    assert "cannot be written" in done.stderr.splitlines()[-1]
    assert disks.files_in(place / "out") == {}


def test_a_mapped_page_that_finds_no_room_does_not_end_the_process(made) -> None:
    _begin(made, "cache", None)
    words = [w for w in made.words("train") if not w.startswith(("--cache", "--out"))]
    place = made.root / "disk"
    out = f"--out={made.root / 'run-of-cache'}"
    # In a process of its own, because it would be ended by a signal.
    asked = [sys.executable, "-m", "vit_dementia", *words, out]
    with disks.full(place, 3 * disks.PAGE):  # for the head of the array
        done = subprocess.run(
            [*asked, f"--cache={place / 'out' / 'c'}"],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert disks.files_in(place / "out") == {}


@pytest.mark.parametrize("fault", ["full", "quota", "read-only"])
def test_a_downloaded_set_that_has_no_room_is_told_and_leaves_nothing(
    made, command, kaggle, fault
) -> None:
    site, _, _ = kaggle
    _begin(made, "fetch", None)
    out = made.root / "disk" / "out"
    with FAULTS[fault](made.root / "disk"):
        done = command(
            "data", "fetch", NAME, out / "set", "--accept-license", "--site", site,
            check=2,
        )  # fmt: skip
    assert any("cannot be" in line for line in done.stderr.splitlines()[-2:])
    assert not (out / "set").exists()
    command("data", "fetch", NAME, out / "set", "--accept-license", "--site", site)


@pytest.mark.parametrize("fault", ["full", "quota", "read-only"])
def test_a_salt_is_whole_or_not_there(made, fault) -> None:
    _begin(made, "salt", None)
    path = made.root / "disk" / "out" / "salt"
    with (
        FAULTS[fault](made.root / "disk"),
        pytest.raises(DataError, match="cannot be read or made"),
    ):
        read_salt(path)
    assert disks.files_in(path.parent) == {}
    assert read_salt(path) == read_salt(path)


@pytest.mark.parametrize("fault", ["full", "quota", "read-only"])
@pytest.mark.parametrize("script", ["train.py", "train_transferlearning.py"])
def test_an_old_script_tells_it_too_and_leaves_the_old_weights(
    made, monkeypatch, capsys, script, fault
) -> None:
    _begin(made, "script", None)
    out = made.root / "disk" / "out"
    for name in ("ViTModel.pth", "ViTModel_losses.pkl"):
        (out / "models").mkdir(exist_ok=True)
        (out / "models" / name).write_bytes(b"old")
    monkeypatch.chdir(out)
    monkeypatch.setenv("XDG_CACHE_HOME", str(made.root / "cache-of-scripts"))
    data = made.root / "parts"
    if not data.exists():
        paint_cohort(data, people=24, parts=("train", "train", "test"))
    words = ["--epochs=1", *(f"--{n}_dir={data / n}" for n in ("train", "test"))]
    if script == "train.py":
        words += ["--num_transformer_layer=1", "--embedding_dim=12", "--num_heads=2",
                  "--mlp_size=24", "--patch_size=56", "--num_classes=2"]  # fmt: skip
    else:
        words += [f"--weights={made.root / 'trained' / 'run'}"]
    monkeypatch.setattr(sys, "argv", [script, *words])
    before = disks.files_in(out)
    with FAULTS[fault](made.root / "disk"), pytest.raises(SystemExit) as left:
        runpy.run_path(str(REPO_ROOT / script), run_name="__main__")
    assert left.value.code == 2
    assert "cannot be written" in capsys.readouterr().err.splitlines()[-1]
    assert disks.files_in(out) == before


def test_a_demo_finds_out_before_it_makes_anything(made, command) -> None:
    _begin(made, "demo", None)
    with disks.read_only(made.root / "disk"):
        done = command("demo", "--out", made.root / "disk" / "out" / "demo", check=2)
    assert "cannot be written" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--help"], "what was to be written: cannot be written"),
        (["split", "nowhere", "--json"], "nowhere: does not exist"),
    ],
)
def test_a_full_disk_behind_our_output_is_told_in_one_line(words, told) -> None:
    with Path("/dev/full").open("w") if Path("/dev/full").exists() else skipped() as to:
        done = subprocess.run(
            [sys.executable, "-m", "vit_dementia", *words],
            stdout=to,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert told in line


def skipped() -> NoReturn:
    pytest.skip("this system has no full device")


def test_a_server_without_room_says_so_and_serves_the_next(made, monkeypatch) -> None:
    place = made.root / "disk"
    _begin(made, "serve", None)
    monkeypatch.setattr(tempfile, "tempdir", str(place / "out"))
    form = [("files", ("a", bytes(3 * disks.MIB)))]
    with served.listening(served.Here(served.nothing)) as url:
        with disks.full(place, 100_000):
            answer = httpx.post(f"{url}/v1/predict", files=form)
        assert answer.status_code == 507
        assert str(place) not in answer.text
        assert httpx.post(f"{url}/v1/predict", files=form).status_code == 200
    assert disks.files_in(place / "out").keys() <= {"serve.lock"}
