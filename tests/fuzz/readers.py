"""Every door that a file enters by, with whole files for it, and what may come of one.

A reader is given one damaged file among whole ones. It must give numbers that are
finite, or raise one of our own errors with lines that say what is wrong; whatever else
comes out of it is a fault of ours.
"""

from __future__ import annotations

import io
import itertools
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from PIL import Image
from tests.conftest import _write_series
from tests.unit.serving import served

from vit_dementia import recipes
from vit_dementia.config import RunConfig
from vit_dementia.data.archives import unpack
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.dicom.reading import read_dicom
from vit_dementia.data.images import read_slice
from vit_dementia.data.split_file import Split
from vit_dementia.data.splits import holdout
from vit_dementia.data.volumes import Volume, read_volume, write_volume
from vit_dementia.errors import VitDementiaError
from vit_dementia.evaluation.predictions import Predictions
from vit_dementia.files import sealed, sha256_of
from vit_dementia.inference.kept import Kept, Said
from vit_dementia.inference.predictor import Predictor
from vit_dementia.limits import Limits
from vit_dementia.preparation.pipeline import Pipeline
from vit_dementia.preparation.record import quality_in, recorded
from vit_dementia.training import checkpoint
from vit_dementia.training.history import EpochRecord, read_history, write_history
from vit_dementia.workflows.evaluate_table import read_predictions
from vit_dementia.workflows.model_facts import facts_of
from vit_dementia.workflows.tune_space import DEFAULT_SPACE, read_space, write_space

SLICE = np.random.default_rng(0).integers(1, 255, (32, 24), dtype=np.uint8)
# A member of an archive, a picture and a volume are small here: so are their bounds.
SMALL = Limits(unpacked_bytes=8 * 1024**2, volume_bytes=8 * 1024**2, pixels=4_000_000)


@dataclass(frozen=True)
class Door:
    """One way in.

    Attributes:
        whole: returns whole files by their names.
        read: reads the file of a name, damaged, in an empty folder that it may use.
    """

    whole: Callable[[], dict[str, bytes]]
    read: Callable[[str, bytes, Path], None]


def fault_of(door: Door, name: str, content: bytes) -> VitDementiaError | None:
    """Read a damaged file; return the error that tells of it, None if it was read."""
    found: VitDementiaError | None = None
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        try:
            door.read(name, content, Path(folder))
        except VitDementiaError as error:
            found = error
    if found is not None:
        assert found.faults
        assert all(fault.strip() for fault in found.faults)
    return found


def _put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# Pictures and volumes


def _pictures() -> dict[str, bytes]:
    def saved(kind: str, image: Image.Image, **how: object) -> bytes:
        out = io.BytesIO()
        image.save(out, format=kind, **how)
        return out.getvalue()

    gray = Image.fromarray(SLICE)
    return {
        "a.png": saved("PNG", gray),
        "b.png": saved("PNG", Image.fromarray(SLICE.astype(np.uint16) * 256)),
        "c.png": saved("PNG", gray.convert("P")),
        "d.jpg": saved("JPEG", gray),
        "e.tif": saved("TIFF", gray, compression="tiff_deflate"),
        "f.tif": saved("TIFF", gray),
        "g.bmp": saved("BMP", gray),
        "h.webp": saved("WEBP", gray.convert("RGB"), lossless=True),
    }


def _read_picture(name: str, content: bytes, folder: Path) -> None:
    pixels = read_slice(_put(folder, name, content), limits=SMALL)
    assert np.isfinite(pixels).all()


@cache
def _volumes() -> dict[str, bytes]:
    voxels = np.random.default_rng(0).integers(0, 900, (9, 10, 11)).astype(np.int16)
    affine = np.diag([2.0, 2, 2, 1])
    found = {}
    for name, image in {
        "a.nii": nib.Nifti1Image(voxels, affine),
        "b.nii": nib.Nifti2Image(voxels.astype(np.float32), affine),
        "c.nii": nib.Nifti1Image(
            voxels.astype(">f4"), affine, nib.Nifti1Header(endianness=">")
        ),
    }.items():
        image.header.set_xyzt_units("mm")
        if name == "a.nii":
            image.header.set_slope_inter(2.0, 1.0)
        found[name] = image.to_bytes()
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "d.nii.gz"
        write_volume(packed, Volume(voxels.astype(np.float32), affine))
        found["d.nii.gz"] = packed.read_bytes()
    return found


def _read_volume(name: str, content: bytes, folder: Path) -> None:
    volume = read_volume(_put(folder, name, content), limits=SMALL)
    assert np.isfinite(volume.voxels).all()
    assert np.isfinite(volume.affine).all()


@cache
def _series() -> dict[str, bytes]:
    voxels = np.random.default_rng(0).integers(0, 900, (12, 14, 24)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        files = _write_series(Path(folder) / "s", voxels, InstanceNumber=str)
        return {file.name: file.read_bytes() for file in files}


def _few_of_a_series() -> dict[str, bytes]:
    return dict(itertools.islice(_series().items(), 2))


def _read_series(name: str, content: bytes, folder: Path) -> None:
    for other, whole in _series().items():
        _put(folder, other, content if other == name else whole)
    stored = read_dicom(folder, limits=SMALL, convert=False)
    assert np.isfinite(stored.voxels).all()
    assert np.isfinite(stored.affine).all()


def _archives() -> dict[str, bytes]:
    found = {}
    for name, how in (("a.zip", zipfile.ZIP_STORED), ("b.zip", zipfile.ZIP_DEFLATED)):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", how) as opened:
            for label, person in itertools.product(("CN", "AD"), range(3)):
                opened.writestr(f"{label}/{person}.png", _pictures()["a.png"])
        found[name] = out.getvalue()
    return found


def _read_archive(name: str, content: bytes, folder: Path) -> None:
    before = set(folder.iterdir())
    out = folder / "inside" / "out"
    try:
        unpack(_put(folder, name, content), out, limits=SMALL)
    except VitDementiaError:
        assert not out.exists()
        raise
    finally:
        left = {path.name for path in set(folder.iterdir()) - before}
        assert left <= {name, "inside"}
        if (folder / "inside").exists():
            assert {path.name for path in (folder / "inside").iterdir()} <= {"out"}


# Tables and splits


def _scans(folder: Path) -> None:
    for label, person in itertools.product(("CN", "AD"), range(6)):
        out = io.BytesIO()
        Image.fromarray(np.roll(SLICE, 3 * person + (label == "AD"))).save(out, "PNG")
        _put(folder, f"{label}/sub-{person}{label}_1.png", out.getvalue())


def _rows() -> list[tuple[str, ...]]:
    rows = [("path", "participant_id", "label", "age", "split")]
    for label, person in itertools.product(("CN", "AD"), range(6)):
        who = f"sub-{person}{label}"
        part = ("train", "val", "test")[person % 3]
        rows.append((f"{label}/{who}_1.png", who, label, str(60 + person), part))
    return rows


def _tables() -> dict[str, bytes]:
    return {
        "a.csv": "".join(",".join(row) + "\n" for row in _rows()).encode(),
        "b.tsv": "".join("\t".join(row) + "\r\n" for row in _rows()).encode(),
    }


def _read_table(name: str, content: bytes, folder: Path) -> None:
    _scans(folder)
    cohort = Cohort.from_path(_put(folder, name, content))
    assert set(cohort.table["label"]) <= set(cohort.classes)
    assert all(Path(path).is_relative_to(folder) for path in cohort.files())


def _cohort(folder: Path) -> Cohort:
    _scans(folder)
    return Cohort.from_path(folder)


@cache
def _cohort_files() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _cohort(place / "data").write(place / "cohort.tsv")
        names = ("cohort.tsv", "cohort.json")
        return {name: (place / name).read_bytes() for name in names}


def _read_cohort(name: str, content: bytes, folder: Path) -> None:
    for other, whole in _cohort_files().items():
        _put(folder, other, content if other == name else whole)
    cohort = Cohort.read(folder / "cohort.tsv")
    assert len(cohort.labels()) == len(cohort) == len(cohort.files())
    assert cohort.fingerprint


@cache
def _splits() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        cohort = _cohort(place / "data")
        holdout(cohort, val=0.3, test=0.3, seed=0).write(place / "split.json")
        return {"split.json": (place / "split.json").read_bytes()}


def _read_split(name: str, content: bytes, folder: Path) -> None:
    cohort = _cohort(folder / "data")
    split = Split.read(_put(folder, name, content), cohort)
    for fold in split.folds:
        parts = [set(fold.train), set(fold.val), set(fold.test)]
        assert sum(map(len, parts)) == len(set.union(*parts))


# Models and checkpoints


@cache
def _model() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        served.write_model(Path(folder), served.SLICES)
        model = Path(folder) / "model"
        return {file.name: file.read_bytes() for file in model.iterdir()}


def _write_model(name: str, content: bytes, folder: Path) -> Path:
    """Write a model folder with one damaged file, whose hashes fit again."""
    for other, whole in _model().items():
        _put(folder / "model", other, content if other == name else whole)
    if name == "model.safetensors":
        digest = sha256_of(folder / "model" / name)
        for file, key in (("config.json", "sha256"), ("calibration.json", "model")):
            told = json.loads((folder / "model" / file).read_text("utf-8"))
            told[key] = digest
            _put(folder / "model", file, json.dumps(sealed(told)).encode())
    return folder / "model"


def _read_model(name: str, content: bytes, folder: Path) -> None:
    predictor = Predictor.load(_write_model(name, content, folder), device="cpu")
    answer = predictor([_put(folder, "a.png", _pictures()["a.png"])]).to_dict()
    json.dumps(answer, allow_nan=False)
    for result in answer["results"]:
        if result["probabilities"] is not None:
            assert abs(sum(result["probabilities"].values()) - 1) < 1e-6


def _network() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return network, optimizer


@cache
def _checkpoints() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        place = checkpoint.Progress(step=3, epochs=1, facts={"best": 0.5})
        checkpoint.save(Path(folder), *_network(), place)
        return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


def _read_checkpoint(name: str, content: bytes, folder: Path) -> None:
    for other, whole in _checkpoints().items():
        _put(folder, other, content if other == name else whole)
    if name.endswith(".safetensors"):
        manifest = (folder / name).with_suffix(".json")
        told = json.loads(manifest.read_text("utf-8"))
        told["sha256"] = sha256_of(folder / name)
        manifest.write_text(json.dumps(sealed(told)), encoding="utf-8")
    saved = checkpoint.newest(folder)
    if saved is not None:
        network, optimizer = _network()
        place = checkpoint.load(saved, network, optimizer)
        assert type(place.step) is int
        assert place.step >= 0


# What runs leave


@cache
def _histories() -> dict[str, bytes]:
    record = EpochRecord(
        epoch=1, learning_rate=0.1, train_loss=0.7, train_accuracy=0.5, val_loss=0.8,
        val_accuracy=None, val_balanced_accuracy=0.5, images_per_second=9.0,
        seconds=1.0,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        write_history(Path(folder), [record, record])
        return {"history.jsonl": (Path(folder) / "history.jsonl").read_bytes()}


def _read_history(name: str, content: bytes, folder: Path) -> None:
    for record in read_history(_put(folder, name, content)):
        assert record.sentence(2)


def _predictions() -> dict[str, bytes]:
    lines = [
        "participant_id\tsession_id\tpath\tlabel\tp_CN\tp_AD\tpredicted\tabstained"
    ]
    for person in range(4):
        label = ("CN", "AD")[person % 2]
        lines.append(f"sub-{person}\tn/a\t{person}.png\t{label}\t0.25\t0.75\tAD\tfalse")
    return {"predictions.tsv": ("\n".join(lines) + "\n").encode()}


def _read_predictions(name: str, content: bytes, folder: Path) -> None:
    path = _put(folder, name, content)
    told = Predictions.read(path)
    assert np.isfinite(told.probabilities).all()
    assert np.allclose(told.probabilities.sum(axis=1), 1, atol=1e-3)
    if told.participants_known:
        assert np.isfinite(told.by_participant().probabilities).all()
    read_predictions(path)


def _metrics() -> dict[str, bytes]:
    score = {"value": 0.7, "low": 0.5, "high": 0.9}
    told = {
        "endpoint": {"words": "AD against CN"},
        "by_participant": {"n_participants": 12, "scores": {"auroc": score}},
        "floors": {"pixels": {"auroc": score}},
        "above_floor": {"auroc": {"floor": "pixels", "verdict": "above"}},
    }
    return {"metrics.json": json.dumps(told).encode()}


def _read_metrics(name: str, content: bytes, folder: Path) -> None:
    _put(folder / "evaluation" / "test", name, content)
    facts = facts_of(_predictor().model, folder)
    json.dumps(facts, allow_nan=False)


@cache
def _predictor() -> Predictor:
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        return Predictor.load(_write_model("", b"", folder), device="cpu")
    finally:
        shutil.rmtree(folder)


def _settings() -> dict[str, bytes]:
    return {"config.toml": recipes.to_toml(RunConfig(model="ViT-Ti/16")).encode()}


def _read_settings(name: str, content: bytes, folder: Path) -> None:
    path = _put(folder, name, content)
    config = recipes.from_toml(path)
    assert recipes.to_toml(config)
    recipes.read_recipe(str(path))


@cache
def _spaces() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        write_space(Path(folder) / "space.toml", DEFAULT_SPACE)
        return {"space.toml": (Path(folder) / "space.toml").read_bytes()}


def _read_space(name: str, content: bytes, folder: Path) -> None:
    assert read_space(_put(folder, name, content)) is not None


@cache
def _answered() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        scan = _put(Path(folder), "a.png", b"abc")
        kept = Kept(Path(folder), "model")
        kept.add({str(scan): Said(logits=(((0.1, 0.2),),), quality=("dark",))})
        return {"answered.jsonl": (Path(folder) / "answered.jsonl").read_bytes()}


def _read_answered(name: str, content: bytes, folder: Path) -> None:
    path = _put(folder, name, content)
    kept = Kept(folder, "model")
    for _, said in kept._said.values():
        assert np.isfinite(
            [x for model in said.logits for row in model for x in row]
        ).all()
    kept.add({})
    assert path.read_bytes().endswith(b"\n")


def _sidecars() -> dict[str, bytes]:
    own = {
        "Format": 1, "Key": "a", "Pipeline": Pipeline(pipeline="none").facts(),
        "Quality": {"codes": ["dark"], "verdicts": ["warn"], "reasons": ["it is dark"],
                    "measures": {"snr": 3.0}},
    }  # fmt: skip
    return {"a.json": json.dumps({"VitDementia": own}).encode()}


def _read_sidecar(name: str, content: bytes, folder: Path) -> None:
    _put(folder, name, content)
    own = recorded(folder / "a.nii.gz")
    if own is not None:
        quality_in(own)


DOORS = {
    "picture": Door(_pictures, _read_picture),
    "nifti": Door(_volumes, _read_volume),
    "dicom": Door(_few_of_a_series, _read_series),
    "archive": Door(_archives, _read_archive),
    "table": Door(_tables, _read_table),
    "cohort": Door(_cohort_files, _read_cohort),
    "split": Door(_splits, _read_split),
    "model": Door(_model, _read_model),
    "checkpoint": Door(_checkpoints, _read_checkpoint),
    "history": Door(_histories, _read_history),
    "predictions": Door(_predictions, _read_predictions),
    "metrics": Door(_metrics, _read_metrics),
    "settings": Door(_settings, _read_settings),
    "space": Door(_spaces, _read_space),
    "answered": Door(_answered, _read_answered),
    "sidecar": Door(_sidecars, _read_sidecar),
}
