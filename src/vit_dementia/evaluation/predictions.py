"""What a model said about each scan: one table, and the same pooled by participant.

``predictions.tsv`` holds one row per scan: ``participant_id, session_id, path, label,
p_<class>…, predicted, abstained``; whatever is unknown is ``n/a``. Of a model that
weighs slices, ``pooling_weight`` says how much a row counts in its visit; without it
all rows count the same. A table of any other tool can be read too: only ``label`` and
the columns ``p_<class>`` are needed.

Shapes: n rows, k classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from vit_dementia.errors import ManifestError
from vit_dementia.evaluation.slice_weights import weighted_means
from vit_dementia.files import read_regular, replacing
from vit_dementia.limits import LIMITS
from vit_dementia.spreadsheets import is_formula, shown_path

UNKNOWN = "n/a"  # BIDS: how a table says that a value is not known
WEIGHT = "pooling_weight"  # name of a column
_NAMES = ("participant_id", "session_id", "path")
_FLAGS = {"true": True, "false": False}
_SUM_TOLERANCE = 1e-3  # probabilities rounded to three digits still pass


@dataclass(frozen=True)
class Predictions:
    """Class probabilities of scans, or of participants once pooled."""

    classes: tuple[str, ...]
    table: pd.DataFrame

    @classmethod
    def from_arrays(
        cls,
        classes: Sequence[str],
        *,
        participant_ids: Sequence[str],
        session_ids: Sequence[str],
        paths: Sequence[str],
        labels: Sequence[str],
        probabilities: Float[np.ndarray, "n k"],
        abstained: Sequence[bool] | None = None,
        weights: Float[np.ndarray, " n"] | None = None,
    ) -> Predictions:
        """Make the table; the class predicted is the most probable (ties: the first).

        Args:
            classes: in the order of the probabilities.
            participant_ids: of each row; ``n/a`` where nobody knows.
            session_ids: likewise.
            paths: of the scans.
            labels: among the classes, or ``n/a``.
            probabilities: of each class.
            abstained: whether an answer is none.
            weights: of each row in its visit; None: all the same.

        >>> one = Predictions.from_arrays(
        ...     ["CN", "AD"], participant_ids=["sub-1"], session_ids=["n/a"],
        ...     paths=["a.png"], labels=["AD"], probabilities=np.array([[0.3, 0.7]]),
        ... )
        >>> one.table.predicted.tolist()
        ['AD']
        """
        classes = tuple(classes)
        n, k = probabilities.shape
        if k != len(classes) or len(set(classes)) != k:
            raise ValueError(f"{k} columns of probabilities for the classes {classes}")
        _check_probabilities(probabilities)
        strange = sorted(set(labels) - {*classes, UNKNOWN})
        if strange:
            raise ValueError(f"labels {strange} are not among the classes {classes}")
        columns: dict[str, Sequence[object]] = {
            "participant_id": list(participant_ids),
            "session_id": list(session_ids),
            "path": list(paths),
            "label": list(labels),
            **{_column(c): [*probabilities[:, i]] for i, c in enumerate(classes)},
            "predicted": [classes[i] for i in probabilities.argmax(axis=1)],
            "abstained": [False] * n if abstained is None else list(abstained),
            **({} if weights is None else {WEIGHT: [*weights]}),
        }
        if weights is not None and not _are_weights(weights):
            raise ValueError("weights must be finite and above 0")
        wrong = [name for name, values in columns.items() if len(values) != n]
        if wrong:
            raise ValueError(f"{n} rows of probabilities, but not of {wrong}")
        return cls(classes, pd.DataFrame(columns))

    @property
    def probabilities(self) -> Float[np.ndarray, "n k"]:
        """Return the class probabilities, columns in the order of ``classes``."""
        columns = [_column(name) for name in self.classes]
        return self.table[columns].to_numpy(dtype=np.float64)

    @property
    def labels(self) -> Int[np.ndarray, " n"]:
        """Return indices into ``classes``; -1 where the label is not known."""
        index_of = {name: i for i, name in enumerate(self.classes)}
        return np.array([index_of.get(name, -1) for name in self.table.label], int)

    @property
    def participants_known(self) -> bool:
        """Say whether every row names its participant."""
        return not bool((self.table.participant_id == UNKNOWN).any())

    @property
    def sessions_known(self) -> bool:
        """Say whether every row names its participant and its visit."""
        sessions = not bool((self.table.session_id == UNKNOWN).any())
        return self.participants_known and sessions

    @property
    def weights(self) -> Float[np.ndarray, " n"] | None:
        """Return how much each row counts in its visit; None: all count the same."""
        return self.table[WEIGHT].to_numpy(float) if WEIGHT in self.table else None

    def labeled(self) -> Predictions:
        """Return the rows whose label is known."""
        return self.where(self.labels >= 0)

    def where(self, rows: np.ndarray) -> Predictions:
        """Return the rows that a mask or a list of positions picks, in that order."""
        positions = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Predictions(
            self.classes, self.table.iloc[positions].reset_index(drop=True)
        )

    def by_participant(self) -> Predictions:
        """Pool each participant's rows by their mean probability, in order of id.

        Where rows have weights it is the mean by these: they sum to 1 in a visit, so
        that visits count the same.

        The column ``num_scans`` counts the rows pooled. A participant whose rows carry
        different labels (a converter) gets the label ``n/a``: no single label is true.

        Raises:
            ValueError: if some participants are not known.
        """
        if not self.participants_known:
            raise ValueError("rows without participant_id cannot be pooled")
        return self._pooled(["participant_id"])

    def by_session(self) -> Predictions:
        """Pool the rows of each visit; otherwise as ``by_participant``.

        Raises:
            ValueError: if some participants or sessions are not known.
        """
        if not self.sessions_known:
            raise ValueError("rows without session_id cannot be pooled by session")
        return self._pooled(["participant_id", "session_id"])

    def _pooled(self, keys: list[str]) -> Predictions:
        groups = self.table.groupby(keys, sort=True)
        first = groups[["participant_id", "session_id", "label"]].first()
        alone = groups[["session_id", "label"]].nunique() == 1
        told = groups[[_column(name) for name in self.classes]]
        # Three times 0.7 has a mean just below 0.7, which would break ties of people.
        least, most = told.min(), told.max()
        mean = told.mean().where(least < most, least).to_numpy(dtype=np.float64)
        if self.weights is not None:
            group = groups.ngroup().to_numpy()
            mean = weighted_means(self.probabilities, self.weights, group)
        pooled = Predictions.from_arrays(
            self.classes,
            participant_ids=first.participant_id.tolist(),
            session_ids=first.session_id.where(alone.session_id, UNKNOWN).tolist(),
            paths=[UNKNOWN] * len(first),
            labels=first.label.where(alone.label, UNKNOWN).tolist(),
            probabilities=mean,
            abstained=groups.abstained.all().tolist(),
        )
        pooled.table["num_scans"] = groups.size().to_numpy()
        return pooled

    def write(self, path: Path) -> None:
        """Write the table as TSV; every digit of a probability is kept."""
        flags = self.table.abstained.map({True: "true", False: "false"})
        with replacing(path) as aside:
            self.table.assign(
                abstained=flags, path=[*map(shown_path, self.table.path)]
            ).to_csv(aside, sep="\t", index=False, lineterminator="\n")

    @classmethod
    def read(cls, path: Path, classes: Sequence[str] | None = None) -> Predictions:
        """Read a table written by ``write`` or by another tool.

        Args:
            path: the TSV file.
            classes: the order wanted; by default that of the columns ``p_<class>``.

        Raises:
            ManifestError: with every fault found.
        """
        table = _read_strings(path)
        found = tuple(name[2:] for name in table.columns if name.startswith("p_"))
        classes = found if classes is None else tuple(classes)
        _check_columns(path, table, found, classes)
        columns = [_column(name) for name in classes]
        numbers = table[columns].apply(pd.to_numeric, errors="coerce").to_numpy(float)
        absent = pd.Series([UNKNOWN] * len(table), dtype=object)
        faults = _faults(path, table, numbers, classes)
        if faults:
            raise ManifestError.of(faults)
        flags = table.get("abstained", pd.Series(["false"] * len(table)))
        weights = table[WEIGHT].astype(float).to_numpy() if WEIGHT in table else None
        read = cls.from_arrays(
            classes,
            **{f"{n}s": table.get(n, absent).tolist() for n in _NAMES},
            labels=table.label.tolist(),
            probabilities=numbers,
            abstained=[_FLAGS[str(flag).lower()] for flag in flags],
            weights=weights,
        )
        if "predicted" in table:  # kept: an operating point may differ from the largest
            read.table["predicted"] = table.predicted.to_numpy()
        if "num_scans" in table:
            read.table["num_scans"] = table.num_scans.astype(int).to_numpy()
        return read


def _column(name: str) -> str:
    return f"p_{name}"


def _are_weights(weights: Float[np.ndarray, " n"]) -> bool:
    return bool((np.isfinite(weights) & (weights > 0)).all())


def _check_probabilities(probabilities: Float[np.ndarray, "n k"]) -> None:
    inside = (probabilities >= 0) & (probabilities <= 1)  # False for NaN
    sums = np.abs(probabilities.sum(axis=1) - 1) <= _SUM_TOLERANCE
    if not (inside.all() and sums.all()):
        raise ValueError("probabilities must lie in [0, 1] and sum to 1 in each row")


def _read_strings(path: Path) -> pd.DataFrame:
    try:
        content = BytesIO(read_regular(path, most_bytes=LIMITS.table_bytes))
        table = pd.read_csv(content, sep="\t", dtype=str, keep_default_na=False)
    except (OSError, ValueError) as cause:  # ValueError: empty, ragged, not UTF-8
        raise ManifestError(f"{path}: cannot be read as TSV ({cause})") from cause
    # Cells too many at the front are, to pandas, names of rows.
    if not isinstance(table.index, pd.RangeIndex):
        raise ManifestError(f"{path}: its rows have more cells than its header")
    return table


def _check_columns(
    path: Path, table: pd.DataFrame, found: tuple[str, ...], classes: tuple[str, ...]
) -> None:
    faults = []
    if "label" not in table:
        faults.append(f"{path}: no column label; say n/a where it is unknown")
    if len(found) < 2 or set(found) != set(classes):
        faults.append(
            f"{path}: probabilities of the classes {list(found)} found; one column "
            f"p_<class> for each of {list(classes) or 'two or more classes'} is needed"
        )
    faults += [
        f"{path}: the class {name!r} would be computed by a spreadsheet; rename it"
        for name in classes
        if is_formula(name)
    ]
    if table.empty:
        faults.append(f"{path}: no rows; at least one prediction is needed")
    if faults:
        raise ManifestError.of(faults)


def _faults(
    path: Path, table: pd.DataFrame, numbers: np.ndarray, classes: tuple[str, ...]
) -> list[str]:
    """Say everything that is wrong in the rows: file, line and column."""
    faults = []
    for row in range(len(table)):
        where = f"{path}: line {row + 2}"  # line 1 holds the names
        try:
            _check_probabilities(numbers[row : row + 1])
        except ValueError as cause:
            faults.append(f"{where}, columns p_…: {cause}")
        for column in ("label", "predicted"):
            if column in table and table[column][row] not in (*classes, UNKNOWN):
                value = table[column][row]
                faults.append(f"{where}, column {column}: {value!r} is not a class")
        if "abstained" in table and table.abstained[row].lower() not in _FLAGS:
            faults.append(f"{where}, column abstained: must be true or false")
        if "num_scans" in table and not table.num_scans[row].isdigit():
            faults.append(f"{where}, column num_scans: must be a whole number")
    if WEIGHT in table:
        given = pd.to_numeric(table[WEIGHT], errors="coerce").to_numpy(float)
        faults += [
            f"{path}: line {row + 2}, column {WEIGHT}: {table[WEIGHT][row]!r} is no "
            "number above 0"
            for row in range(len(table))
            if not _are_weights(given[row : row + 1])
        ]
    if "path" in table:
        known = table.path[table.path != UNKNOWN]
        twice = known.index[known.duplicated()]
        faults += [f"{path}: line {row + 2}, column path: twice" for row in twice]
    return faults
