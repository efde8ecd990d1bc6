"""What is done with the scans of requests, by the process that reads and answers them.

One question is asked of a folder of received files: what the model says of them, how
one of its scans looks, what the answer hangs on, or which scans of the training are
like it. Nothing that goes back holds a path,
a name or anything from a header: scans are numbered, and so are the people on them.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vit_dementia import DISCLAIMER
from vit_dementia.data.assembly import is_volume
from vit_dementia.data.images import read_slice
from vit_dementia.data.participants import Identity, identify
from vit_dementia.data.volumes import read_volume
from vit_dementia.errors import CheckpointError, VitDementiaError
from vit_dementia.inference.compute import Device
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.inference.predictor import Predictor
from vit_dementia.limits import ServingLimits
from vit_dementia.serving.alike import NOTHING, Offered, find_cases, told_of_cases
from vit_dementia.serving.received import nameless, scans_of
from vit_dementia.serving.shown import map_as_png, slice_as_png, volume_as_nifti
from vit_dementia.workflows.model_facts import facts_of

FORMAT = 1
"""of the answer to ``POST /v1/predict``"""

VIEW = "view"
"""file with a picture, in the folder of its job"""
NO_CASES = (
    "cases like this are not offered here; whoever starts the server offers them by "
    "--cases N"
)
PNG, NIFTI = "image/png", "application/x-nifti"
Question = Literal["predict", "view", "explain", "cases"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One question about one request.

    Attributes:
        folder: holds its files, named by their numbers.
        same_person: whether all scans are of one person, and answered together.
        scan: which one is shown, explained or compared, from 1.
    """

    question: Question
    folder: Path
    same_person: bool = False
    scan: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, for the process that does the work."""
        return {
            "question": self.question,
            "folder": str(self.folder),
            "same_person": self.same_person,
            "scan": self.scan,
        }

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Job:
        """Read what `to_dict` returned.

        >>> job = Job(question="view", folder=Path("a"))
        >>> Job.from_dict(job.to_dict()) == job
        True
        """
        return cls(
            question=told["question"],
            folder=Path(told["folder"]),
            same_person=told["same_person"],
            scan=told["scan"],
        )


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What becomes of a job.

    Attributes:
        status: as HTTP has it.
        body: JSON values; of a picture its facts.
        has_view: whether a picture stands beside the files of the job, as ``VIEW``.
    """

    status: int
    body: dict[str, Any]
    has_view: bool = False


def refusal(status: int, *faults: str) -> Reply:
    """Return the body that every fault has.

    >>> refusal(422, "no scan").body
    {'error': {'faults': ['no scan']}}
    """
    return Reply(status=status, body={"error": {"faults": list(faults)}})


@dataclass(eq=False)
class _Prepared:
    """A job with the scans that were found in its folder."""

    job: Job
    scans: list[Path]
    problems: dict[int, str]
    who: dict[str, Identity] = field(default_factory=dict)


class Work:
    """A model that answers jobs.

    Args:
        run: run folder, its model folder, or a cross-validation.
        device: where to compute.
        limits: of an archive.
        offered: what may be asked besides.
    """

    def __init__(
        self,
        run: Path,
        device: Device,
        limits: ServingLimits,
        offered: Offered = NOTHING,
    ) -> None:
        self.predictor = Predictor.load(run, device=device)
        self.facts = facts_of(self.predictor.model, run)
        self.facts["cases"] = offered.to_dict()
        self._device, self._limits = device, limits
        self._cases = find_cases(run, self.predictor.model, offered, device)

    @property
    def computes_on(self) -> str:
        """Return the kind of device that was chosen."""
        return str(self.predictor.fabric.device.type)

    def __call__(self, jobs: Sequence[Job]) -> list[Reply]:
        """Answer jobs in their order; all predictions in one go."""
        found = [self._prepare(job) for job in jobs]
        replies: list[Reply] = []
        asked = [
            one
            for one in found
            if isinstance(one, _Prepared) and one.job.question == "predict"
        ]
        told = iter(self._predict(asked))
        for one in found:
            if isinstance(one, Reply):
                replies.append(one)
            elif one.job.question == "predict":
                replies.append(next(told))
            else:
                replies.append(self._show(one))
        return replies

    def _prepare(self, job: Job) -> _Prepared | Reply:
        try:
            scans, problems = scans_of(job.folder, limits=self._limits.archive)
        except VitDementiaError as error:
            return self._refused(job, error)
        if not scans and (job.question != "predict" or not problems):
            return refusal(422, *(problems.values() or ["holds no scan; needs one"]))
        if job.question != "predict" and job.scan > len(scans):
            return refusal(422, f"scan {job.scan}: there are {len(scans)}")
        made = _Prepared(job, scans, problems)
        made.who = _people(made)
        return made

    def _predict(self, asked: list[_Prepared]) -> list[Reply]:
        scans = [scan for one in asked for scan in one.scans]
        who = {path: person for one in asked for path, person in one.who.items()}
        try:
            answer = self.predictor(scans, who=who)
        except VitDementiaError as error:
            if len(asked) == 1:
                return [self._refused(asked[0].job, error)]
            return [self._predict([one])[0] for one in asked]
        document = answer.to_dict()
        return [Reply(status=200, body=_body(document, one)) for one in asked]

    def _show(self, one: _Prepared) -> Reply:
        try:
            if one.job.question == "view":
                return _view(one.scans[one.job.scan - 1], one.job.folder)
            return (
                self._explain(one) if one.job.question == "explain" else self._like(one)
            )
        except VitDementiaError as error:
            return self._refused(one.job, error)

    def _explain(self, one: _Prepared) -> Reply:
        from vit_dementia.workflows.explain import Asked, explain_scans

        model = self.predictor.model
        if not isinstance(model, SavedModel):
            raise CheckpointError(
                "explain: this is a cross-validation of several models; serve one fold "
                "to see what its answers hang on"
            )
        scan = one.scans[one.job.scan - 1]
        (found,) = explain_scans(
            model, [scan], Asked(), device=self._device, who=one.who
        )
        if isinstance(found, VitDementiaError):
            raise found
        if found.relevance is None:
            kind, picture = PNG, map_as_png(found.views[0].relevance)
        else:
            kind, picture = NIFTI, volume_as_nifti(found.relevance)
        return Reply(
            status=200,
            body={
                "format": FORMAT,
                "class": found.label,
                "method": found.method,
                "faithful": found.faithfulness.is_faithful,
                "sentence": found.sentence(),
                "media_type": kind,
                "map": base64.b64encode(picture).decode("ascii"),
                "disclaimer": DISCLAIMER,
            },
        )

    def _like(self, one: _Prepared) -> Reply:
        model = self.predictor.model
        if self._cases is None or not isinstance(model, SavedModel):
            return refusal(404, NO_CASES)
        scan = one.scans[one.job.scan - 1]
        body = told_of_cases(self._cases, model, scan, self._device)
        return Reply(status=200, body=body)

    @staticmethod
    def _refused(job: Job, error: VitDementiaError) -> Reply:
        return refusal(422, *(nameless(fault, job.folder) for fault in error.faults))


def _view(scan: Path, folder: Path) -> Reply:
    """Write how a scan was read beside it, for the page to show."""
    if is_volume(scan.name):
        kind, content = NIFTI, volume_as_nifti(read_volume(scan))
    else:
        kind, content = PNG, slice_as_png(read_slice(scan)[0])
    (folder / VIEW).write_bytes(content)
    return Reply(status=200, body={"media_type": kind}, has_view=True)


def _people(made: _Prepared) -> dict[str, Identity]:
    """Return who is on each scan, under names that hold for this request alone."""
    if made.job.same_person:
        ids = ["1"] * len(made.scans)
    else:
        salt = secrets.token_bytes(32)
        headers = _in_headers(made.scans, salt)
        named = [
            headers.get(str(scan)) or identify(str(scan.relative_to(made.job.folder)))
            for scan in made.scans
        ]
        number = dict[str, str]()
        for one in named:
            if one.source != "unknown":
                number.setdefault(one.participant_id, str(len(number) + 1))
        ids = [number.get(one.participant_id, "") for one in named]
    # The folder is of this request only, so that two requests never share a person.
    return {
        str(scan): Identity(participant_id=f"{made.job.folder.name}/{one}")
        if one
        else Identity()
        for scan, one in zip(made.scans, ids, strict=True)
    }


def _in_headers(scans: Sequence[Path], salt: bytes) -> dict[str, Identity]:
    from vit_dementia.data.dicom import identity_in, is_dicom

    found = {}
    for scan in scans:
        if scan.is_dir() or is_dicom(scan):
            who = identity_in(scan, salt)
            if who is not None and who.participant_id != Identity().participant_id:
                found[str(scan)] = who
    return found


def _body(document: dict[str, Any], one: _Prepared) -> dict[str, Any]:
    """Return what a request is told of a document that answers several."""
    folder, place = one.job.folder, {str(s): n for n, s in enumerate(one.scans, 1)}
    results = []
    for result in document["results"]:
        if result["path"] not in place:
            continue
        quality = result["quality"]
        reasons = [nameless(text, folder) for text in quality["reasons"]]
        number, who = place[result["path"]], result["participant_id"]
        told = {"scan": number, "participant": _number(who)}
        rest = {k: v for k, v in result.items() if k not in ("path", "participant_id")}
        results.append(told | rest | {"quality": {**quality, "reasons": reasons}})
    results.sort(key=lambda told: told["scan"])
    for number, cause in enumerate(one.problems.values(), len(one.scans) + 1):
        quality = {"verdict": "refused", "reasons": [cause]}
        results.append(
            {
                "scan": number,
                "participant": None,
                "probabilities": None,
                "predicted": None,
                "abstained": True,
                "early": None,
                "set": None,
                "observed": None,
                "distance": None,
                "slice_weights": None,
                "quality": quality,
            }
        )
    mine = f"{folder.name}/"
    people = [
        {"participant": _number(person["participant_id"])}
        | {k: v for k, v in person.items() if k != "participant_id"}
        for person in document["participants"]
        if person["participant_id"].startswith(mine)
    ]
    return {
        "format": FORMAT,
        "model": document["model"],
        "results": results,
        "participants": people,
        "disclaimer": document["disclaimer"],
    }


def _number(participant_id: str | None) -> int | None:
    return None if participant_id is None else int(participant_id.rpartition("/")[2])
