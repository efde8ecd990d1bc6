"""Vision Transformers for early dementia detection from brain MRI.

Research use only.
"""

from __future__ import annotations

__version__ = "0.1.0"

DISCLAIMER = "Research use only: not a medical device, not for diagnosis."
