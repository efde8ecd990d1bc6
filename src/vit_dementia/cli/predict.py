"""``vit-dementia predict``."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vit_dementia import DISCLAIMER
from vit_dementia.cli.options import pairs_in
from vit_dementia.cli.terminal import escaped, say, watch_for_people
from vit_dementia.errors import ConfigError
from vit_dementia.inference.compute import Device, Runtime
from vit_dementia.limits import carried

if TYPE_CHECKING:
    from vit_dementia.data.named import Places
    from vit_dementia.data.participants import Identity
    from vit_dementia.inference.kept import Kept
    from vit_dementia.inference.predictor import Predictor


def predict(
    run: Path,
    /,
    *scans: Path,
    participants: Path | None = None,
    columns: str | None = None,
    salt_file: Path | None = None,
    json: bool = False,
    out: Path | None = None,
    html: Path | None = None,
    device: Device = "auto",
    engine: Runtime = "torch",
    explain: bool = False,
    scheduler: str | None = None,
) -> int:
    """Say what a model sees on new scans, by scan and by participant.

    Example: vit-dementia predict runs/first scan.png --json

    Args:
        run: run folder, or its model folder.
        scans: images, volumes, folders of them (a folder of DICOM is one scan), a zip
            of these, or a table that names them in its column path.
        participants: table that says who is on which scan [default: file names tell].
        columns: other names of its columns: participant_id=subject.
        salt_file: salt of the pseudonyms of people in DICOM [default: the user's own].
        json: print one JSON document on stdout.
        out: also write predictions.tsv and predictions_participants.tsv here; asked
            again, what was read before is not read again.
        html: also write a page for people here, which names no file.
        device: where to compute.
        engine: what computes; ONNX Runtime and OpenVINO do so on the CPU, in float32.
        explain: draw in OUT/maps what each answer hangs on, and how faithful that is.
        scheduler: address of a Dask scheduler, whose workers read the scans where they
            lie: tcp://host:8786.

    Returns:
        0 if every scan was answered, 3 if some were not, 2 if none could be read.
    """
    from vit_dementia.data.named import named_scans
    from vit_dementia.inference.growing import GrowingTables
    from vit_dementia.workflows.predict_apart import on_cluster, opened, predictor_of

    if explain and out is None:
        raise ConfigError("--explain: draws maps into a folder; needs --out DIR")
    with named_scans(scans) as (files, places):
        who = _who_is_named(scans, files, places, salt_file)
        if participants is not None:
            from vit_dementia.data.scans import who_is_on

            table = pairs_in("--columns", columns) or {}
            who |= who_is_on(files, participants, table)
        predictor = predictor_of(run, engine, device)
        watch = watch_for_people()
        if explain:
            from vit_dementia.workflows.explain_predicted import one_model, with_maps

            one = one_model(predictor.model)
        ask = partial(predictor, files, who=who, watch=watch, places=places)
        if out is not None:
            kept = _kept_in(out, predictor, engine, places)
            ask = partial(ask, kept=kept, growing=GrowingTables(out))
        if scheduler is not None:
            way = opened(run, predictor, engine, device)
            ask = partial(ask, reading=on_cluster(scheduler, way, places))
        answer = ask()
        for path, cause in answer.refused.items():
            say(f"refused: {path}: " + cause.removeprefix(f"{path}: "))
        document = answer.to_dict()
        if explain:
            assert out is not None
            document = with_maps(
                document, one, out, device=device, watch=watch, places=places
            )
    if json:
        print(json_module.dumps(document, indent=2, allow_nan=False))
    else:
        _tell(document)
    if html is not None:
        _write_page(html, document, predictor, run, out if explain else None)
    if out is not None:
        from vit_dementia.files import write_json
        from vit_dementia.workflows.model_facts import facts_of

        answer.write(out)
        write_json(out / "model.json", facts_of(predictor.model, run))
        say(f"written: {out}")
    if not answer.refused:
        return 0
    return 3 if answer.unread < len(files) else 2


def _who_is_named(
    scans: Iterable[Path], files: list[Path], places: Places, salt_file: Path | None
) -> dict[str, Identity]:
    """Return who is on scans by their headers, or by the tables among those named."""
    from vit_dementia.data.scans import who_is_in_headers

    name_of = {str(places.file_of(name)): str(name) for name in files}
    found = who_is_in_headers(map(Path, name_of), salt_file)
    listed = _who_is_listed(scans, files)
    return {name_of[file]: one for file, one in found.items()} | listed


def _who_is_listed(scans: Iterable[Path], files: list[Path]) -> dict[str, Identity]:
    """Return who is on the scans of the tables that stand among those named."""
    from vit_dementia.data.scans import is_table, who_is_on

    found: dict[str, Identity] = {}
    for table in filter(is_table, scans):
        found |= who_is_on(files, table, {}, needed=("path",))
    return found


def _write_page(
    html: Path,
    document: dict[str, Any],
    predictor: Predictor,
    run: Path,
    maps: Path | None,
) -> None:
    from vit_dementia.files import write_text
    from vit_dementia.workflows.answer_page import page
    from vit_dementia.workflows.model_facts import facts_of

    write_text(html, page(document, facts_of(predictor.model, run), maps))
    say(f"written: {html}")


def _kept_in(out: Path, predictor: Predictor, engine: str, places: Places) -> Kept:
    """Return what this model, computed in this way, has said of scans before."""
    from vit_dementia.inference.compute import described
    from vit_dementia.inference.kept import Kept

    way = described(predictor.fabric)
    if limits := carried():  # what they refuse is another answer
        way += f", {limits}"
    return Kept(out, f"{predictor.model.sha256}, {engine}, {way}", places)


def _tell(document: dict[str, Any]) -> None:
    """Print the answers as lines of tab-separated text."""
    model = document["model"]
    positive = " or ".join(model["calibration"]["positive"])
    for result in document["results"]:
        if result["probabilities"]:
            known = result["participant_id"] is not None  # a line of theirs follows
            said = [] if known else _conclusions(result, positive)
            _print(result["path"], *_estimates(result), *said, *_remarks(result))
    for person in document["participants"]:
        name = f"{person['participant_id']} ({person['num_scans']} scans)"
        _print(name, *_estimates(person), *_conclusions(person, positive))
    say(f"answered by the model {model['sha256'][:12]}, {model['trained_on']}")
    if reason := model["allow_leakage"]:
        say(f"this model was trained across a leak: {reason}")
    say(DISCLAIMER)


def _print(*cells: str) -> None:
    print("\t".join(map(escaped, cells)))


def _estimates(told: dict[str, Any]) -> list[str]:
    shares = (f"{name} {p:.3f}" for name, p in told["probabilities"].items())
    return [told["predicted"], "  ".join(shares)]


def _conclusions(told: dict[str, Any], positive: str) -> list[str]:
    """Return what follows from probabilities, as far as the model is calibrated."""
    said = []
    if told["early"] is not None:
        said.append(f"{positive}: {told['early']}")
    if told["set"] is not None:
        said.append(f"not ruled out: {', '.join(told['set']) or 'nothing'}")
    if (seen := told["observed"]) is not None:
        share, low, high = (f"{seen[name]:.0%}" for name in ("share", "low", "high"))
        told_alike = f"{seen['n_participants']} participants told alike"
        said.append(f"{share} [{low}, {high}] of {told_alike} were {positive}")
    return said


def _remarks(result: dict[str, Any]) -> list[str]:
    """Return how far a scan is from those of the training, and its quality."""
    said = []
    if result["distance"] is not None:
        said.append(f"distance {result['distance']:.2f} (limit 1)")
    quality = result["quality"]
    reasons = [text.removeprefix(f"{result['path']}: ") for text in quality["reasons"]]
    return [*said, ": ".join(filter(None, [quality["verdict"], "; ".join(reasons)]))]
