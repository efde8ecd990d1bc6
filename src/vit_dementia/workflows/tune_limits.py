"""When a search for settings ends: the one home of these defaults."""

from __future__ import annotations

from dataclasses import dataclass

from vit_dementia.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When a search ends."""

    trials: int = 20
    """trainings of the whole search, those before a stop included"""
    minutes: float | None = None
    """how long to search in this sitting [default: until all trials are done]"""

    def __post_init__(self) -> None:
        """Refuse a search that could not begin."""
        faults = []
        if self.trials < 1:
            faults.append(f"trials: found {self.trials}; needs 1 or more")
        if self.minutes is not None and not self.minutes > 0:
            faults.append(f"minutes: found {self.minutes}; needs more than 0")
        if faults:
            raise ConfigError(*faults)
