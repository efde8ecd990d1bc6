"""Vision Transformers: the paper, its variants, and everybody's weights in and out.

Nothing here knows what a scan is. Names are imported when first asked for, so that
commands which need no network do not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vit_dementia.models.create import create_model
    from vit_dementia.models.description import Architecture
    from vit_dementia.models.variants import VARIANTS, architecture
    from vit_dementia.models.vit import VisionTransformer

__all__ = [
    "VARIANTS",
    "Architecture",
    "VisionTransformer",
    "architecture",
    "create_model",
]

_HOME = {
    "VARIANTS": "variants",
    "Architecture": "description",
    "VisionTransformer": "vit",
    "architecture": "variants",
    "create_model": "create",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
