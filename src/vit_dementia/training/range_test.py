"""How large a learning rate may be: Smith's range test (2017, arXiv 1506.01186).

The rate rises from update to update, by the same factor each time, until the loss blows
up. A tenth of the rate at which the smoothed loss is lowest is a rate at which it still
falls fast: the rule of fastai's finder. Nobody but the training participants is looked
at, and no weights are kept.

Shapes: ``u`` updates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from vit_dementia.config import RunConfig
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.splits import Split
from vit_dementia.errors import DivergenceError
from vit_dementia.files import replacing, write_text
from vit_dementia.progress import Quiet, Watch
from vit_dementia.training.epochs import Training
from vit_dementia.training.loop import Batch, fit
from vit_dementia.training.run import prepare
from vit_dementia.training.run_folder import RunFolder

LOWEST, HIGHEST = 1e-6, 1.0
NUM_UPDATES = 100
_SMOOTHING = 0.9  # of the running mean of the loss
_BLOWN_UP = 4.0  # times the lowest smoothed loss
_BELOW_LOWEST = 0.1  # of the rate with the lowest loss


@dataclass(frozen=True)
class Curve:
    """The loss at each learning rate that was tried.

    Attributes:
        learning_rates: of the updates, rising.
        losses: mean over the slices of an update, before it.
    """

    learning_rates: Float[np.ndarray, " u"]
    losses: Float[np.ndarray, " u"]

    @property
    def smoothed(self) -> Float[np.ndarray, " u"]:
        """The running mean of the losses, not pulled towards where it began."""
        return smoothed(self.losses)

    @property
    def suggestion(self) -> float:
        """A rate at which the loss still falls fast."""
        lowest = int(self.smoothed.argmin())
        return float(self.learning_rates[lowest]) * _BELOW_LOWEST

    def write(self, folder: Path) -> None:
        """Write ``learning-rate.tsv`` and draw ``learning-rate.png``."""
        rows = zip(self.learning_rates, self.losses, self.smoothed, strict=True)
        lines = [f"{rate:.6g}\t{loss:.6g}\t{mean:.6g}\n" for rate, loss, mean in rows]
        head = "learning_rate\tloss\tsmoothed_loss\n"
        write_text(folder / "learning-rate.tsv", head + "".join(lines))
        self._draw(folder / "learning-rate.png")

    def _draw(self, path: Path) -> None:
        from matplotlib.figure import Figure  # slow to import

        figure = Figure(figsize=(6, 3.5), layout="constrained")
        axis = figure.subplots()
        axis.plot(self.learning_rates, self.losses, alpha=0.3, label="each update")
        axis.plot(self.learning_rates, self.smoothed, label="running mean")
        axis.axvline(self.suggestion, color="black", linestyle=":", label="suggestion")
        axis.set(xscale="log", xlabel="Learning rate", ylabel="Training loss")
        axis.legend()
        with replacing(path) as aside:
            figure.savefig(aside, dpi=110, format="png")


def smoothed(losses: Float[np.ndarray, " u"]) -> Float[np.ndarray, " u"]:
    """Return the running mean, not pulled towards where it began.

    >>> smoothed(np.array([2.0, 2.0, 2.0])).round(6).tolist()
    [2.0, 2.0, 2.0]
    """
    mean, result = 0.0, np.empty(len(losses))
    for index, loss in enumerate(losses):
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
        result[index] = mean / (1 - _SMOOTHING ** (index + 1))
    return result


def find_learning_rate(
    cohort: Cohort,
    config: RunConfig,
    *,
    out: Path,
    split: Split,
    cache: Path | None = None,
    watch: Watch | None = None,
) -> Curve:
    """Return the range test of a training that would begin so, written into ``out``.

    Raises:
        VitDementiaError: as ``training.run.train``.
    """
    RunFolder.refuse_taken(out)
    training = prepare(cohort, split, config, cache, watch or Quiet())
    curve = range_test(training)
    curve.write(out)
    return curve


def range_test(training: Training, *, num_updates: int = NUM_UPDATES) -> Curve:
    """Return the loss at rising learning rates, up to where it blows up.

    Args:
        training: about to begin; its network is changed and not kept.
        num_updates: from the lowest rate to the highest.

    Raises:
        DivergenceError: if there is no loss at the lowest rates already.
    """
    rates = np.geomspace(LOWEST, HIGHEST, num_updates)
    tried: list[float] = []
    for losses in _losses(training, rates):
        tried.append(losses)
        means = smoothed(np.array(tried))
        if not means[-1] < _BLOWN_UP * means.min():  # so is what is not a number
            tried.pop()
            break
    if len(tried) < 2:
        raise DivergenceError(
            f"learning rate: the loss is no number at {LOWEST:g} already; needs slices"
            " and weights that give one"
        )
    return Curve(rates[: len(tried)], np.array(tried))


def _losses(training: Training, rates: Float[np.ndarray, " u"]) -> Iterator[float]:
    """Yield the mean loss of each update, made at its rate."""
    goal, fabric, seed = training.goal, training.fabric, training.config.seed
    settings = replace(training.config.train, warmup=0.0, schedule="constant")
    network, optimizer = fabric.setup(goal.feed.network, goal.optimizer(settings))
    objective = goal.objective()
    updates = _updates(training)
    with training.watch.count("learning rates", len(rates)) as bar:
        for rate, batches in zip(rates, updates, strict=False):
            at_rate = replace(settings, learning_rate=float(rate))
            steps = fit(
                network,
                batches,
                objective,
                optimizer,
                at_rate,
                fabric=fabric,
                num_steps=1,
                seed=seed,
            )
            yield float(torch.cat([step.losses for step in steps]).mean())
            bar.advance()


def _updates(training: Training) -> Iterator[list[Batch]]:
    """Yield the batches of one update after another, epoch after epoch."""
    course, gathered = training.course, list[Batch]()
    for epoch in count():
        start = course.num_batches * epoch
        for batch in course.batches(epoch, start, training.goal.feed, training.fabric):
            gathered.append(batch)
            if batch.ends_update:
                yield gathered
                gathered = []
