"""Weight files of every library, in and out, under timm's names inside.

Names are imported when first asked for, so that commands which need no network do not
wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vit_dementia.models.weights.loading import load_model, load_weights
    from vit_dementia.models.weights.reading import read_unnamed, read_weights
    from vit_dementia.models.weights.record import Weights

__all__ = ["Weights", "load_model", "load_weights", "read_unnamed", "read_weights"]

_HOME = {
    "Weights": "record",
    "load_model": "loading",
    "load_weights": "loading",
    "read_unnamed": "reading",
    "read_weights": "reading",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
