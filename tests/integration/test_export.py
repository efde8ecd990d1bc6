"""A trained model, opened by the runtimes of others, gives the same answers."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from vit_dementia.export import formats
from vit_dementia.inference.model_folder import read_model_folder

from .conftest import CLASSES, TINY, paint_cohort

SHORT = ("--epochs=1", "--batch-size=8", "--learning-rate=1e-2")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return a folder with a run that leaves out background patches, and one of all."""
    from vit_dementia.cli.app import run

    folder = tmp_path_factory.mktemp("runs")
    data = paint_cohort(folder / "data")
    for file in data.rglob("*.png"):  # a dark border, and as wide as high
        disc = Image.open(file).point(lambda value: value if value > 60 else 0)
        ImageOps.expand(disc, (12, 8)).save(file)
    for name, flags in (
        ("foreground", ["--tokens=foreground"]),
        ("all", ["--tokens=all", "--data.channels=3"]),
    ):
        words = ["train", str(data), *TINY, *SHORT, *flags]
        out = ["--cache", str(folder / "cache"), "--out", str(folder / name)]
        assert run([*words, *out]) == 0
    return folder


@pytest.fixture(scope="module")
def scans(runs):
    """Return three prepared slices, and what PyTorch says of them."""
    model = read_model_folder(runs / "foreground")
    assert model.network.architecture.visible is not None
    files = sorted((runs / "data").rglob("*.png"))[:3]
    prepared = torch.from_numpy(
        np.stack([model.preprocessing.read(file) for file in files])
    )
    inputs = model.preprocessing.normalize(prepared)
    with torch.inference_mode():
        return inputs.numpy(), model.network(inputs).numpy()


def _exported(command, runs, form: str, *flags: str, run: str = "foreground"):
    told = command(
        "export", runs / run, f"out-{form}", "--format", form, *flags, "--json"
    )
    document = json.loads(told.stdout)
    assert document["largest_difference_of_logits"] < 1e-4
    assert document["scans_checked"] == 8
    return f"out-{form}"


def test_onnx_runtime_gives_the_same_answers(runs, scans, command, tmp_path) -> None:
    import onnx
    import onnxruntime

    out = tmp_path / _exported(command, runs, "onnx")
    written = onnx.load(out / "model.onnx")
    onnx.checker.check_model(written)
    assert {o.domain: o.version for o in written.opset_import}[""] == formats.OPSET
    session = onnxruntime.InferenceSession(out / "model.onnx")
    inputs, expected = scans
    for num in (1, 3):  # the number of scans is free
        (found,) = session.run(["logits"], {"images": inputs[:num]})
        np.testing.assert_allclose(found, expected[:num], atol=1e-5)
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["classes"]) == list(CLASSES)
    model = read_model_folder(runs / "foreground")
    assert json.loads(told["preprocessing"]) == json.loads(
        json.dumps(model.preprocessing.to_dict())
    )
    assert told["model_sha256"] == model.sha256
    assert "Research use only" in told["disclaimer"]


@pytest.mark.slow
def test_openvino_gives_the_same_answers(runs, scans, command, tmp_path) -> None:
    import openvino

    out = tmp_path / _exported(command, runs, "openvino")
    read = openvino.Core().read_model(out / "model.xml")
    assert json.loads(
        read.get_rt_info(["vit_dementia", "classes"]).astype(str)
    ) == list(CLASSES)
    compiled = openvino.Core().compile_model(
        read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    inputs, expected = scans
    for num in (1, 3):
        found = compiled({"images": inputs[:num]})["logits"]
        np.testing.assert_allclose(found, expected[:num], atol=1e-5)


def test_an_exported_program_gives_the_same_answers(
    runs, scans, command, tmp_path
) -> None:
    out = tmp_path / _exported(command, runs, "torch-export")
    extra = {"disclaimer": ""}
    program = torch.export.load(out / "model.pt2", extra_files=extra)
    assert "Research use only" in extra["disclaimer"]
    inputs, expected = scans
    for num in (1, 3):
        found = program.module()(torch.from_numpy(inputs[:num])).detach().numpy()
        np.testing.assert_allclose(found, expected[:num], atol=1e-5)


def test_a_native_copy_predicts_as_the_run(runs, command, tmp_path) -> None:
    out = _exported(command, runs, "native")
    scan = next((runs / "data").rglob("*.png"))
    ours, theirs = (
        json.loads(command("predict", which, scan, "--json").stdout)
        for which in (runs / "foreground", tmp_path / out)
    )
    assert ours == theirs


def test_transformers_pipeline_answers_with_our_classes(
    runs, command, tmp_path
) -> None:
    from transformers import pipeline

    out = tmp_path / _exported(command, runs, "huggingface", run="all")
    scan = Image.open(next((runs / "data").rglob("*.png"))).convert("RGB")
    told = pipeline("image-classification", model=str(out), device="cpu")(scan)
    assert {answer["label"] for answer in told} == set(CLASSES)
    assert sum(answer["score"] for answer in told) == pytest.approx(1.0)


@pytest.mark.parametrize("form", ["timm", "torchvision"])
def test_a_layout_of_weights_is_checked_on_scans_too(runs, command, form) -> None:
    _exported(command, runs, form, run="all")


def test_patches_are_left_out_only_by_who_can(runs, command, tmp_path) -> None:
    told = command("export", runs / "foreground", "out", "--format=timm", check=2)
    assert "--all-tokens" in told.stderr
    assert not (tmp_path / "out").exists()
    _exported(command, runs, "timm", "--all-tokens")
    told = command(
        "export", runs / "foreground", "out", "--format=onnx", "--all-tokens", check=2
    )
    assert "--format onnx, which holds the model as it is" in told.stderr


def test_a_file_that_gives_other_answers_is_not_left_behind(
    runs, command, tmp_path, monkeypatch
) -> None:
    right = formats.FORMATS["torch-export"]

    def wrong(folder):
        answer = right.open(folder)
        return lambda scans: answer(scans) + np.float32(0.01)

    monkeypatch.setitem(
        formats.FORMATS, "torch-export", formats.Format(right.write, wrong)
    )
    told = command(
        "export", runs / "foreground", "out", "--format=torch-export", check=2
    )
    assert "gives other logits than the model (by 1.0e-02 on 8 scans)" in told.stderr
    assert list(tmp_path.glob("*out*")) == []


def test_without_the_scans_of_the_run_others_are_needed(
    runs, command, tmp_path
) -> None:
    shutil.copytree(runs / "foreground" / "model", tmp_path / "alone")
    flags = ("--format", "torch-export")
    told = command("export", "alone", "out", *flags, check=2)
    assert "found no scan to check the export on; needs --check-on" in told.stderr
    command("export", "alone", "out", *flags, "--check-on", runs / "data")
    record = json.loads((tmp_path / "out" / "export.json").read_text())
    assert set(record["sha256"]) == {"model.pt2"}
    told = command("export", "alone", "out", *flags, check=2)
    assert "is there already" in told.stderr


@pytest.mark.usefixtures("in_float32")
@pytest.mark.parametrize(
    "engine", ["onnx", pytest.param("openvino", marks=pytest.mark.slow)]
)
def test_another_engine_gives_the_answers_of_pytorch(runs, command, engine) -> None:
    """Of scans that fit the mask, and of one that does not."""
    folder = runs / "shown"
    folder.mkdir(exist_ok=True)
    for number, file in enumerate(sorted((runs / "data").rglob("*.png"))[:3]):
        shutil.copy(file, folder / f"sub-{number:03}_slice-0.png")
    bright = np.asarray(Image.open(file)).copy()
    bright[:5, :5] = 200  # where nobody has anything
    Image.fromarray(bright).save(folder / "sub-009_slice-0.png")
    words = ("predict", runs / "foreground", folder, "--json", "--device=cpu")
    ours = json.loads(command(*words).stdout)
    theirs = json.loads(command(*words, "--engine", engine).stdout)
    assert len(theirs["results"]) == 4
    reasons = [result["quality"]["reasons"] for result in theirs["results"]]
    assert [bool(one) for one in reasons] == [False, False, False, True]
    for one, other in zip(ours["results"], theirs["results"], strict=True):
        found = one.pop("probabilities")
        assert other.pop("probabilities") == pytest.approx(found, abs=1e-6)
        assert one == other
    told = command(*words[:-1], "--device=cuda", "--engine", engine, check=2)
    assert "computes on the CPU" in told.stderr


def test_eight_bits_are_scored_beside_the_whole(runs, scans, command, tmp_path) -> None:
    import onnx
    import onnxruntime

    words = ("export", runs / "foreground", "out", "--format=onnx", "--int8")
    document = json.loads(command(*words, "--json").stdout)
    assert document == json.loads((tmp_path / "out" / "export.json").read_text())
    assert 0 < document["largest_difference_of_logits"] < 0.5
    assert document["share_of_scans_with_the_same_class"] >= 0.5
    for when in ("before", "after"):
        assert 0 <= document[when]["balanced_accuracy"] <= 1
    graph = onnx.load(tmp_path / "out" / "model.onnx").graph
    rounded = [node for node in graph.node if node.op_type == "DequantizeLinear"]
    assert len(rounded) >= 2 * 4  # of two blocks: qkv, proj, fc1, fc2
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx")
    inputs, expected = scans
    (found,) = session.run(["logits"], {"images": inputs})
    np.testing.assert_allclose(found, expected, atol=0.5)
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["classes"]) == list(CLASSES)
    told = command(*words[:-2], "--format=openvino", "--int8", check=2)
    assert "--int8: goes with --format onnx" in told.stderr
