"""Make ``unlike.tsv``: which scans ``predict`` refuses as unlike those of the training.

The two rates that belong together, by source of the training: how many scans of its
own held-out participants are refused, and how many pictures of other kinds. No network
is trained, since the likeness of a model is learned from its prepared training slices
alone (``preparation.likeness``); half of the participants train.

- ``phantoms``: made for the purpose.
- ``slices FOLDER TABLE``: pictures below FOLDER; TABLE has columns path and
  participant_id, or subject.

Run: ``make table unlike ARGS=phantoms``, and so on: each puts its rows in place of its
own. docs/how-to/predict.md gets the numbers. A minute each.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float32
from scipy.ndimage import gaussian_filter, rotate
from scipy.stats import binomtest
from sklearn.datasets import load_sample_images

from vit_dementia.data.cohort import Cohort
from vit_dementia.data.images import read_slice
from vit_dementia.data.phantoms.cohort import make_phantoms
from vit_dementia.files import write_text
from vit_dementia.preparation.likeness import Likeness
from vit_dementia.preparation.slices import SlicePreprocessing

TABLE = Path(__file__).with_suffix(".tsv")
PAGE = Path(__file__).parents[1] / "how-to" / "predict.md"
START, END = "<!-- unlike -->", "<!-- /unlike -->"
SEED = 0
HELD_OUT = "held out"
OTHERS = 40  # pictures of each other kind
PARTICIPANTS, SLICES = 200, 6
PATCH = 16  # both sides of the prepared picture are multiples of it
Gray = Float32[np.ndarray, "h w"]


def main() -> None:
    """Measure one source, and write table and page."""
    source, *words = sys.argv[1:]
    sources: dict[str, Callable[..., Iterator[tuple[Path, str]]]] = {
        "phantoms": phantoms,
        "slices": slices,
    }
    scans = [(read_slice(path)[0], who) for path, who in sources[source](*words)]
    rng = np.random.default_rng(SEED)
    new = pd.DataFrame(rows_of(scans, rng))
    new = new.assign(source=source, commit=_commit(), date=f"{datetime.now(UTC):%F}")
    parts = [new]
    if TABLE.exists():
        old = pd.read_csv(TABLE, sep="\t", dtype={"commit": str})
        parts = [old[old.source == one] if one != source else new for one in sources]
    table = pd.concat(parts, ignore_index=True)
    write_text(TABLE, table.to_csv(sep="\t", index=False, lineterminator="\n"))
    before, rest = PAGE.read_text(encoding="utf-8").split(START)
    write_text(PAGE, f"{before}{START}\n{page_of(table)}{END}{rest.split(END)[1]}")


def phantoms() -> Iterator[tuple[Path, str]]:
    """Yield made slices, and who is on each."""
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


def slices(folder: str, listed: str) -> Iterator[tuple[Path, str]]:
    """Yield the pictures of a table, and who is on each."""
    separator = "\t" if listed.endswith(".tsv") else ","
    table = pd.read_csv(listed, sep=separator)
    people = table.get("participant_id", table.get("subject"))
    yield from zip(map(Path(folder).joinpath, table.path), people, strict=True)


def rows_of(
    read: Sequence[tuple[Gray, str]], rng: np.random.Generator
) -> list[dict[str, str | int]]:
    """Return how many scans of each kind are refused."""
    people = rng.permutation(sorted({who for _, who in read}))
    training = set(people[: len(people) // 2])
    height, width = read[0][0].shape
    prepare = SlicePreprocessing(size=(height // PATCH * PATCH, width // PATCH * PATCH))

    def prepared(pictures: Iterable[Gray]) -> np.ndarray:
        return np.stack(
            [prepare(np.asarray(one, np.float32)[None]) for one in pictures]
        )

    likeness = Likeness.of(prepared(one for one, who in read if who in training))
    held_out = [one for one, who in read if who not in training]
    whose = np.array([who for _, who in read if who not in training])
    some = held_out[:: max(1, len(held_out) // OTHERS)][:OTHERS]
    told = [(HELD_OUT, held_out)]
    told += [(kind, [change(one) for one in some]) for kind, change in CHANGED.items()]
    told += [
        ("photograph, a part of it", [_part_of_a_photo(rng) for _ in range(OTHERS)]),
        ("chest, drawn as X-rays show it", [_chest(rng) for _ in range(OTHERS)]),
        ("noise", [rng.uniform(0, 255, (height, width)) for _ in range(OTHERS)]),
    ]
    rows: list[dict[str, str | int]] = []
    for kind, pictures in told:
        refused = np.array(likeness.reasons(prepared(pictures))) != ""
        people_in = whose if kind == HELD_OUT else np.array([])
        rows.append(
            {
                "scans": kind,
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


CHANGED: dict[str, Callable[[Gray], Gray]] = {
    "half as bright": lambda gray: gray / 2,
    "blurred (2 pixels)": lambda gray: gaussian_filter(gray, 2),
    "turned by 10°": lambda gray: rotate(gray, 10, reshape=False, order=1),
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
    kinds = list(dict.fromkeys(table.scans))
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
    (row,) = rows.itertuples()
    told = f"{row.refused} of {row.number}"
    if not row.participants:
        return told
    few, all_of_them = row.participants_refused, row.participants
    high = binomtest(few, all_of_them).proportion_ci(method="wilson").high
    people = f"{few} of {all_of_them} people (95 %: at most {100 * high:.1f} %)"
    return f"{told}; {people}"


def _commit() -> str:
    words = ["git", "rev-parse", "--short=12", "HEAD"]
    return subprocess.run(
        words, check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    main()
