"""Vision Transformers for early dementia detection from brain MRI.

Research use only. The names below are imported when they are first used, so that the
command line does not wait for what it does not need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vit_dementia.data.cohort import Cohort
    from vit_dementia.inference.predictor import Predictor
    from vit_dementia.models import create_model
    from vit_dementia.models.weights import load_model
    from vit_dementia.workflows.api import train
    from vit_dementia.workflows.explain_files import explain

__version__ = "0.1.0"
__all__ = ["Cohort", "Predictor", "create_model", "explain", "load_model", "train"]

DISCLAIMER = "Research use only: not a medical device, not for diagnosis."

_HOME_OF = {
    "Cohort": "data.cohort",
    "Predictor": "inference.predictor",
    "create_model": "models",
    "explain": "workflows.explain_files",
    "load_model": "models.weights",
    "train": "workflows.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
