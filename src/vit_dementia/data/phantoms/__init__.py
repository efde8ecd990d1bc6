"""Phantoms: people who never lived, with brains from the ICBM 152 template.

Each has a bent and turned anatomy of their own, a scanner of their own, and, in the
classes with dementia, graded atrophy whose place is known. Start at ``make_phantoms``.
"""

from __future__ import annotations

from vit_dementia.data.phantoms.cohort import make_phantoms
from vit_dementia.data.phantoms.settings import PhantomConfig

__all__ = ["PhantomConfig", "make_phantoms"]
