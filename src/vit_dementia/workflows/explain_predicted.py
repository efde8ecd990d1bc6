"""Maps beside the answers of ``predict``, and where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vit_dementia.data.classes import UNKNOWN
from vit_dementia.data.named import AS_NAMED, Places
from vit_dementia.data.participants import Identity
from vit_dementia.errors import ConfigError
from vit_dementia.inference.compute import Device
from vit_dementia.inference.folds import SavedFolds
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.progress import Watch
from vit_dementia.workflows.explain import Asked, explain_scans
from vit_dementia.workflows.explain_files import write_explanations
from vit_dementia.workflows.explain_kept import KeptMaps

FOLDER = "maps"
_OF_SCAN = ("class", "faithful", "reasons", "outside_head", "picture", "volume")
_OF_PERSON = ("class", "num_scans", "num_faithful", "picture", "volume")


def one_model(model: SavedModel | SavedFolds) -> SavedModel:
    """Return a model that answers alone.

    Raises:
        ConfigError: if several models answer together.
    """
    if isinstance(model, SavedFolds):
        raise ConfigError(
            "--explain: found a cross-validation, whose models answer together; needs "
            "one model; name one of its folds, such as RUN/folds/0"
        )
    return model


def with_maps(
    document: dict[str, Any],
    model: SavedModel,
    out: Path,
    *,
    device: Device = "auto",
    watch: Watch | None = None,
    places: Places = AS_NAMED,
) -> dict[str, Any]:
    """Write OUT/maps and return the document of ``predict`` that names what is there.

    Maps that stand there already, of the same scan and class, are not made again.

    What is explained of each scan is the class told of its participant, or its own
    where nobody is known. ``explanation`` of a participant is that of their scan, or
    the mean of several; None: several volumes do not lie alike.

    Args:
        document: what ``Answer.to_dict`` returned.
        model: that answered.
        out: folder of the answers.
        device: where to compute.
        watch: who is told of the progress.
        places: where scans lie that are named by their place in an archive.
    """
    of_person = {p["participant_id"]: p["predicted"] for p in document["participants"]}
    answered = [one for one in document["results"] if one["probabilities"]]
    label_of = {
        one["path"]: of_person.get(one["participant_id"], one["predicted"])
        for one in answered
    }
    who = {
        one["path"]: Identity(participant_id=one["participant_id"] or UNKNOWN)
        for one in answered
    }
    asked = Asked()
    kept = KeptMaps(out / FOLDER, model, asked, device=device, places=places)
    held = {
        path
        for number, (path, label) in enumerate(label_of.items(), 1)
        if kept.holds(number, path, label)
    }
    answers = explain_scans(
        model,
        [path for path in label_of if path not in held],
        asked,
        device=device,
        who=who,
        label_of=label_of,
        watch=watch,
        places=places,
    )
    in_order = (
        kept.get(number, path, who[path].participant_id)
        if path in held
        else next(answers)
        for number, path in enumerate(label_of, 1)
    )
    told = write_explanations(out / FOLDER, model, asked, in_order, kept=kept)
    scans = {one["path"]: _named(one, _OF_SCAN, told) for one in told["results"]}
    alone = [
        one | {"num_scans": 1, "num_faithful": int(one["faithful"])}
        for one in told["results"]
    ]
    people = {
        one["participant_id"]: _named(one, _OF_PERSON, told)
        for one in (*alone, *told["participants"])  # a mean replaces its scans
    }
    return document | {
        "results": [
            one | {"explanation": scans.get(one["path"])} for one in document["results"]
        ],
        "participants": [
            one | {"explanation": _fitting(people, one)}
            for one in document["participants"]
        ],
    }


def _fitting(
    people: dict[str, dict[str, Any]], person: dict[str, Any]
) -> dict[str, Any] | None:
    """Return what was made of all scans of a participant; None if of some."""
    said = people.get(person["participant_id"])
    is_whole = said is not None and said["num_scans"] == person["num_scans"]
    return said if is_whole else None


def _named(
    row: dict[str, Any], names: tuple[str, ...], told: dict[str, Any]
) -> dict[str, Any]:
    """Return what is said of a map, its files as they are found from ``--out``."""
    said = {"method": told["method"]} | {name: row[name] for name in names}
    for kind in ("picture", "volume"):
        said[kind] = f"{FOLDER}/{row[kind]}" if row[kind] else None
    return said
