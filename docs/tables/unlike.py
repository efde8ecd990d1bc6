"""Make ``unlike.tsv``: which scans ``predict`` refuses as unlike those of the training.

The two rates that belong together, by source of the training: how many scans of its
own held-out participants are refused, and how many pictures of other kinds. No network
is trained, since the likeness of a model is learned from its prepared training slices
alone (``preparation.likeness``); half of the participants train.

- ``phantoms``: made for the purpose, some of them once more with the gray values of
  other contrasts.
- ``slices FOLDER TABLE [OTHERS]``: pictures below FOLDER; TABLE has columns path and
  participant_id, or subject. Each folder in OTHERS holds pictures of a kind that its
  name says.

Run: ``make table unlike ARGS=phantoms``, and so on: each puts its rows in place of its
own. docs/how-to/predict.md gets the numbers. A minute each.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float32
from scipy.ndimage import gaussian_filter, rotate
from scipy.stats import binomtest
from sklearn.datasets import load_sample_images

from vit_dementia.benchmark.machine import provenance
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.images import read_slice
from vit_dementia.data.phantoms.atlas import load_atlas
from vit_dementia.data.phantoms.cohort import make_phantoms
from vit_dementia.data.phantoms.grids import slice_axes
from vit_dementia.data.phantoms.participants import draw_participant
from vit_dementia.data.phantoms.rendering import render
from vit_dementia.data.phantoms.settings import Appearance, Variation
from vit_dementia.files import write_text
from vit_dementia.preparation.likeness import Likeness
from vit_dementia.preparation.slices import SlicePreprocessing

TABLE = Path(__file__).with_suffix(".tsv")
PAGE = Path(__file__).parents[1] / "how-to" / "predict.md"
START, END = "<!-- unlike -->", "<!-- /unlike -->"
SEED = 0
HELD_OUT = "held out"
OTHER = "of other kinds, together"
OTHERS = 40  # pictures of each other kind
CONTRASTS = {  # of fluid, gray and white matter, to the white matter of T1
    "phantoms as T2 shows them": (1.0, 0.55, 0.4),
    "phantoms as proton density shows them": (0.95, 1.0, 0.8),
    "phantoms as FLAIR shows them": (0.05, 0.85, 0.7),
}
PARTICIPANTS, SLICES = 200, 6
PATCH = 16  # both sides of the prepared picture are multiples of it
Gray = Float32[np.ndarray, "h w"]


@dataclass(frozen=True)
class Source:
    """Scans of a training, who is on each, and pictures of other kinds, by kind."""

    scans: Sequence[tuple[Gray, str]]
    others: Mapping[str, Sequence[Gray]] = field(default_factory=dict)


def main() -> None:
    """Measure one source, and write table and page."""
    source, *words = sys.argv[1:]
    sources: dict[str, Callable[..., Source]] = {"phantoms": phantoms, "slices": slices}
    rng = np.random.default_rng(SEED)
    since = time.monotonic()
    new = pd.DataFrame(rows_of(sources[source](*words), rng))
    command = f'make table unlike ARGS="{source}{" ..." if words else ""}"'
    new = new.assign(source=source, **provenance(command, since=since))
    parts = [new]
    if TABLE.exists():
        old = pd.read_csv(TABLE, sep="\t", dtype={"commit": str})
        parts = [old[old.source == one] if one != source else new for one in sources]
    table = pd.concat(parts, ignore_index=True)
    write_text(TABLE, table.to_csv(sep="\t", index=False, lineterminator="\n"))
    before, rest = PAGE.read_text(encoding="utf-8").split(START)
    write_text(PAGE, f"{before}{START}\n{page_of(table)}{END}{rest.split(END)[1]}")


def phantoms() -> Source:
    """Return made slices, and those that other contrasts would show of more people."""
    numbers = range(PARTICIPANTS + 1, PARTICIPANTS + OTHERS + 1)
    others = {
        kind: [_phantom(number, gray) for number in numbers]
        for kind, gray in CONTRASTS.items()
    }
    return Source([(read_slice(p)[0], who) for p, who in _made()], others)


def _phantom(number: int, gray: tuple[float, ...]) -> Gray:
    """Return a slice of a participant whose tissues have other gray values."""
    who = draw_participant(
        number, classes=3, seed=SEED, variation=Variation(), appearance=Appearance()
    )
    who = replace(who, contrast=np.array(gray) * who.contrast[2])
    axes = slice_axes(slices=SLICES, whole_head=False)
    shown = render(who, load_atlas(), axes).intensity[:, :, number % SLICES]
    return np.round(np.clip(shown.T[::-1], 0, 1) * 255).astype(np.float32)


def _made() -> Iterator[tuple[Path, str]]:
    with tempfile.TemporaryDirectory() as folder:
        out = make_phantoms(
            Path(folder) / "data",
            participants=PARTICIPANTS,
            classes=3,
            slices=SLICES,
            seed=SEED,
        )
        cohort = Cohort.read(out)
        yield from zip(cohort.files(), cohort.table.participant_id, strict=True)


def slices(folder: str, listed: str, others: str = "") -> Source:
    """Return the pictures of a table, and those of the folders of other kinds."""
    separator = "\t" if listed.endswith(".tsv") else ","
    table = pd.read_csv(listed, sep=separator)
    people = table.get("participant_id", table.get("subject"))
    paths = map(Path(folder).joinpath, table.path)
    read = [(read_slice(p)[0], str(who)) for p, who in zip(paths, people, strict=True)]
    kinds = sorted(Path(others).iterdir()) if others else []
    return Source(read, {kind.name: _pictures(kind) for kind in kinds})


def _pictures(folder: Path) -> list[Gray]:
    found = sorted(folder.iterdir())
    return [read_slice(path)[0] for path in found[:: -(-len(found) // OTHERS)]]


def rows_of(source: Source, rng: np.random.Generator) -> list[dict[str, str | int]]:
    """Return how many scans of each kind are refused."""
    read = source.scans
    people = rng.permutation(sorted({who for _, who in read}))
    training = set(people[: len(people) // 2])
    height, width = read[0][0].shape
    prepare = SlicePreprocessing(size=(height // PATCH * PATCH, width // PATCH * PATCH))

    def prepared(pictures: Iterable[Gray]) -> np.ndarray:
        return np.stack(
            [prepare(np.asarray(one, np.float32)[None]) for one in pictures]
        )

    likeness = Likeness.of(
        prepared(one for one, who in read if who in training),
        np.array([who for _, who in read if who in training]),
    )
    held_out = [one for one, who in read if who not in training]
    whose = np.array([who for _, who in read if who not in training])
    some = held_out[:: max(1, len(held_out) // OTHERS)][:OTHERS]
    told: list[tuple[str, bool, Sequence[Gray]]] = [(HELD_OUT, False, held_out)]
    told += [
        (kind, changes is not WORSENED, [change(one) for one in some])
        for changes in (WORSENED, CHANGED)
        for kind, change in changes.items()
    ]
    told += [(kind, True, pictures) for kind, pictures in source.others.items()]
    drawn: list[tuple[str, Sequence[Gray]]] = [
        ("photograph, a part of it", [_part_of_a_photo(rng) for _ in range(OTHERS)]),
        ("chest, drawn as X-rays show it", [_chest(rng) for _ in range(OTHERS)]),
        ("noise", [rng.uniform(0, 255, (height, width)) for _ in range(OTHERS)]),
    ]
    told += [(kind, True, pictures) for kind, pictures in drawn]
    rows: list[dict[str, str | int]] = []
    for kind, other, pictures in told:
        refused = np.array(likeness.reasons(prepared(pictures))) != ""
        people_in = whose if kind == HELD_OUT else np.array([])
        rows.append(
            {
                "scans": kind,
                "other": int(other),
                "number": len(pictures),
                "refused": int(refused.sum()),
                "participants": len(set(people_in)),
                "participants_refused": len(set(people_in[refused[: len(people_in)]])),
                "trained_on": len(training),
            }
        )
    return rows


def _as_t2(gray: Gray) -> Gray:
    """Turn the contrast of the head around and leave the air dark."""
    head = gray > 0.08 * gray.max()
    return np.where(head, 1.1 * gray.max() - gray, 0).astype(np.float32)


WORSENED: dict[str, Callable[[Gray], Gray]] = {
    "half as bright": lambda gray: gray / 2,
    "blurred (2 pixels)": lambda gray: gaussian_filter(gray, 2),
    "turned by 10°": lambda gray: rotate(gray, 10, reshape=False, order=1),
}
CHANGED: dict[str, Callable[[Gray], Gray]] = {
    "turned by 90°": np.rot90,
    "upside down": np.flipud,
    "fluid bright, as in T2": _as_t2,
    "negative": lambda gray: gray.max() - gray,
}


def _part_of_a_photo(rng: np.random.Generator) -> Gray:
    photo = rng.choice(np.stack(load_sample_images().images)).mean(axis=2)
    side = int(rng.integers(150, min(photo.shape)))
    top, left = (int(rng.integers(0, whole - side + 1)) for whole in photo.shape)
    return photo[top : top + side, left : left + side].astype(np.float32)


def _chest(rng: np.random.Generator) -> Gray:
    rows, columns = np.mgrid[:256, :256] / 255.0
    gray = np.full((256, 256), rng.uniform(0.7, 0.9))
    for middle in (0.3, 0.7):  # lungs are dark
        away = ((columns - middle) / 0.13) ** 2 + ((rows - 0.5) / 0.28) ** 2
        gray -= 0.55 * np.exp(-(away**1.5))
    gray += 0.03 * np.sin(60 * rows) + rng.normal(0, 0.02, gray.shape)  # ribs, noise
    return (255 * gray.clip(0, 1)).astype(np.float32)


def page_of(table: pd.DataFrame) -> str:
    """Return what the page says: of every kind, how many of each source are refused."""
    mine = table[table.other == 1].groupby("source", sort=False)
    sums = mine[["number", "refused"]].sum().reset_index()
    table = pd.concat([table, sums.assign(scans=OTHER, other=1, participants=0)])
    kinds = list(
        dict.fromkeys(
            [HELD_OUT, OTHER, *table.sort_values("other", kind="stable").scans]
        )
    )
    sources = list(dict.fromkeys(table.source))
    lines = [
        "| scans | "
        + " | ".join(f"trained on {one}: refused" for one in sources)
        + " |",
        "| --- |" + " ---: |" * len(sources),
    ]
    for kind in kinds:
        cells = [
            _share(table[(table.scans == kind) & (table.source == s)]) for s in sources
        ]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _share(rows: pd.DataFrame) -> str:
    if not len(rows):
        return "-"
    (row,) = rows.itertuples()
    if not row.participants:
        return _with_interval(row.refused, row.number)
    people = _with_interval(int(row.participants_refused), int(row.participants))
    return f"{row.refused} of {row.number}; of people {people}"


def _with_interval(some: int, of_all: int) -> str:
    """Return a share beside Wilson's 95 % interval."""
    interval = binomtest(some, of_all).proportion_ci(method="wilson")
    low, high = (f"{100 * edge:.1f}" for edge in (interval.low, interval.high))
    return f"{some} of {of_all} ({low} to {high} %)"


if __name__ == "__main__":
    main()
