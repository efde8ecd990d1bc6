"""The formats: each a writer, and its own runtime to open what was written.

ONNX, OpenVINO and torch-export hold the graph of the network, so that one that leaves
out background patches is exact in them. A MONAI bundle holds it as TorchScript, as
bundles do. The number of scans in a batch is free in all of them.

A network that weighs slices has a second output, their score; opened again, it stands
behind the logits. A bundle has one output only, and is refused.

Shapes: ``n`` scans, ``c`` channels, ``q`` classes and, where slices are weighed, their
score, ``*space`` the sides of a scan.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from vit_dementia.errors import ConfigError
from vit_dementia.export.bundle import SCRIPT, write_bundle
from vit_dementia.export.record import INPUT, outputs_of, record_of, shape_of
from vit_dementia.files import write_bytes
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.models.slice_scores import Apart

OPSET = 18  # of ONNX; read by every runtime since 2023
ONNX, OPENVINO, TORCH_EXPORT = "model.onnx", "model.xml", "model.pt2"
Scans = Float32[np.ndarray, "n c *space"]
Logits = Float32[np.ndarray, "n q"]


@dataclass(frozen=True)
class Format:
    """How a model is written into a folder, and opened from there."""

    write: Callable[[SavedModel, Path], None]
    open: Callable[[Path], Callable[[Scans], Logits]]


def write_torch_export(model: SavedModel, folder: Path) -> None:
    """Write ``model.pt2`` for ``torch.export.load``."""
    whole = io.BytesIO()
    with _silenced():
        torch.export.save(_program(model), whole, extra_files=record_of(model))
    # By way of memory: on a full disk torch's own writer ends the process.
    write_bytes(folder / TORCH_EXPORT, whole.getvalue())


def open_torch_export(folder: Path) -> Callable[[Scans], Logits]:
    """Return what answers as ``model.pt2`` does."""
    with _silenced():
        network = torch.export.load(folder / TORCH_EXPORT).module()

    def answer(scans: Scans) -> Logits:
        with torch.inference_mode():
            said = network(torch.from_numpy(scans))
        return (said if isinstance(said, torch.Tensor) else torch.cat(said, 1)).numpy()

    return answer


def write_onnx(model: SavedModel, folder: Path) -> None:
    """Write ``model.onnx``."""
    with _silenced():
        program = torch.onnx.export(
            _network(model),
            (_example(model),),
            input_names=[INPUT],
            output_names=outputs_of(model),
            dynamic_shapes=({0: _any_number()},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # it is None only for the old exporter
    program.model.metadata_props.update(record_of(model))
    program.save(folder / ONNX)  # weights beyond 2 GB stand beside it, as ONNX asks


def open_onnx(folder: Path) -> Callable[[Scans], Logits]:
    """Return what answers as ONNX Runtime does with ``model.onnx``."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        folder / ONNX, options, providers=["CPUExecutionProvider"]
    )
    return lambda scans: np.concatenate(session.run(None, {INPUT: scans}), axis=1)


def write_openvino(model: SavedModel, folder: Path) -> None:
    """Write ``model.xml`` and ``model.bin``."""
    import openvino

    with _silenced():
        converted = openvino.convert_model(_program(model))
    converted.inputs[0].set_names({INPUT})
    for output, name in zip(converted.outputs, outputs_of(model), strict=True):
        output.set_names({name})
    for name, text in record_of(model).items():
        converted.set_rt_info(text, ["vit_dementia", name])
    try:
        openvino.save_model(converted, folder / OPENVINO, compress_to_fp16=False)
    except RuntimeError:
        # It never says why. If it is the disk, this fails too, and says so.
        weights = sum(one.nbytes for one in model.network.state_dict().values())
        write_bytes(folder / OPENVINO, bytes(2 * weights))
        raise


def open_openvino(folder: Path) -> Callable[[Scans], Logits]:
    """Return what answers as OpenVINO does, on the CPU and in float32."""
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    compiled = openvino.Core().compile_model(folder / OPENVINO, "CPU", settings)
    return lambda scans: np.concatenate([*compiled({INPUT: scans}).values()], axis=1)


def write_monai(model: SavedModel, folder: Path) -> None:
    """Write a MONAI bundle with the network as TorchScript.

    Raises:
        ConfigError: if the model weighs slices.
    """
    if model.weighs_slices:
        raise ConfigError(
            "monai: cannot hold train.slice_pooling attention, whose scores are outputs"
            " of their own; choose another format, such as onnx or native"
        )
    write_bundle(model, folder)
    with _silenced():
        traced = torch.jit.trace(model.network.eval(), _example(model))
        whole = io.BytesIO()
        torch.jit.save(traced, whole, _extra_files=record_of(model))
    write_bytes(folder / SCRIPT, whole.getvalue())


def open_monai(folder: Path) -> Callable[[Scans], Logits]:
    """Return what answers as the network of the bundle does."""
    with _silenced():
        network = torch.jit.load(folder / SCRIPT, map_location="cpu").eval()

    def answer(scans: Scans) -> Logits:
        with torch.inference_mode():
            return network(torch.from_numpy(scans)).numpy()

    return answer


FORMATS: dict[str, Format] = {
    "onnx": Format(write_onnx, open_onnx),
    "openvino": Format(write_openvino, open_openvino),
    "torch-export": Format(write_torch_export, open_torch_export),
    "monai": Format(write_monai, open_monai),
}


def _example(model: SavedModel) -> torch.Tensor:
    return torch.zeros(2, *shape_of(model))  # two: a graph for one may be for one only


def _any_number() -> torch.export.Dim:
    return torch.export.Dim("batch", min=1, max=4096)


def _network(model: SavedModel) -> torch.nn.Module:
    network = Apart(model.network) if model.weighs_slices else model.network
    return network.eval()


def _program(model: SavedModel) -> torch.export.ExportedProgram:
    return torch.export.export(
        _network(model),
        (_example(model),),
        dynamic_shapes=({0: _any_number()},),
    )


@contextmanager
def _silenced() -> Iterator[None]:
    """Silence what exporters say about their own insides; answers are compared."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
