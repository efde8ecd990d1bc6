"""Where and of what a table was made: processor, threads, versions, commit, date."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """What stands above every table.

    Attributes:
        computes_bf16: whether the processor multiplies bfloat16 itself; elsewhere it
            is emulated, and such rows say nothing about a processor that has it.
        commit: of this program's repository; "unknown" where it is installed without.
        load: processes that wanted to run in the last minute before the measurement.
    """

    date: str
    commit: str
    processor: str
    num_cores: int
    num_threads: int
    load: float | None
    computes_bf16: bool
    versions: Mapping[str, str]

    @property
    def is_busy(self) -> bool:
        """Say whether others kept the cores busy, so that no figure can be relied on.

        This package's own work is not in the load before it.
        """
        return self.load is not None and self.load > self.num_cores / 2

    def sentence(self) -> str:
        """Say where and when in one line."""
        load = "" if self.load is None else f", load before {self.load:.1f}"
        return (
            f"{self.date}, commit {self.commit}; {self.processor}, "
            f"{self.num_threads} threads on {self.num_cores} cores{load}"
        )


def this_machine(
    device: torch.device, *, computes_bf16: bool, versions: Mapping[str, str]
) -> Machine:
    """Return what is known of this machine before the first measurement."""
    return Machine(
        date=datetime.now(UTC).date().isoformat(),
        commit=commit_of_source(),
        processor=processor_name(device),
        num_cores=os.cpu_count() or 1,
        num_threads=torch.get_num_threads(),
        load=round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        computes_bf16=computes_bf16,
        versions={"torch": torch.__version__, **versions},
    )


def processor_name(device: torch.device) -> str:
    """Return the name of the graphics card, or of the processor with its vectors."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    if _CPUINFO.exists():
        lines = _CPUINFO.read_text("utf-8", errors="replace").splitlines()
        named = [
            line.partition(":")[2].strip() for line in lines if "model name" in line
        ]
        name = named[0] if named else name
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"


def provenance(command: str, *, since: float) -> dict[str, str | float]:
    """Return the columns of a published table that say how its rows were made.

    Args:
        command: what makes them, ``make table NAME`` with its arguments.
        since: when that began, by ``time.monotonic``.
    """
    return {
        "commit": commit_of_source(),
        "command": command,
        "duration_s": round(time.monotonic() - since, 1),
        "date": datetime.now(UTC).date().isoformat(),
    }


def commit_of_source() -> str:
    """Return the commit of the source, with a + if the package differs from it."""
    source = Path(__file__).resolve().parents[1]
    try:
        commit = _git(source, "rev-parse", "--short=12", "HEAD")
        changed = _git(source, "status", "--porcelain", "--", ".")
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        return "unknown"
    return f"{commit}+" if changed else commit


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(  # noqa: S603  # our own words
        ["git", *words],  # noqa: S607  # found as the user's shell would
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
