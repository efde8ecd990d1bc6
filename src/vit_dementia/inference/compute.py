"""Where and in which precision to compute: one decision for training and prediction."""

from __future__ import annotations

import logging
from typing import Literal

import torch
from lightning_fabric import Fabric

from vit_dementia.errors import ConfigError

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "bf16", "fp32"]


def make_fabric(device: Device, precision: Precision) -> Fabric:
    """Return the engine for a device and a precision.

    Raises:
        ConfigError: if the device is not on this machine.
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
    return Fabric(
        accelerator=device,
        devices=1,
        precision="bf16-mixed" if precision == "bf16" else "32-true",
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


def described(fabric: Fabric) -> str:
    """Say device and precision in words, for the terminal and the report."""
    kind = fabric.device.type
    name = torch.cuda.get_device_name(fabric.device) if kind == "cuda" else kind
    is_bf16 = "bf16" in str(fabric.strategy.precision.precision)
    return f"{name}, {'bfloat16' if is_bf16 else 'float32'}"
