"""A network for ONNX Runtime whose matrix products are of whole numbers of 8 bits.

Static quantization: weights are rounded channel by channel, and activations by the
range that they have on training scans. Products of two activations, in attention, stay
in float32, and so do norms and the softmax. Weights take 7 of the 8 bits: processors
without VNNI add products up in 16 bits, which would overflow.

Shapes: ``n`` scans, ``c`` channels, ``*space`` the sides of a scan.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from vit_dementia.export.formats import ONNX, Scans, write_onnx
from vit_dementia.export.record import INPUT, record_of
from vit_dementia.inference.model_folder import SavedModel

NUM_CALIBRATION = 128  # training scans; the ranges hardly move after that
_AT_ONCE = 8


class CalibrationScans:
    """Hands out scans a few at a time, as a ``CalibrationDataReader`` does."""

    def __init__(self, scans: Scans) -> None:
        starts = range(0, len(scans), _AT_ONCE)
        self._parts = iter([scans[start : start + _AT_ONCE] for start in starts])

    def get_next(self) -> dict[str, Scans] | None:
        """Return the next few; None when there are no more."""
        part = next(self._parts, None)
        return None if part is None else {INPUT: part}


def write_int8(model: SavedModel, folder: Path, scans: Scans) -> None:
    """Write ``model.onnx`` with products of 8-bit numbers.

    Args:
        model: as saved.
        folder: to write into.
        scans: of training participants, as the network reads them.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with TemporaryDirectory(prefix="vit-dementia-") as aside:
        whole, ready = Path(aside) / ONNX, Path(aside) / "ready.onnx"
        write_onnx(model, Path(aside))
        quant_pre_process(whole, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            folder / ONNX,
            CalibrationScans(scans),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
    written = onnx.load(folder / ONNX)
    onnx.helper.set_model_props(written, record_of(model))
    onnx.save(written, folder / ONNX)
