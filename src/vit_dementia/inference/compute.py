"""Where and in which precision to compute: one decision for training and prediction."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from vit_dementia.errors import ConfigError
from vit_dementia.launch import Launch, Strategy, this_launch

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "bf16", "fp32"]
Runtime = Literal["torch", "onnx", "openvino"]

# A process may score or write for long while the others wait; who starts them (torchrun
# or SLURM) sees by itself when one has died.
_PATIENCE = timedelta(hours=6)


def make_fabric(
    device: Device, precision: Precision, *, strategy: Strategy | None = None
) -> Fabric:
    """Return the engine for a device and a precision.

    Args:
        device: where to compute.
        precision: of matrix products.
        strategy: how the processes of a training work together: ``auto`` as they were
            started, ``ddp`` each on its share of a batch, ``fsdp`` each also with its
            share of the weights. None: this process by itself, whoever else was
            started.

    Raises:
        ConfigError: if the device is not on this machine, or cannot be shared so.
    """
    if device == "auto":
        device = _best_device()
    is_here = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not is_here[device]:
        raise ConfigError(
            f"device: {device} was asked for and is not here; needs one of "
            f"{', '.join(name for name, here in is_here.items() if here)}"
        )
    if precision == "auto":
        precision = "bf16" if computes_in_bf16(device) else "fp32"
    # Fabric logs hints about its own set-up that no user of ours can act on.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    if strategy == "fsdp":
        raise ConfigError(
            f"strategy: fsdp was asked for on {device}; it spreads weights too "
            "large for one GPU, which is not offered yet; needs ddp"
        )
    launch = Launch() if strategy is None else this_launch()
    if launch.num_processes == 1 and strategy != "ddp":
        chosen: str | DDPStrategy = "auto"
    else:
        _refuse_device(device, launch)
        chosen = DDPStrategy(timeout=_PATIENCE)
        # Of tokens of one row, whose strides mean nothing; said by every process.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket")
    fabric = Fabric(
        accelerator=device,
        devices=launch.num_here,
        num_nodes=launch.num_machines,
        strategy=chosen,
        precision="bf16-mixed" if precision == "bf16" else "32-true",
    )
    if strategy is not None:
        fabric.launch()  # the processes meet here
    return fabric


def _refuse_device(device: Device, launch: Launch) -> None:
    """Raise ConfigError if the processes cannot share the device."""
    if device == "mps":
        raise ConfigError(
            "device: mps serves one process; start one, or give --device cpu"
        )
    num_gpus = torch.cuda.device_count()
    if device == "cuda" and launch.num_here > num_gpus:
        raise ConfigError(
            f"device: found {launch.num_here} processes and {num_gpus} GPUs on this "
            "machine; needs a GPU for each; start fewer (--nproc-per-node)"
        )


def _best_device() -> Device:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def computes_in_bf16(device: Device) -> bool:
    """Say whether the processor multiplies matrices in bfloat16 itself.

    Elsewhere bfloat16 is emulated and many times slower than float32.
    """
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "mps":
        return False
    features = torch.cpu.get_capabilities()
    return any(features.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


@contextmanager
def deterministic(*, asked: bool) -> Iterator[None]:
    """Compute, if asked, by algorithms only that give the same numbers twice.

    On a CPU all of ours do. On a GPU some add up in the order in which its cores are
    done, and are faster for it.
    """
    if not asked:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    # Read when the first matrix product is made; cuBLAS refuses to be so without it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(mode=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=before)


def described(fabric: Fabric) -> str:
    """Say device and precision in words, for the terminal and the report."""
    kind = fabric.device.type
    name = torch.cuda.get_device_name(fabric.device) if kind == "cuda" else kind
    is_bf16 = "bf16" in str(fabric.strategy.precision.precision)
    return f"{name}, {'bfloat16' if is_bf16 else 'float32'}"
