"""What only a person can tell a report: it stands nowhere in the data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What a report may show, and what is known beside the data."""

    show_scans: bool = False
    """put small pictures of scans into the report: only if the data's license and the
    participants' consent allow it"""
    watts: float | None = None
    """mean power of the machine in training, for the energy used [default: not said]"""
    data_license: str | None = None
    """terms under which the scans were had, for the cards [default: not provided]"""
    data_source: str | None = None
    """study and release the scans come from, for the cards [default: not provided]"""
