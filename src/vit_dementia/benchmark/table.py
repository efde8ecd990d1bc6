"""The table of a comparison: a file for programs and a page for people."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from vit_dementia.benchmark.comparing import Comparison, Row
from vit_dementia.benchmark.entries import OURS
from vit_dementia.benchmark.machine import Machine
from vit_dementia.benchmark.work import Case
from vit_dementia.files import write_text

FORMAT_VERSION = 1
BUSY = "The machine was busy with other work: neither figures nor ratios count."
COLUMNS: dict[str, Callable[[Row], str]] = {
    "model": lambda row: f"ViT-{row.case.model}",
    "image_size": lambda row: str(row.case.image_size),
    "what": lambda row: row.case.what,
    "precision": lambda row: row.case.precision,
    "batch": lambda row: str(row.case.batch),
    "entry": lambda row: row.entry,
    "images_per_second": lambda row: f"{row.images_per_second:.4g}",
    "ratio_to_fastest_peer": lambda row: f"{row.ratio:.3f}",
    "seconds_median": lambda row: f"{row.seconds:.4g}",
    "seconds_low": lambda row: f"{row.seconds_low:.4g}",
    "seconds_high": lambda row: f"{row.seconds_high:.4g}",
    "rounds": lambda row: str(row.num_rounds),
    "ceiling_images_per_second": lambda row: f"{row.ceiling:.4g}",
    "peak_mib": lambda row: "n/a" if row.peak_mib is None else f"{row.peak_mib:.0f}",
    "parameters": lambda row: str(row.num_parameters),
    "gflops_per_image": lambda row: f"{row.gflops:.4g}",
}


def document(machine: Machine, comparison: Comparison) -> dict[str, Any]:
    """Return everything as one JSON value."""
    return {
        "format": FORMAT_VERSION,
        "machine": {**dataclasses.asdict(machine), "versions": dict(machine.versions)},
        "rows": [_flat(row) for row in comparison.rows],
        "left_out": comparison.left_out,
    }


def _flat(row: Row) -> dict[str, Any]:
    values = dataclasses.asdict(row)
    return values.pop("case") | values


def write_tables(
    folder: Path,
    machine: Machine,
    comparison: Comparison,
    *,
    command: str,
    duration_s: float,
) -> list[Path]:
    """Write ``bench.tsv`` and ``bench.md``; return what was written."""
    table, page = folder / "bench.tsv", folder / "bench.md"
    made = {"command": command, "duration_s": f"{duration_s:.0f}"}
    write_text(table, tsv(machine, comparison, made))
    write_text(page, markdown(machine, comparison))
    return [table, page]


def tsv(machine: Machine, comparison: Comparison, made: Mapping[str, str]) -> str:
    """Return a line a row, each with date, commit, processor and how it was made."""
    where = {
        "date": machine.date,
        "commit": machine.commit,
        "processor": machine.processor,
        "threads": str(machine.num_threads),
        **made,
    }
    lines = ["\t".join([*COLUMNS, *where])]
    lines += [
        "\t".join([*(tell(row) for tell in COLUMNS.values()), *where.values()])
        for row in comparison.rows
    ]
    return "\n".join(lines) + "\n"


def markdown(machine: Machine, comparison: Comparison) -> str:
    """Return the page: how it was measured, and a table for each case."""
    versions = ", ".join(f"{name} {v}" for name, v in machine.versions.items())
    lines = [
        "# Speed beside other libraries",
        "",
        f"Measured {machine.sentence()}.",
        f"Versions: {versions}.",
        "",
        *([f"**{BUSY}**", ""] if machine.is_busy else []),
        *_HOW,
    ]
    for case, rows in groupby(comparison.rows, key=lambda row: row.case):
        lines += ["", *_table_of(case, list(rows), machine)]
    if comparison.left_out:
        lines += ["", "Not measured, for want of time:", ""]
        lines += [f"- {line}" for line in comparison.left_out]
    return "\n".join(lines) + "\n"


_HOW = (
    "Made by `make bench`. All take turns in one process, in rounds, on the same",
    "images; a figure is the median over rounds, between the quartiles. The ratio is",
    "to the fastest peer, the median of the ratios within a round: above 1 is faster.",
    "The ceiling is what a large matrix product, taking its turn in the same rounds,",
    "would allow if products were all. Memory is the peak of a process of its own,",
    "without what importing takes. A training step is forward, backward, clipping and",
    "fused AdamW, for everybody alike; bf16 is autocast.",
    "[Speed](../explanation/speed.md) discusses the figures.",
)


def _table_of(case: Case, rows: list[Row], machine: Machine) -> Iterator[str]:
    yield f"## {case.sentence()}"
    yield ""
    if case.precision == "bf16" and not machine.computes_bf16:
        yield "bf16 is **emulated**: this processor does not compute in it."
        yield ""
    ceiling = next(row.ceiling for row in rows if row.entry == OURS.name)
    yield f"At most {ceiling:.3g} images/s by matrix products; {len(rows)} entries,"
    yield f"{rows[0].num_rounds} rounds."
    yield ""
    yield "| | images/s | seconds | ratio | of the ceiling | peak MiB | GFLOP/image |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for row in sorted(rows, key=lambda row: -row.ratio):
        memory = "n/a" if row.peak_mib is None else f"{row.peak_mib:,.0f}"
        name = f"**{row.entry}**" if row.entry == OURS.name else row.entry
        yield (
            f"| {name} | {row.images_per_second:.3g} "
            f"| {row.seconds:.3g} ({row.seconds_low:.3g}–{row.seconds_high:.3g}) "  # noqa: RUF001  # the dash of a range
            f"| {row.ratio:.2f} | {row.images_per_second / row.ceiling:.0%} "
            f"| {memory} | {row.gflops:.3g} |"
        )


def unequal_work(rows: list[Row]) -> list[str]:
    """Return a line for each entry whose work is not ours.

    One percent is allowed: vit-pytorch normalizes its patches, for which its training
    has one product more, and has no bias in its queries, keys and values.
    """
    allowed = 0.01
    ours = {row.case: row for row in rows if row.entry == OURS.name}
    lines = []
    for row in rows:
        own = ours[row.case]
        for what, theirs, mine in (
            ("parameters", row.num_parameters, own.num_parameters),
            ("GFLOP an image", row.gflops, own.gflops),
        ):
            if abs(theirs / mine - 1) > allowed:
                lines.append(
                    f"{row.case.sentence()}: {row.entry} has {theirs:.6g} {what}, "
                    f"ours {mine:.6g}"
                )
    return lines
