"""How many slices fit into memory at once, found by trying.

An update learns from ``batch_size`` times ``accumulate`` slices. Fewer at once, more
often, are the same update in less memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from lightning_fabric import Fabric

from vit_dementia.config import RunConfig, TrainConfig
from vit_dementia.errors import ConfigError
from vit_dementia.inference.compute import described
from vit_dementia.training.course import Course
from vit_dementia.training.goal import Goal
from vit_dementia.training.loop import Batch
from vit_dementia.training.material import Material

STATES = 2  # numbers an optimizer keeps for each parameter: AdamW's two means
USUAL = 16  # slices at once, which an update of ``auto`` holds ``accumulate`` times


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error is that of a device, or a machine, without memory left.

    >>> is_out_of_memory(torch.OutOfMemoryError()), is_out_of_memory(RuntimeError("x"))
    (True, False)
    """
    words = ("DefaultCPUAllocator: can't allocate", "DefaultCPUAllocator: not enough")
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def parts_of(number: int) -> list[int]:
    """Return the numbers that divide another one evenly, the largest first.

    >>> parts_of(12)
    [12, 6, 4, 3, 2, 1]
    """
    return [part for part in range(number, 0, -1) if number % part == 0]


def largest_that_fits(
    goal: Goal,
    batch_of: Callable[[int], Batch],
    sizes: Iterable[int],
    fabric: Fabric,
    *,
    agreed: bool,
) -> int | None:
    """Return the first of the sizes whose step fits into memory; None if none does.

    No weight changes.

    Args:
        goal: the network and its loss.
        batch_of: makes a batch of a size.
        sizes: the largest first.
        fabric: where to compute.
        agreed: all processes ask, and get the same answer; else this one asks alone.
    """
    network = fabric.to_device(goal.feed.network)
    for size in sizes:
        fits = _fits(goal, batch_of, size, fabric)
        network.zero_grad(set_to_none=True)
        if fabric.device.type == "cuda":
            torch.cuda.empty_cache()
        if agreed and fabric.world_size > 1:
            answer = fabric.all_reduce(torch.tensor(float(fits)), reduce_op="min")
            assert isinstance(answer, torch.Tensor)
            fits = bool(answer)
        if fits:
            return size
    return None


def _fits(
    goal: Goal, batch_of: Callable[[int], Batch], size: int, fabric: Fabric
) -> bool:
    """Do a step but for its update, beside what an optimizer would keep."""
    network = goal.feed.network
    learning = [p for p in network.parameters() if p.requires_grad]
    try:
        kept = [torch.empty_like(p) for p in learning for _ in range(STATES)]
        batch = batch_of(size)
        with fabric.autocast():
            losses, _ = goal.objective()(network, batch)
        losses.mean().backward()
        del kept
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True


def with_batch_size(
    config: RunConfig, material: Material, goal: Goal, fabric: Fabric
) -> RunConfig:
    """Return the settings with as many slices at once as fit, the update as large.

    Raises:
        ConfigError: if not even one fits.
    """
    update = USUAL * config.train.accumulate
    sizes = parts_of(update)
    size = _largest(config, material, goal, fabric, sizes, agreed=True)
    if size is None:
        raise ConfigError(
            f"train.batch_size: not even one slice fits into the memory of "
            f"{described(fabric)}; needs a smaller --model or image size"
        )
    return _sized(config, size, update)


def batch_sentence(config: TrainConfig) -> str:
    """Say what was found.

    >>> batch_sentence(TrainConfig(batch_size=4, accumulate=8))
    'batch size: 4 slices at once fit into memory, 8 times for an update of 32'
    """
    size = config.num_at_once
    return (
        f"batch size: {size} slices at once fit into memory, {config.accumulate} times "
        f"for an update of {size * config.accumulate}"
    )


def too_large(
    config: RunConfig, material: Material, goal: Goal, fabric: Fabric
) -> ConfigError:
    """Return what to tell of a run that memory was too small for."""
    found, many = config.train.num_at_once, config.train.accumulate
    smaller = parts_of(found)[1:]
    size = _largest(config, material, goal, fabric, smaller, agreed=False)
    mend = "not even one would: needs a smaller --model or image size"
    if size is not None:
        mend = (
            f"{size} would: begin anew with --batch-size {size} --train.accumulate "
            f"{found * many // size}, which is the same update, or --batch-size auto"
        )
    return ConfigError(
        f"train.batch_size: {found} slices at once do not fit into the memory of "
        f"{described(fabric)}; {mend}"
    )


def _largest(
    config: RunConfig,
    material: Material,
    goal: Goal,
    fabric: Fabric,
    sizes: Iterable[int],
    *,
    agreed: bool,
) -> int | None:
    def batch_of(size: int) -> Batch:
        course = Course(_sized(config, size, size), material)
        return next(course.batches(0, 0, goal.feed, fabric))

    return largest_that_fits(goal, batch_of, sizes, fabric, agreed=agreed)


def _sized(config: RunConfig, size: int, update: int) -> RunConfig:
    train = replace(config.train, batch_size=size, accumulate=update // size)
    return replace(config, train=train)
