"""Score a finished run: predictions, floors, metrics and report of one part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vit_dementia.data.cohort import Cohort
from vit_dementia.evaluation.calibrated import LEVEL
from vit_dementia.evaluation.scores import score
from vit_dementia.evaluation.spread import over_repeats
from vit_dementia.files import adding_to, read_json, write_json
from vit_dementia.inference.compute import Device, described
from vit_dementia.inference.model_folder import write_calibration
from vit_dementia.progress import Quiet, Watch
from vit_dementia.training.history import EpochRecord, read_history
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.choice import sentence
from vit_dementia.workflows.explain_examples import explain_as, refuse_hidden_maps
from vit_dementia.workflows.floors import file_name
from vit_dementia.workflows.report.examples import ExplainOne
from vit_dementia.workflows.report.options import ReportOptions
from vit_dementia.workflows.report.study import study_of
from vit_dementia.workflows.report.write import write_report
from vit_dementia.workflows.robustness import robustness_of, write_robustness
from vit_dementia.workflows.scoring import Role, Scored, read_run, score_part

HISTORY = "history.jsonl"


def evaluate(
    run: RunFolder,
    *,
    role: Role = "test",
    data: Cohort | None = None,
    positive: Sequence[str] | None = None,
    prevalence: float | None = None,
    level: float = LEVEL,
    robustness: bool = False,
    explain: bool = False,
    device: Device = "auto",
    cache: Path | None = None,
    options: ReportOptions | None = None,
    watch: Watch | None = None,
) -> Path:
    """Write RUN/evaluation/ROLE: predictions, metrics and report; return that folder.

    After the test part was scored, its participants, who trained and chose nothing,
    calibrate when the model says "not sure" of others; see ``evaluation.calibrated``.

    Args:
        run: a finished run.
        role: whose participants to score.
        data: the run's scans, if they have moved since.
        positive: the classes to tell from the others; by default all but the first.
        prevalence: share of people with the condition where the model would be used.
        level: how often a prediction set is to hold the truth.
        robustness: score the same scans also worsened in many ways.
        explain: put maps of the examples, and how faithful they are, into the report.
        device: where to compute.
        cache: where decoded scans are kept.
        options: what the report may show, and what is known beside the data.
        watch: who is told of the progress.

    Raises:
        DataError: if the part has no scans, or ``data`` are other scans.
        ConfigError: if maps are wanted where no scan may be shown.
    """
    if explain:
        refuse_hidden_maps(options)
    reading = read_run(
        run, data=data, device=device, cache=cache, watch=watch or Quiet()
    )
    scored = score_part(reading, role, positive=positive, seed=run.config.seed)
    worsened = None
    if robustness:
        worsened = robustness_of(
            reading,
            reading.part(role),
            scored.floors,
            positive=positive,
            seed=run.config.seed,
        )
    folder = write_evaluation(
        run.evaluation(role),
        scored,
        positive=positive,
        prevalence=prevalence,
        level=level,
        robustness=worsened,
        history=read_history(run.path / HISTORY),
        study=study_of(
            run,
            role,
            readable=scored.cohort,
            device=described(scored.fabric),
            options=options,
        ),
        scans=scored.cohort.root if options and options.show_scans else None,
        explain=explain_as(reading.model, device) if explain else None,
        seed=run.config.seed,
    )
    if role == "test":
        keep_sets(run, scored, level=level)
    return folder


def keep_sets(run: RunFolder, scored: Scored, *, level: float) -> None:
    """Calibrate a run's prediction sets on its test part, after that was scored.

    Not if the parts of its split leak: those people are known to the model.
    """
    if not scored.facts.get("allow_leakage"):
        told, on = scored.predictions, "the test part, after it was scored"
        calibration = scored.calibration.with_sets(told, on=on, level=level)
        write_calibration(run.path, calibration)


def write_evaluation(
    folder: Path,
    scored: Scored,
    *,
    positive: Sequence[str] | None,
    prevalence: float | None = None,
    level: float = LEVEL,
    robustness: Sequence[Mapping[str, Any]] | None = None,
    repeats: Sequence[Path] = (),
    history: Sequence[EpochRecord] = (),
    study: Mapping[str, Any] | None,
    seed: int,
    scans: Path | None = None,
    explain: ExplainOne | None = None,
    fold_of: Mapping[str, object] | None = None,
    choice: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Write the tables, metrics and report of one scored part; return the folder.

    Args:
        folder: where to write.
        scored: what was said.
        positive: as for ``evaluate``, as are ``prevalence`` and ``level``.
        prevalence: see there.
        level: see there.
        robustness: what ``robustness_of`` found.
        repeats: folders of other repetitions of the same cross-validation.
        history: the epochs of the run.
        study: what ``study_of`` found.
        seed: of the resampling.
        scans: folder of the scans, if small pictures of some may be shown.
        explain: maps one of them for one class.
        fold_of: the fold in which each participant, and each scan, was scored.
        choice: which recipe each fold kept; see ``choice.told_of``.
        notes: what else a reader must know.
    """
    predictions = scored.predictions
    allowed = scored.facts.get("allow_leakage")
    metrics = score(
        predictions,
        positive=positive,
        ordered=scored.ordered,
        fold_of=fold_of,
        floors=scored.floors,
        relearned=scored.relearned,
        lines=scored.lines,
        prevalence=prevalence,
        level=level,
        groups=scored.groups,
        calibration=scored.said,
        leak_note=f"{scored.facts['leakage']} (allowed: {allowed})"
        if allowed
        else None,
        train_accuracy=_accuracy_of_kept(history, scored.facts),
        seed=seed,
    )
    metrics["notes"] += notes if choice is None else [sentence(choice), *notes]
    others = [read_json(other / "metrics.json") for other in repeats]
    metrics |= {
        "repeats": over_repeats([metrics, *others]) if others else None,
        "robustness": robustness,
        "choice": choice,
    }
    with adding_to(folder) as aside:
        predictions.write(aside / "predictions.tsv")
        if predictions.participants_known:
            of_people = predictions.by_participant()
            of_people.write(aside / "predictions_participants.tsv")
        for name, floor in scored.floors.items():
            floor.write(aside / "floors" / file_name(name))
        if robustness is not None:
            write_robustness(aside, robustness)
        write_json(aside / "metrics.json", metrics)
        write_report(
            aside,
            metrics=metrics,
            predictions=predictions,
            floors=scored.floors,
            study=study,
            fold_of=fold_of,
            scans=scans,
            explain=explain,
        )
    return folder


def _accuracy_of_kept(
    history: Sequence[EpochRecord], facts: Mapping[str, Any]
) -> float | None:
    """Return how many training slices the kept epoch answered correctly."""
    kept = facts.get("epoch")
    found = [record.train_accuracy for record in history if record.epoch == kept]
    return found[0] if found else None
