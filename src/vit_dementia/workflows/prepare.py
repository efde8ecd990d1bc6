"""A cohort of volumes made ready for analysis, each one judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed

from vit_dementia.data.cohort import Cohort
from vit_dementia.errors import ConfigError, DataError
from vit_dementia.preparation.pipeline import Pipeline
from vit_dementia.preparation.templates import CLINICA
from vit_dementia.progress import Quiet, Watch
from vit_dementia.quality.cohort import repeats, typicality, unusual
from vit_dementia.quality.verdict import Quality, Reason, together
from vit_dementia.workflows.apart import Died, each_apart
from vit_dementia.workflows.prepare_names import names_for
from vit_dementia.workflows.prepare_scan import Result, Task, prepare_scan, unread

FORMAT = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Preparation:
    """What became of a cohort.

    Attributes:
        cohort: the scans as they were found.
        pipeline: how they were prepared.
        names: where each prepared scan is, relative to the output.
        results: one for each scan, in the order of the cohort.
    """

    cohort: Cohort
    pipeline: Pipeline
    names: tuple[str, ...]
    results: tuple[Result, ...]

    def counts(self) -> dict[str, int]:
        """Return how many scans had each outcome and each verdict."""
        outcomes = Counter(result.outcome for result in self.results)
        verdicts = Counter(
            result.quality.verdict for result in self.results if result.quality
        )
        return {
            **{name: outcomes[name] for name in ("prepared", "kept")},
            **{name: outcomes[name] for name in ("refused", "failed")},
            **{name: verdicts[name] for name in ("pass", "warn", "fail")},
        }


def prepare_cohort(
    cohort: Cohort,
    out: Path,
    pipeline: Pipeline,
    *,
    keep_failed: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    watch: Watch | None = None,
) -> Preparation:
    """Prepare every scan, each in a worker process, and judge it alone and in company.

    What an earlier run made in ``out`` of the same bytes by the same pipeline is kept.

    Args:
        cohort: volumes.
        out: folder for the prepared volumes.
        pipeline: how they are prepared.
        keep_failed: also write and keep what quality control refuses.
        workers: processes on this machine [default: one for each core].
        scheduler: address of a Dask scheduler whose workers are used instead.
        watch: told of the progress.

    Raises:
        ConfigError: if software is missing, or ``out`` lies among the scans.
        DataError: if there is no scan; before any is prepared, if more of them than the
            limit (5 %) cannot be read, or if a class would be lost, with every cause.
    """
    if not len(cohort):
        raise DataError(f"{cohort.root}: found no scan; needs volumes")
    if _is_among(out.resolve(), cohort.root.resolve()):
        raise ConfigError(
            f"{out}: lies among the scans, and would be read with them; name another "
            f"folder, or {cohort.root / 'derivatives' / 'prepared'}"
        )
    pipeline.require()
    if pipeline.template not in (None, CLINICA):  # workers may stand in another folder
        pipeline = replace(pipeline, template=Path(pipeline.template).absolute())
    table = cohort.table
    people = zip(table["participant_id"], table["session_id"], strict=True)
    names = names_for(people, pipeline)
    tasks = [
        Task(
            source=(cohort.root / path).absolute(),
            target=(out / name).absolute(),
            pipeline=pipeline,
            keep_failed=keep_failed,
        )
        for path, name in zip(table["path"], names, strict=True)
    ]
    shown = watch or Quiet()
    with shown.count("reading", len(tasks)) as bar:
        causes: dict[str, str] = {}
        for place, cause in _unread(tasks, workers, scheduler):
            path = table["path"][place]
            causes |= {path: f"{path}: {cause}"} if cause else {}
            bar.advance()
    cohort.without(causes)  # refuses to lose too many
    results: list[Result | None] = [None] * len(tasks)
    with shown.count("preparing", len(tasks)) as bar:
        for place, answer in each_apart(
            prepare_scan, tasks, workers=workers, scheduler=scheduler
        ):
            done = answer
            if isinstance(done, Died):
                done = Result(outcome="failed", cause=done.cause)
            results[place] = done
            bar.advance()
    whole = [result for result in results if result is not None]
    return Preparation(
        cohort=cohort,
        pipeline=pipeline,
        names=tuple(str(name) for name in names),
        results=tuple(_in_company(whole)),
    )


def _unread(
    tasks: Sequence[Task], workers: int | None, scheduler: str | None
) -> Iterator[tuple[int, str]]:
    """Yield the place of every scan with why it cannot be read, if it cannot."""
    if scheduler is None:  # the readers leave other threads their time
        parallel = Parallel(
            n_jobs=workers or -1, prefer="threads", return_as="generator"
        )
        yield from enumerate(parallel(delayed(unread)(task) for task in tasks))
        return
    for place, said in each_apart(unread, tasks, scheduler=scheduler):
        yield place, said.cause if isinstance(said, Died) else said


def _is_among(out: Path, root: Path) -> bool:
    """Say whether what is written would be read as scans the next time.

    >>> [_is_among(Path(out), Path("/a")) for out in ("/a", "/a/b", "/c")]
    [True, True, False]
    >>> _is_among(Path("/a/derivatives/b"), Path("/a"))
    False
    """
    if not out.is_relative_to(root):
        return False
    return "derivatives" not in out.relative_to(root).parts


def _in_company(results: Sequence[Result]) -> list[Result]:
    """Return the results with the reasons that only show beside other scans."""
    found: dict[int, list[Reason]] = {}
    for first, later in _repeats(results):
        text = f"shows the same as scan {first + 1}"
        reason = Reason(code="repeat", verdict="warn", text=text)
        found.setdefault(later, []).append(reason)
    typical = dict[int, float]()
    places = [k for k, result in enumerate(results) if result.row is not None]
    if places:
        rows = np.stack([results[k].row for k in places])  # type: ignore[misc]  # places have rows
        typical = dict(zip(places, typicality(rows).tolist(), strict=True))
        least, strange = unusual(np.array([typical[k] for k in places]))
        for index in strange:
            text = (
                f"unlike the others: correlation {typical[places[index]]:.2f} with "
                f"their median, where {least:.2f} is usual"
            )
            reason = Reason(code="unusual", verdict="warn", text=text)
            found.setdefault(places[index], []).append(reason)
    return [
        _with(result, found.get(k, ()), typical.get(k))
        for k, result in enumerate(results)
    ]


def _repeats(results: Sequence[Result]) -> list[tuple[int, int]]:
    """Return pairs of scans with the same bytes, or that show the same."""
    first_with = dict[str, int]()
    pairs = set[tuple[int, int]]()
    for k, result in enumerate(results):
        if result.content:
            first = first_with.setdefault(result.content, k)
            pairs |= {(first, k)} if first != k else set()
    places = [k for k, result in enumerate(results) if result.row is not None]
    if len(places) > 1:
        rows = np.stack([results[k].row for k in places])  # type: ignore[misc]  # places have rows
        pairs |= {(places[i], places[j]) for i, j in repeats(rows)}
    return sorted(pairs)


def _with(result: Result, reasons: Sequence[Reason], typical: float | None) -> Result:
    if result.quality is None:
        return result
    measures = {} if typical is None else {"typicality": typical}
    company = Quality(reasons=tuple(reasons), measures=measures)
    return replace(result, quality=together([result.quality, company]))
