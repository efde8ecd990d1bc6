"""Ours and every peer on the same cases, from the cheapest to the dearest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from vit_dementia.benchmark.entries import Entry, build
from vit_dementia.benchmark.memory import peak_of
from vit_dementia.benchmark.timing import (
    MIN_ROUNDS,
    Times,
    finish_on,
    interleaved,
    product_of_matrices,
    ratio_to,
)
from vit_dementia.benchmark.work import (
    CHANNELS,
    Case,
    Number,
    What,
    Work,
    cost_of,
    worker,
)
from vit_dementia.progress import Watch

CEILING = "matrix products"
_SEED = 0
_EFFICIENCY = 0.5  # of the ceiling: a guess of how long a case will last


@dataclass(frozen=True)
class Row:
    """What one entry reached in one case.

    Attributes:
        ratio: how many times as fast as the fastest peer; above 1 is faster.
        seconds: of one turn, the median over rounds.
        seconds_low: the first quartile.
        seconds_high: the third quartile.
        ceiling: images a second if matrix products were all, at this machine's rate.
        peak_mib: most memory taken beyond what importing takes.
        gflops: of one image.
    """

    case: Case
    entry: str
    images_per_second: float
    ratio: float
    seconds: float
    seconds_low: float
    seconds_high: float
    num_rounds: int
    ceiling: float
    peak_mib: float | None
    num_parameters: int
    gflops: float


@dataclass(frozen=True)
class Comparison:
    """All rows, and the cases for which the time did not suffice."""

    rows: list[Row]
    left_out: list[str]


def cases_of(
    models: Sequence[str],
    batches: Sequence[int],
    precisions: Sequence[Number],
    whats: Sequence[What],
    *,
    image_size: int = 224,
) -> list[Case]:
    """Return every combination.

    >>> [case.batch for case in cases_of(["Ti/16"], [1, 8], ["fp32"], ["forward"])]
    [1, 8]
    """
    return [
        Case(model, batch, precision, what, image_size)
        for model in models
        for precision in precisions
        for what in whats
        for batch in batches
    ]


def compare(
    cases: Sequence[Case],
    entries: Sequence[Entry],
    *,
    device: torch.device,
    seconds: float,
    minutes: float,
    memory: bool,
    watch: Watch,
) -> Comparison:
    """Measure every case that the time suffices for, the cheapest first.

    Args:
        seconds: how long the timed rounds of one case last at least.
        minutes: no case begins that would presumably end later.
        memory: whether peak memory is measured too, which starts a process a figure.
    """
    deadline = time.monotonic() + 60 * minutes
    costs = {case: _flops_of_a_round(case, entries) for case in cases}
    rates = {
        precision: _rate(device, precision)
        for precision in sorted({case.precision for case in cases})
    }
    rows: list[Row] = []
    left_out = []
    with watch.count("measuring", len(cases)) as bar:
        for case in sorted(cases, key=lambda case: costs[case] / rates[case.precision]):
            turns = MIN_ROUNDS + int(memory)
            guess = costs[case] / rates[case.precision] / _EFFICIENCY * turns
            if time.monotonic() + max(guess, seconds) > deadline:
                left_out.append(f"{case.sentence()}: about {guess / 60:.0f} minutes")
            else:
                rows += measure(
                    case, entries, device=device, seconds=seconds, memory=memory
                )
            bar.advance(note=case.sentence())
    return Comparison(rows, left_out)


def measure(
    case: Case,
    entries: Sequence[Entry],
    *,
    device: torch.device,
    seconds: float,
    memory: bool,
) -> list[Row]:
    """Measure one case: all entries and the ceiling, turn by turn."""
    peaks = {e.name: peak_of(case, e.name, device) if memory else None for e in entries}
    images = _images(case, device)
    multiply, flops_of_product = product_of_matrices(device, case.precision)
    tasks = {
        entry.name: partial(_work(entry, case, device), images) for entry in entries
    }
    times = interleaved(
        tasks | {CEILING: multiply}, seconds=seconds, finish=finish_on(device)
    )
    rate = flops_of_product / float(np.median(times[CEILING]))
    fastest = _fastest_peer(times, entries)
    return [
        _row(case, entry, times, fastest=fastest, rate=rate, peak_mib=peaks[entry.name])
        for entry in entries
    ]


def _row(
    case: Case,
    entry: Entry,
    times: dict[str, Times],
    *,
    fastest: str,
    rate: float,
    peak_mib: float | None,
) -> Row:
    own = times[entry.name]
    low, median, high = np.quantile(own, (0.25, 0.5, 0.75)).tolist()
    cost = cost_of(entry, case.architecture, case.what)
    return Row(
        case=case,
        entry=entry.name,
        images_per_second=case.batch / median,
        ratio=ratio_to(own, times[fastest]),
        seconds=median,
        seconds_low=low,
        seconds_high=high,
        num_rounds=len(own),
        ceiling=rate / cost.flops,
        peak_mib=peak_mib,
        num_parameters=cost.num_parameters,
        gflops=cost.flops / 1e9,
    )


def _fastest_peer(times: dict[str, Times], entries: Sequence[Entry]) -> str:
    """Return the peer that was fastest within its rounds; ours if there is no peer."""
    peers = [entry.name for entry in entries if not entry.is_ours] or [entries[0].name]
    mean = np.mean([times[name] for name in peers], axis=0)
    return min(peers, key=lambda name: float(np.median(times[name] / mean)))


def _work(entry: Entry, case: Case, device: torch.device) -> Work:
    torch.manual_seed(_SEED)
    model = build(entry, case.architecture).to(device)
    return worker(model, what=case.what, precision=case.precision)


def _images(case: Case, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(_SEED)
    shape = (case.batch, CHANNELS, case.image_size, case.image_size)
    return torch.randn(shape, generator=generator).to(device)


def _flops_of_a_round(case: Case, entries: Sequence[Entry]) -> float:
    return sum(
        case.batch * cost_of(entry, case.architecture, case.what).flops
        for entry in entries
    )


def _rate(device: torch.device, precision: Number) -> float:
    """Return the additions and multiplications a second of a large product."""
    multiply, flops = product_of_matrices(device, precision)
    times = interleaved({CEILING: multiply}, seconds=0.0, finish=finish_on(device))
    return flops / float(np.median(times[CEILING]))
