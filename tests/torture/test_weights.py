"""Every row of the catalog on weights, settings and archives, by its name.

Whatever stands in the file, nothing of it runs, nothing larger than the file is made of
it, and the refusal is one line with the file in it.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import shutil
import stat
import struct
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save as safetensors_of
from tests.integration.conftest import TINY, paint_cohort

from vit_dementia.config import VitConfig
from vit_dementia.errors import CheckpointError
from vit_dementia.files import read_json, sealed, sha256_of, write_json
from vit_dementia.models.variants import architecture
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.models.weights import read_weights

pytestmark = pytest.mark.torture

MOST_MEMORY = 150 * 1024**2  # bytes that a refusal may take beyond what was there


class Live:
    """Pickles to a call that leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def network() -> VisionTransformer:
    """Return a network whose weights alone tell everything."""
    small = VitConfig(embed_dim=192, depth=1, num_heads=3, mlp_dim=8, patch_size=8)
    return VisionTransformer(
        architecture("ViT-Ti/16", small, image_size=(16, 16), num_classes=2)
    )


STATE = network().state_dict()


def torch_file(content: object, *, old: bool = False) -> bytes:
    into = io.BytesIO()
    torch.save(content, into, _use_new_zipfile_serialization=not old)
    return into.getvalue()


def packed(content: bytes, *, twice: bool = False) -> bytes:
    """Return a torch file whose members are deflated, as no torch ever writes it."""
    into = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as plain,
        zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in plain.namelist():
            archive.writestr(name, plain.read(name))
        if twice:
            archive.writestr(plain.namelist()[0], b"other")
    return into.getvalue()


def npz(shape: tuple[int, ...], body: bytes = bytes(16)) -> bytes:
    """Return an archive of one array, with a header that says what it likes."""
    header, into = io.BytesIO(), io.BytesIO()
    told = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, told)
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", header.getvalue() + body)
    return into.getvalue()


def npz_of(array: np.ndarray) -> bytes:
    into = io.BytesIO()
    np.savez(into, w=array)
    return into.getvalue()


def npy_of(array: np.ndarray) -> bytes:
    into = io.BytesIO()
    np.save(into, array)
    return into.getvalue()


def header(told: bytes | dict[str, object], *, length: int | None = None) -> bytes:
    """Return a safetensors file of 64 bytes of numbers."""
    text = told if isinstance(told, bytes) else json.dumps(told).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(64)


def claim(*shape: int, at: tuple[int, int] = (0, 64)) -> dict[str, object]:
    return {"dtype": "F32", "shape": list(shape), "data_offsets": list(at)}


def stretched(*shape: int) -> torch.Tensor:
    """Return one number that claims to be many."""
    return torch.zeros(1).as_strided(shape, (0,) * len(shape))


def script() -> bytes:
    into = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), into)
    return into.getvalue()


def deep(levels: int) -> bytes:
    return b'{"a":' + b"[" * levels


def with_weight(name: str, value: torch.Tensor) -> bytes:
    return torch_file(STATE | {name: value})


def many_members() -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        for number in range(20_001):
            archive.writestr(f"{number}.npy", b"")
    return into.getvalue()


ZIPPED = torch_file(STATE)
PLAIN = safetensors_of(STATE)

# Row of the catalog: its name, what makes it (of the mark that code would leave), and
# what the refusal says.
REFUSED: dict[str, tuple[str, Callable[[Path], bytes], str]] = {
    "ck-pt": ("a.pt", lambda m: torch_file({"w": Live(m)}), "would run code"),
    "ck-pth-old": (
        "a.pth", lambda m: torch_file({"w": Live(m)}, old=True), "would run code",
    ),
    "ck-ckpt": ("a.ckpt", lambda m: torch_file([Live(m)]), "would run code"),
    "ck-pkl": ("a.pkl", lambda m: pickle.dumps(Live(m)), "would run code"),
    "ck-optimizer": (
        "a.pth",
        lambda m: torch_file({"model": STATE, "optimizer": {"state": Live(m)}}),
        "would run code",
    ),
    "ck-pt-as-safetensors": (
        "a.safetensors", lambda m: torch_file({"w": Live(m)}), "cannot be read",
    ),
    "ck-npz": ("a.npz", lambda m: npz_of(np.array([Live(m)], object)), "run code"),
    "ck-npy": ("a.npy", lambda m: npy_of(np.array([Live(m)], object)), "run code"),
    "ck-whole-model": (
        "a.pt", lambda _: torch_file(torch.nn.Linear(2, 2)), "torch.nn.modules.linear",
    ),
    "ck-torchscript": ("a.pt", lambda _: script(), "is a program"),
    **{
        row: (f"a.{kind}", lambda _, part=part: part, "cannot be read")
        for row, kind, part in (
            ("ck-truncated-pth-10", "pth", ZIPPED[: len(ZIPPED) // 10]),
            ("ck-truncated-pth-50", "pth", ZIPPED[: len(ZIPPED) // 2]),
            ("ck-truncated-pth-99", "pth", ZIPPED[: len(ZIPPED) * 99 // 100]),
            ("ck-truncated-st-10", "safetensors", PLAIN[: len(PLAIN) // 10]),
            ("ck-truncated-st-50", "safetensors", PLAIN[: len(PLAIN) // 2]),
            ("ck-truncated-st-99", "safetensors", PLAIN[: len(PLAIN) * 99 // 100]),
        )
    },
    "ck-empty": ("a.pth", lambda _: b"", "cannot be read"),
    "ck-text": ("a.pth", lambda _: b"not found", "or is damaged"),
    "ck-other": (
        "a.pth", lambda _: torch_file({"conv1.weight": torch.zeros(1)}), "conv1.weight",
    ),
    "ck-nan": (
        "a.pth",
        lambda _: with_weight("norm.weight", torch.full((192,), float("nan"))),
        "NaN or an infinity in norm.weight",
    ),
    "ck-no-tensors": ("a.pth", lambda _: torch_file({"epoch": 3}), "no named tensors"),
    "ck-stride-bomb": (
        "a.pth",
        lambda _: with_weight("patch_embed.proj.weight", stretched(10**6, 10**6, 1, 1)),
        "more than the file holds",
    ),
    "ck-stride-bomb-many": (
        "a.pth",
        lambda _: torch_file({f"{n}.weight": stretched(10**5) for n in range(100)}),
        "more than the file holds",
    ),
    "ck-meta-tensor": (
        "a.pth",
        lambda _: with_weight("norm.weight", torch.zeros(192, device="meta")),
        "is no plain tensor",
    ),
    "ck-sparse-tensor": (
        "a.pth",
        lambda _: with_weight("norm.weight", torch.zeros(192).to_sparse()),
        "is no plain tensor",
    ),
    "ck-zip-bomb": (
        "a.pth",
        lambda _: packed(torch_file({"w": torch.zeros(5_000_000)})),
        "nothing was unpacked",
    ),
    "ck-zip-twice": ("a.pth", lambda _: packed(ZIPPED, twice=True), "its own name"),
    "ck-zip-members": ("a.npz", lambda _: many_members(), "at most 20000"),
    "ck-npz-bomb": (
        "a.npz", lambda _: npz((5_000_000,), bytes(20_000_000)), "nothing was unpacked",
    ),
    "ck-npz-claims": ("a.npz", lambda _: npz((10**14,)), "cannot be read"),
    "ck-block-number": (
        "a.pth",
        lambda _: with_weight("blocks.999999999999.norm1.bias", torch.zeros(192)),
        "needs every block",
    ),
    "ck-block-digits": (
        "a.pth",
        lambda _: with_weight(f"blocks.{'9' * 5000}.norm1.bias", torch.zeros(192)),
        "needs every block",
    ),
    "ck-st-length": (
        "a.safetensors", lambda _: header({"w": claim(16)}, length=2**62), "header",
    ),
    "ck-st-json": ("a.safetensors", lambda _: header(b"{nope"), "JSON"),
    "ck-st-deep": ("a.safetensors", lambda _: header(deep(100_000)), "JSON"),
    "ck-st-offsets": (
        "a.safetensors", lambda _: header({"w": claim(16, at=(0, 640))}), "offset",
    ),
    "ck-st-overlap": (
        "a.safetensors",
        lambda _: header({"v": claim(4, at=(0, 16)), "w": claim(4, at=(8, 24))}),
        "offset",
    ),
    "ck-st-shape": (
        "a.safetensors", lambda _: header({"w": claim(10**9, 10**9)}), "overflow",
    ),
}  # fmt: skip


def most_memory() -> int:
    """Return the bytes that this process has ever held."""
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kibibytes * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.filterwarnings("ignore:.*[jJ]it:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # made on purpose
@pytest.mark.parametrize("row", REFUSED)
def test_a_file_of_weights_that_is_wrong_is_refused_and_nothing_runs(
    tmp_path, row
) -> None:
    name, make, cause = REFUSED[row]
    mark, path = tmp_path / "executed", tmp_path / name
    path.write_bytes(make(mark))
    before = most_memory()
    with pytest.raises(CheckpointError) as caught:
        read_weights(path)
    (line,) = caught.value.faults
    assert cause in line
    assert str(path) in line
    assert "\n" not in line
    assert not mark.exists()
    assert most_memory() - before < MOST_MEMORY


ENTRIES: dict[str, Callable[[Path, Path], tuple[object, ...]]] = {
    "convert": lambda bad, _: ("convert", bad, "out", "--format=timm"),
    "train --init": lambda bad, data: ("train", data, "--init", bad, "--out=out"),
    "pretrain --init": lambda bad, data: ("pretrain", data, "--init", bad, "--out=out"),
    "cross-validate --init": lambda bad, data: (
        "cross-validate", data, "--init", bad, "--folds=2", "--out=out",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Return class folders of people to train on."""
    return paint_cohort(tmp_path_factory.mktemp("cohort") / "data", people=12)


@pytest.mark.parametrize("row", ["ck-pt", "ck-truncated-pth-50", "ck-nan", "ck-other"])
@pytest.mark.parametrize("entry", ["convert", "train --init", "pretrain --init"])
def test_it_is_refused_wherever_weights_enter(
    command, tmp_path, data, entry, row
) -> None:
    name, make, cause = REFUSED[row]
    mark, path = tmp_path / "executed", tmp_path / name
    path.write_bytes(make(mark))
    done = command(*ENTRIES[entry](path, data), "--cache=cache", check=2)
    told = [line for line in done.stderr.splitlines() if str(path) in line]
    assert cause in told[-1]
    assert "Traceback" not in done.stderr
    assert not mark.exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
@pytest.mark.parametrize("entry", ["convert", "train --init", "cross-validate --init"])
def test_a_pipe_in_place_of_weights_is_never_waited_for(  # row ck-pipe
    command, tmp_path, data, entry
) -> None:
    os.mkfifo(tmp_path / "a.pth")
    arguments = ENTRIES[entry](tmp_path / "a.pth", data)
    done = command(*arguments, "--cache=cache", check=2)
    assert "is not a regular file" in done.stderr


def changed(folder: Path, **values: object) -> None:
    """Change the description of a model and seal it anew, as an attacker would."""
    path = folder / "model" / "config.json"
    told = read_json(path) | values
    told["sha256"] = sha256_of(folder / "model" / "model.safetensors")
    write_json(path, sealed({k: v for k, v in told.items() if k != "hash"}))


def described(**values: object) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        told = read_json(run / "model" / "config.json")["architecture"]
        changed(run, architecture=told | values)

    return change


def one_bit(name: str) -> Callable[[Path], None]:
    def flip(run: Path) -> None:
        content = bytearray((run / "model" / name).read_bytes())
        content[len(content) * 2 // 3] ^= 4
        (run / "model" / name).write_bytes(content)

    return flip


def written(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda run: (run / "model" / name).write_bytes(content)


def sealed_anew(name: str, **values: object) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        told = read_json(run / "model" / name) | values
        write_json(
            run / "model" / name, sealed({k: v for k, v in told.items() if k != "hash"})
        )

    return change


def piped(run: Path) -> None:
    (run / "model" / "preprocessing.json").unlink()
    os.mkfifo(run / "model" / "preprocessing.json")


CONFIG, MADE = "config.json", "preprocessing.json"
# Row of the catalog: what is done to a model folder, and what the refusal says.
FOLDERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "ck-bit-flip": (one_bit("model.safetensors"), "SHA-256"),
    "ck-bit-flip-config": (one_bit(CONFIG), CONFIG),
    "ck-bit-flip-preprocessing": (one_bit(MADE), MADE),
    "ck-bit-flip-calibration": (one_bit("calibration.json"), "calibration.json"),
    "ck-cut-off": (written("model.safetensors", PLAIN[:-9]), "SHA-256"),
    "ck-st-other": (described(depth=3), "missing blocks.2"),
    "ck-st-classes": (
        lambda run: changed(run, classes=["a", "b", "c"]), "2 outputs and 3 classes",
    ),
    "ck-st-version": (lambda run: changed(run, format_version=99), "version 99"),
    "ck-st-meta": (
        lambda run: changed(run, classes=["CN", "<script>alert(1)</script>"]),
        "is no name of a class",
    ),
    "ck-st-meta-formula": (
        lambda run: changed(run, classes=["CN", "=1+1"]), "is no name of a class",
    ),
    "ck-st-meta-escape": (
        lambda run: changed(run, classes=["CN", "A\x1b[31m"]), "is no name of a class",
    ),
    "ck-st-meta-twice": (lambda run: changed(run, classes=["CN", "CN"]), "name twice"),
    "ck-depth-bomb": (described(depth=10**9), "1000000000 blocks"),
    "ck-width-bomb": (
        described(embed_dim=2**40, mlp_dim=2**40), "describes no network",
    ),
    "ck-image-bomb": (
        described(image_size=[8 * 10**9, 8 * 10**9]), "describes no network",
    ),
    "ck-number-bomb": (described(embed_dim=2 * 10**30), "describes no network"),
    "ck-value-of-another-type": (described(depth="2"), "depth"),
    "ck-size-bomb": (sealed_anew(MADE, size=[10**6, 10**6]), "the network reads"),
    "ck-preprocessing-type": (sealed_anew(MADE, mean="0"), MADE),
    "ck-json-deep": (written(CONFIG, deep(100_000)), "cannot be read as JSON"),
    "ck-json-nan": (written(MADE, b'{"mean": NaN}'), "NaN is no JSON number"),
    "ck-json-twice": (written(MADE, b'{"mean": 1, "mean": 2}'), "stands twice"),
    "ck-json-list": (written(MADE, b"[]"), "no JSON object"),
    "ck-json-pipe": (piped, "not a regular file"),
    "ck-json-eval": (
        sealed_anew(MADE, mean="$__import__('os').system('touch executed')"), MADE,
    ),
    "ck-yaml-tag": (
        written(CONFIG, b"!!python/object/apply:os.system ['touch executed']"),
        "cannot be read as JSON",
    ),
}  # fmt: skip


@pytest.fixture
def spoiled(trained, tmp_path) -> Callable[[str], Path]:
    """Return a function that copies the run and does to it what a row says."""

    def spoil(row: str) -> Path:
        if row.endswith("-pipe") and not hasattr(os, "mkfifo"):
            pytest.skip("this system has no pipes")
        run = Path(shutil.copytree(trained / "run", tmp_path / "bad"))
        FOLDERS[row][0](run)
        return run

    return spoil


@pytest.mark.parametrize("row", FOLDERS)
def test_a_model_folder_that_was_changed_is_refused(
    trained, command, tmp_path, spoiled, row
) -> None:
    run, cause = spoiled(row), FOLDERS[row][1]
    scan = trained / "data" / "MildDemented" / "sub-001_slice-0.png"
    before = most_memory()
    done = command("predict", run, scan, check=2)
    (line,) = [n for n in done.stderr.splitlines() if n.startswith("vit-dementia: ")]
    assert cause in line
    assert str(run) in line
    assert not (tmp_path / "executed").exists()
    assert most_memory() - before < MOST_MEMORY


VERBS: dict[str, Callable[[Path, Path], tuple[object, ...]]] = {
    "evaluate": lambda run, _: ("evaluate", run),
    "explain": lambda run, scan: ("explain", run, scan, "--out=out"),
    "export": lambda run, _: ("export", run, "out", "--format=torch-export"),
    "convert": lambda run, _: ("convert", run, "out", "--format=timm"),
}


@pytest.mark.parametrize("row", ["ck-bit-flip", "ck-st-version", "ck-st-other"])
@pytest.mark.parametrize("verb", VERBS)
def test_it_is_refused_by_every_verb_that_opens_a_model(
    trained, command, tmp_path, spoiled, verb, row
) -> None:
    scan = trained / "data" / "MildDemented" / "sub-001_slice-0.png"
    run = spoiled(row)
    shutil.rmtree(run / "evaluation", ignore_errors=True)
    done = command(*VERBS[verb](run, scan), check=2)
    assert FOLDERS[row][1] in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
    assert not list(run.glob("evaluation/*/metrics.json"))


def test_weights_of_other_classes_are_refused_by_name(command, trained) -> None:
    done = command(  # row ck-other-classes
        "convert", trained / "run", "out", "--format=timm", "--classes=A,B", check=2
    )
    assert "NonDemented,MildDemented; --classes says A,B" in done.stderr


# Row of the catalog: what is done to the newest checkpoint of a run.
CHECKPOINTS: dict[str, Callable[[Path], object]] = {
    "ck-resume-flip": lambda file: file.write_bytes(
        bytes([*file.read_bytes()[:-1], file.read_bytes()[-1] ^ 1])
    ),
    "ck-resume-cut": lambda file: file.write_bytes(file.read_bytes()[:-9]),
    "ck-resume-pickle": lambda file: file.write_bytes(
        pickle.dumps(Live(file.parents[2] / "executed"))
    ),
    "ck-resume-manifest": lambda file: file.with_suffix(".json").write_text(
        file.with_suffix(".json").read_text().replace('"epochs": ', '"epochs": 1')
    ),
}


@pytest.fixture(scope="module")
def stopped(data, tmp_path_factory) -> Path:
    """Return a run with two checkpoints, of its first epoch and of its second."""
    from vit_dementia.cli.app import run

    folder = tmp_path_factory.mktemp("stopped")
    told = ["train", data, *TINY, "--batch-size=8", "--epochs=1"]
    told += ["--train.checkpoint-minutes=0"]
    assert run([str(one) for one in (*told, "--out", folder / "run")]) == 0
    return folder / "run"


@pytest.mark.parametrize("row", CHECKPOINTS)
def test_a_spoiled_checkpoint_is_told_and_the_one_before_it_is_used(
    stopped, command, tmp_path, caplog, row
) -> None:
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    newest = sorted((run / "checkpoints").glob("*.safetensors"))[-1]
    CHECKPOINTS[row](newest)
    command("train", "--resume", run)
    assert f"{newest.stem}" in caplog.text
    assert "is damaged; the one before it is used" in caplog.text
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("row", CHECKPOINTS)
def test_when_all_are_spoiled_nothing_is_begun_anew(
    stopped, command, tmp_path, row
) -> None:
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    for file in (run / "checkpoints").glob("*.safetensors"):
        CHECKPOINTS[row](file)
    done = command("train", "--resume", run, check=2)
    assert "all damaged; needs an intact one" in done.stderr


def zipped(*names: str, link: bool = False) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        for name in names:
            member = zipfile.ZipInfo(name)
            if link:
                member.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(member, b"/etc/passwd")
    return into.getvalue()


def tarred(name: str, kind: bytes = tarfile.REGTYPE) -> bytes:
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    return into.getvalue()


# Row of the catalog: an archive in place of a scan, of data, of weights.
ARCHIVES = {
    "arc-zip-slip": ("a.zip", zipped("../evil.png")),
    "arc-zip-link": ("a.zip", zipped("evil.png", link=True)),
    "arc-zip-nested": ("a.zip", zipped("inner.zip")),
    "arc-tar-slip": ("a.tar.gz", tarred("../evil.png")),
    "arc-tar-link": ("a.tar.gz", tarred("evil.png", tarfile.SYMTYPE)),
    "arc-nii": ("a.nii.gz", tarred("a.nii")),
}


@pytest.mark.parametrize("row", ARCHIVES)
@pytest.mark.parametrize("verb", ["predict", "train", "check", "convert", "--init"])
def test_archives_are_not_supported_and_nothing_of_them_is_unpacked(
    trained, command, tmp_path, data, row, verb
) -> None:
    name, content = ARCHIVES[row]
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    path = inside / name
    path.write_bytes(content)
    arguments = {
        "predict": ("predict", trained / "run", path),
        "train": ("train", path, *TINY, "--out=out"),
        "check": ("check", path, "--out=out"),
        "convert": ("convert", path, "out", "--format=timm"),
        "--init": ("train", data, "--init", path, "--out=out"),
    }[verb]
    done = command(*arguments, check=2)
    assert name in done.stderr
    assert [one.name for one in (tmp_path / "a").rglob("*")] == ["b", name]
    assert not (tmp_path / "out").exists()
