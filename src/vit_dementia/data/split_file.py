"""``split.json``: a split that was drawn once and from then on is only read.

Shapes: n scans.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from vit_dementia import files
from vit_dementia.data.cohort import Cohort, Unit
from vit_dementia.errors import ManifestError

FORMAT = 1
PARTS = ("train", "val", "test")
_UNITS: Mapping[str, Unit] = {"participant": "participant", "image": "image"}


@dataclass(frozen=True)
class Fold:
    """Ids of the units in each part, sorted."""

    train: tuple[str, ...]
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


@dataclass(frozen=True)
class Split:
    """One or more folds of one cohort.

    Attributes:
        unit: what is never divided: participant, or image where nobody knows better.
        seed: of the draw.
        folds: one for a holdout.
        cohort: the fingerprint of the cohort that was split.
    """

    unit: Unit
    seed: int
    folds: tuple[Fold, ...]
    cohort: str

    def write(self, path: Path) -> None:
        """Write ``split.json``; it holds ids and no path."""
        content = self._content()
        files.write_json(path, {**content, "hash": files.fingerprint(content)})

    @classmethod
    def read(cls, path: Path, cohort: Cohort) -> Split:
        """Read a split of this very cohort, as `write` has written it.

        Raises:
            ManifestError: if the file is damaged, was changed by hand or belongs to
                another cohort.
        """
        content = files.read_json(path, ManifestError)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ManifestError(f"{path}: a split of format {FORMAT} is needed")
        told = content.pop("hash", None)
        split = cls._from_content(content, path)
        if split._content() != content or files.fingerprint(content) != told:
            raise ManifestError(
                f"{path}: was changed after it was written (its hash is another); "
                "make it anew by vit-dementia split"
            )
        if split.cohort != cohort.fingerprint:
            raise ManifestError(
                f"{path}: belongs to another cohort (other scans, participants or "
                f"labels than in {cohort.root}); make it anew by vit-dementia split"
            )
        known = set(cohort.unit_ids(split.unit))
        for number, fold in enumerate(split.folds, start=1):
            ids = [*fold.train, *fold.val, *fold.test]
            if len(set(ids)) < len(ids) or not known.issuperset(ids):
                raise ManifestError(
                    f"{path}: fold {number} has an id twice or one of nobody"
                )
        return split

    def notes(self, cohort: Cohort) -> tuple[str, ...]:
        """Say which classes are missing in a part, and what cannot be claimed."""
        folds_of: dict[tuple[str, str], list[str]] = {}
        tested: dict[str, Counter[str]] = {name: Counter() for name in cohort.classes}
        for number, fold in enumerate(self.folds, start=1):
            role_of_row = roles(cohort, fold)
            for part in PARTS:
                there = set(cohort.table["label"][role_of_row == part])
                for name in cohort.classes if there else ():
                    if name not in there:
                        folds_of.setdefault((name, part), []).append(str(number))
            for name, num in _num_of(cohort, self.unit, role_of_row == "test").items():
                tested[name][f"{num}"] += 1
        which = ", in fold {}" if len(self.folds) > 1 else ""
        missing = [
            f"no {self.unit} of class {name!r} in {part}{which}".format(" ".join(folds))
            for (name, part), folds in sorted(folds_of.items())
        ]
        return (*missing, *self._unclaimable(cohort, tested))

    def _unclaimable(
        self, cohort: Cohort, tested: Mapping[str, Counter[str]]
    ) -> list[str]:
        """Say of which classes too few are tested to claim anything."""
        everybody = np.ones(len(cohort), dtype=bool)
        num_of = _num_of(cohort, self.unit, everybody)
        said = []
        for name in num_of:
            num_tested = tested[name].total()
            if num_of[name] == 1:
                said.append(
                    f"class {name!r} has one {self.unit}: its scores are undefined, "
                    "and nothing can be claimed about it"
                )
            elif 0 < num_tested < len(self.folds):
                said.append(
                    f"class {name!r} has {num_of[name]} {self.unit}s for "
                    f"{len(self.folds)} folds and is tested in {num_tested}: nothing "
                    "can be claimed about it fold by fold"
                )
            elif tested[name]["1"]:
                said.append(
                    f"class {name!r} has one {self.unit} in test: its scores are "
                    "undefined there, and nothing can be claimed about it"
                )
        return said

    def _content(self) -> dict[str, Any]:
        folds = [
            {part: list(ids) for part, ids in asdict(fold).items()}
            for fold in self.folds
        ]
        return {
            "format": FORMAT,
            "unit": self.unit,
            "seed": self.seed,
            "cohort": self.cohort,
            "folds": folds,
        }

    @classmethod
    def _from_content(cls, content: Mapping[str, Any], path: Path) -> Split:
        try:
            folds = tuple(
                Fold(**{part: tuple(map(_text, fold[part])) for part in PARTS})
                for fold in content["folds"]
            )
            seed = int(content["seed"])
            return cls(_UNITS[content["unit"]], seed, folds, _text(content["cohort"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ManifestError(f"{path}: is not a split ({error!r})") from error


def roles(cohort: Cohort, fold: Fold) -> Shaped[np.ndarray, " n"]:
    """Return for each row ``train``, ``val`` or ``test``, or nothing if in no part.

    Scans that have left the cohort since the split was drawn are not missed.
    """
    role_of = {one: part for part in PARTS for one in getattr(fold, part)}
    ids = zip(cohort.table["participant_id"], cohort.unit_ids("image"), strict=True)
    found = [role_of.get(who) or role_of.get(image, "") for who, image in ids]
    return np.array(found, dtype="<U5")


def _num_of(
    cohort: Cohort, unit: Unit, chosen: Bool[np.ndarray, " n"]
) -> dict[str, int]:
    """Return how many units each class has among the chosen rows, if any."""
    ids = np.array(cohort.unit_ids(unit), dtype=object)
    labels = cohort.table["label"].to_numpy()
    return {
        name: num
        for name in cohort.classes
        if (num := len(set(ids[chosen & (labels == name)])))
    }


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
