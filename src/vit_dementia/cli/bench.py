"""``vit-dementia bench``."""

from __future__ import annotations

import dataclasses
import json as json_module
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

from cyclopts import Parameter

from vit_dementia.cli.options import CohortOptions, names_in, read_cohort, tell
from vit_dementia.cli.terminal import say, watch_for_people
from vit_dementia.config import RunConfig
from vit_dementia.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from vit_dementia.benchmark.comparing import Row
    from vit_dementia.benchmark.plan import Plan
    from vit_dementia.benchmark.work import Case
    from vit_dementia.data.cohort import Cohort

_MOST_OF_A_STEP = 0.10  # that loading and augmentation may take


def bench(
    data: Path | None = None,
    /,
    *,
    plan: bool = False,
    loading: Annotated[bool, Parameter(alias="--data")] = False,
    models: str = "Ti/16,B/16",
    batch: str = "1,8,32",
    precision: str | None = None,
    what: str = "forward,training",
    peers: str | None = None,
    image_size: int = 224,
    seconds: float = 6.0,
    minutes: float = 12.0,
    memory: bool = True,
    threads: int | None = None,
    folds: int = 1,
    tflops: float | None = None,
    share: float = 0.5,
    devices: int = 1,
    config: Annotated[RunConfig, Parameter(name="*")] = RunConfig(),
    cohort: Annotated[CohortOptions, Parameter(name="*")] = CohortOptions(),
    recipe: str | None = None,  # noqa: ARG001  # app.py reads it before the flags
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Time this network beside other libraries, or plan how long a recipe will take.

    Example: vit-dementia bench --models Ti/16 --batch 8 --precision fp32

    Args:
        data: with --plan: folders of images per class, or a table of them.
        plan: say how many hours the recipe takes on DATA, here and on other hardware.
        loading: say which share of a step loading and augmentation take.
        models: variants without ViT-.
        batch: images at once.
        precision: fp32,bf16 [default: both where the processor has bf16, else fp32].
        what: forward, training, or both.
        peers: which libraries [default: all that are installed].
        image_size: side of the square images, without --plan.
        seconds: how long a measurement lasts at least.
        minutes: for all of them; what would end later is left out and told.
        memory: also measure peak memory, in a process of its own each.
        threads: of the processor [default: as PyTorch has it].
        folds: with --plan: how many are trained.
        tflops: with --plan: 10^12 operations a second of other hardware's matrix
            products, for its hours.
        share: with --plan: share of tflops that is reached.
        devices: with --plan and --tflops: how many of them train together.
        recipe: with --plan: name or TOML file of settings.
        out: also write bench.tsv and bench.md here.
        json: print one JSON document on stdout.
    """
    if plan and loading:
        raise ConfigError("bench: found --plan and --loading; needs one of them")
    if plan != (data is not None):
        raise ConfigError("bench: DATA and --plan go together; needs both or neither")
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    if plan:
        assert data is not None
        made = _plan(read_cohort(data, cohort), config, folds=folds, seconds=seconds)
        document = made.to_dict()
        if tflops is not None:
            document["hours_elsewhere"] = made.hours_at(
                tflops, share=share, devices=devices
            )
            several = f"{devices} times " if devices > 1 else ""
            say(
                f"at {several}{tflops:g} TFLOP/s, of which {share:.0%} are reached: "
                f"{document['hours_elsewhere']:.2g} hours"
            )
    elif loading:
        document = _loading(config, image_size, seconds)
    else:
        from vit_dementia.benchmark.comparing import cases_of
        from vit_dementia.benchmark.work import Number, What
        from vit_dementia.inference.compute import make_fabric

        device = make_fabric(config.device, "fp32").device
        usual = "fp32,bf16" if _has_bf16(device) else "fp32"
        cases = cases_of(
            names_in(models) or (),
            [_positive("--batch", number) for number in names_in(batch) or ()],
            _among("--precision", precision or usual, get_args(Number)),
            _among("--what", what, get_args(What)),
            image_size=image_size,
        )
        document = _compare(
            cases,
            names_in(peers),
            device,
            {"seconds": seconds, "minutes": minutes, "memory": memory},
            out,
        )
    if json:
        print(json_module.dumps(document, indent=2, allow_nan=False))


def _compare(
    cases: list[Case],
    peers: tuple[str, ...] | None,
    device: torch.device,
    limits: dict[str, Any],
    out: Path | None,
) -> dict[str, Any]:
    """Measure the cases and tell the rows."""
    from vit_dementia.benchmark.comparing import compare
    from vit_dementia.benchmark.entries import entries_here
    from vit_dementia.benchmark.machine import this_machine
    from vit_dementia.benchmark.table import BUSY, document, unequal_work, write_tables

    entries = entries_here(peers)
    machine = this_machine(
        device,
        computes_bf16=_has_bf16(device),
        versions={entry.package: entry.version for entry in entries},
    )
    say(machine.sentence())
    if machine.is_busy:
        say(f"note: {BUSY}")
    say(f"measuring {', '.join(entry.name for entry in entries)}")
    started = time.monotonic()
    comparison = compare(
        cases, entries, device=device, watch=watch_for_people(), **limits
    )
    _tell_rows(comparison.rows)
    for line in unequal_work(comparison.rows):
        say(f"not the same work: {line}")
    for line in comparison.left_out:
        say(f"left out for want of time (--minutes): {line}")
    if out is not None:
        files = write_tables(
            out,
            machine,
            comparison,
            command=shlex.join(["vit-dementia", *sys.argv[1:]]),
            duration_s=time.monotonic() - started,
        )
        for file in files:
            say(f"written: {file}")
    return document(machine, comparison)


def _tell_rows(rows: list[Row]) -> None:
    """Print a line a row, one case below the other."""
    for row in rows:
        memory = "" if row.peak_mib is None else f"{row.peak_mib:8,.0f} MiB"
        say(
            f"{row.case.sentence():38} {row.entry:18} {row.images_per_second:8.2f} "
            f"images/s  {row.ratio:5.2f} of the fastest peer  "
            f"{row.images_per_second / row.ceiling:4.0%} of the ceiling {memory}"
        )


def _loading(config: RunConfig, image_size: int, seconds: float) -> dict[str, Any]:
    """Time the parts of a step of ViT-Ti/16, or of the model that was asked for."""
    from vit_dementia.benchmark.steps import share_of_data

    model = config.model or "ViT-Ti/16"
    answer = share_of_data(
        dataclasses.replace(config, model=model), image_size, seconds=seconds
    )
    word = "at most" if answer["share_of_data"] <= _MOST_OF_A_STEP else "MORE THAN"
    say(
        f"{model}, batch {config.train.num_at_once}, {answer['where']}, "
        f"{answer['num_threads']} threads: a step takes {answer['step_ms']:.1f} ms, "
        f"of it loading {answer['loading_ms']:.2f} ms and augmentation "
        f"{answer['augmentation_ms']:.2f} ms: {answer['share_of_data']:.1%} "
        f"({word} {_MOST_OF_A_STEP:.0%})"
    )
    return answer


def _plan(cohort: Cohort, config: RunConfig, *, folds: int, seconds: float) -> Plan:
    from vit_dementia.benchmark.plan import plan

    tell(cohort)
    made = plan(cohort, config, folds=folds, seconds=seconds)
    for line in made.sentences():
        say(line)
    return made


def _has_bf16(device: torch.device) -> bool:
    from vit_dementia.inference.compute import Device, computes_in_bf16

    return computes_in_bf16(cast(Device, device.type))


def _among(flag: str, text: str, known: tuple[Any, ...]) -> list[Any]:
    """Return the chosen ones of what is known."""
    names = names_in(text) or ()
    if not names or set(names) - set(known):
        raise ConfigError(f"{flag}: found {text!r}; needs some of {','.join(known)}")
    return [name for name in known if name in names]


def _positive(flag: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{flag}: found {text!r}; needs whole numbers from 1 on")
    return int(text)
