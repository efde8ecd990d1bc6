"""What quality control says of one scan: a verdict and the reasons for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["pass", "warn", "fail"]
_GRAVITY: tuple[Verdict, ...] = ("pass", "warn", "fail")


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One thing that is wrong.

    Attributes:
        code: its name, for programs; one of those in ``docs/how-to/prepare.md``.
        verdict: ``warn`` or ``fail``.
        text: what was found and what is needed, for people.
    """

    code: str
    verdict: Verdict
    text: str


@dataclass(frozen=True, kw_only=True)
class Quality:
    """The reasons found, and the numbers they rest on.

    Attributes:
        reasons: gravest first.
        measures: every number that was taken, by name.
    """

    reasons: tuple[Reason, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """Return the gravest of the reasons' verdicts.

        >>> low = Reason(code="resolution", verdict="warn", text="voxels of 3 mm")
        >>> Quality(reasons=(low,)).verdict, Quality().verdict
        ('warn', 'pass')
        """
        return max(
            (reason.verdict for reason in self.reasons),
            key=_GRAVITY.index,
            default="pass",
        )

    @property
    def tells_contrast(self) -> bool:
        """Say whether tissue was looked at, so that without a fail it is that of T1.

        >>> Quality(measures={"white": 0.9}).tells_contrast, Quality().tells_contrast
        (True, False)
        """
        return "white" in self.measures

    def to_dict(self) -> dict[str, Any]:
        """Return what ``predict --json`` and the sidecars hold."""
        return {
            "verdict": self.verdict,
            "reasons": [reason.text for reason in self.reasons],
            "codes": [reason.code for reason in self.reasons],
            "verdicts": [reason.verdict for reason in self.reasons],
        }


def together(parts: Iterable[Quality]) -> Quality:
    """Return one answer made of several; a reason that is told twice stays once.

    >>> low = Reason(code="resolution", verdict="warn", text="voxels of 3 mm")
    >>> together([Quality(reasons=(low,)), Quality(reasons=(low,))]).verdict
    'warn'
    """
    reasons = dict[str, Reason]()
    measures = dict[str, float]()
    for part in parts:
        measures |= part.measures
        for reason in part.reasons:
            reasons.setdefault(reason.code, reason)
    ordered = sorted(
        reasons.values(), key=lambda reason: -_GRAVITY.index(reason.verdict)
    )
    return Quality(reasons=tuple(ordered), measures=measures)
