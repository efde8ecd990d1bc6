"""Make ``quality.tsv``: what quality control says of scans known to be good or bad.

The limits were chosen by looking at these scans: the rates are those of development.

- ``registered BIDS``: volumes that others registered, judged by ``vit-dementia prepare
  --pipeline none``. Each whose correlation with the voxelwise median of all is below
  ``BAD`` has a row; it should warn or fail, the others should not fail. Some of the
  others are also spoilt in known ways, and should fail.
- ``phantoms``: made-up heads, whole and spoilt, laid on the template by ``fast``.
- ``scans PATH=VERDICT ...``: files and DICOM folders as scanners give them, likewise;
  the verdict is ``usable``, ``warn`` or ``fail``.

Run: ``make table quality ARGS="registered BIDS"``, and so on, in any order: each puts
its rows in place of its own. docs/how-to/prepare.md gets the numbers. Minutes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from jaxtyping import Float, Float32

from vit_dementia.benchmark.machine import provenance
from vit_dementia.data.bids import list_bids
from vit_dementia.data.phantoms.cohort import make_phantoms
from vit_dementia.data.volumes import Volume, read_volume
from vit_dementia.files import write_text
from vit_dementia.preparation.checked import prepare_checked
from vit_dementia.preparation.pipeline import Name, Pipeline
from vit_dementia.quality.verdict import Quality

TABLE = Path(__file__).with_suffix(".tsv")
PAGE = Path(__file__).parents[1] / "how-to" / "prepare.md"
START, END = "<!-- quality -->", "<!-- /quality -->"
WORK = Path("runs/table-quality")
BAD = 0.87  # correlation with the voxelwise median below which scans are badly laid
EVERY = 34  # of the registered scans, every so manieth is spoilt
COMMANDS = {
    group: f'make table quality ARGS="{words}"'
    for group, words in (
        ("registered", "registered BIDS"),
        ("phantoms", "phantoms"),
        ("scans", "scans PATH=VERDICT..."),
    )
}
VERDICTS = ("pass", "warn", "fail")
ENOUGH = {"usable": {"pass", "warn"}, "warn": {"warn"}, "fail": {"fail"}}
ENOUGH["warn or fail"] = {"warn", "fail"}
Voxels = Float32[np.ndarray, "x y z"]
Row = dict[str, str | int]


def main() -> None:
    """Measure the rows of one group, and write table and page."""
    groups: dict[str, Callable[..., Iterator[Row]]] = {
        "registered": registered,
        "phantoms": phantoms,
        "scans": scans,
    }
    group, *words = sys.argv[1:]
    since = time.monotonic()
    new = pd.DataFrame(list(groups[group](*words))).assign(group=group)
    new = new.assign(**provenance(COMMANDS[group], since=since))
    parts = [new]
    if TABLE.exists():
        old = pd.read_csv(TABLE, sep="\t", keep_default_na=False)
        parts = [old[old.group == one] if one != group else new for one in groups]
    table = pd.concat(parts, ignore_index=True)
    write_text(TABLE, table.to_csv(sep="\t", index=False, lineterminator="\n"))
    fill_page()


def fill_page() -> None:
    """Write the table as it stands into its page."""
    table = pd.read_csv(TABLE, sep="\t", keep_default_na=False)
    before, rest = PAGE.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    write_text(PAGE, f"{before}{START}\n{page_of(table)}{END}{after}")


def registered(bids: str) -> Iterator[Row]:
    """Judge registered volumes by the command line; then some of them, spoilt."""
    root, out = Path(bids), WORK / "prepared"
    words: list[str | Path] = [
        "prepare",
        root,
        out,
        "--pipeline",
        "none",
        "--workers",
        "1",
    ]
    subprocess.run([sys.executable, "-m", "vit_dementia", *words], check=False)
    told = pd.read_csv(out / "quality.tsv", sep="\t", keep_default_na=False)
    files = [root / path for path in told.path]
    assert set(files) == {root / path for path in list_bids(root).paths}
    typical = _with_the_median(files)
    good = told[typical >= BAD]
    name = f"registered by others, {BAD} or more like their median"
    yield _row(name, "none", "usable", zip(good.verdict, good.codes, strict=True))
    for place in np.flatnonzero(typical < BAD):
        scan = "_".join(Path(told.path[place]).name.split("_")[:2])
        said = [(told.verdict[place], told.codes[place])]
        yield _row(f"{scan}, {typical[place]:.2f}", "none", "warn or fail", said)
    some = [k for k in np.flatnonzero(typical >= BAD) if k % EVERY == 0]
    for name, spoil in SPOILT.items():
        volumes = (_spoilt(read_volume(files[k]), spoil) for k in some)
        judged = (_said(_judged(volume, "none")) for volume in volumes)
        yield _row(f"registered, then {name}", "none", "fail", judged)


def _with_the_median(files: list[Path]) -> Float[np.ndarray, " n"]:
    """Return the correlation of each volume with the voxelwise median, as stored."""
    stored = [nib.Nifti1Image.from_filename(file).get_fdata() for file in files]
    stored = [one.astype(np.float32).ravel() for one in stored]
    median = np.median(np.stack(stored), axis=0)
    return np.array([np.corrcoef(one, median)[0, 1] for one in stored])


def phantoms() -> Iterator[Row]:
    """Judge made-up heads as they are, and spoilt."""
    for kind, whole in (("heads", True), ("brains", False)):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "bids"
            make_phantoms(root, participants=4, volumes=True, whole_head=whole, seed=0)
            files = [root / path for path in list_bids(root).paths]
            said = [_said(_judged(read_volume(file), "fast")) for file in files]
            yield _row(f"phantoms of {kind}", "fast", "usable", said)
            for name in ("upside down", "left half missing", "front half missing"):
                volume = _spoilt(read_volume(files[0]), SPOILT[name])
                judged = [_said(_judged(volume, "fast"))]
                yield _row(f"phantom of {kind}, {name}", "fast", "fail", judged)
    from sklearn.datasets import load_sample_image

    colors = load_sample_image("china.jpg").astype(np.float32)
    said = [_said(_judged(Volume(colors, np.eye(4)), "fast"))]
    yield _row("photograph, its colors as slices", "fast", "fail", said)


def scans(*chosen: str) -> Iterator[Row]:
    """Judge files and DICOM folders, each given as ``PATH=VERDICT``."""
    for one in chosen:
        path, should = one.rsplit("=", 1)
        name = Path(path).name.split(".nii")[0].removeprefix("DEFECT_")
        said = [_said(_judged(read_volume(Path(path)), "fast"))]
        yield _row(name[:30], "fast", should, said)


def _judged(volume: Volume, pipeline: Name) -> Quality:
    spacing = 2.0 if pipeline == "fast" else None
    how = Pipeline(pipeline=pipeline, spacing_mm=spacing)
    return prepare_checked(volume, how).quality


def _said(quality: Quality) -> tuple[str, str]:
    return quality.verdict, "; ".join(reason.code for reason in quality.reasons)


def _row(
    name: str, pipeline: str, should: str, judged: Iterable[tuple[str, str]]
) -> Row:
    """Return a row of the table: how many had each verdict, and each reason."""
    told = list(judged)
    count = Counter(verdict for verdict, _ in told)
    every = [code for _, codes in told for code in codes.split("; ")]
    reasons = Counter(code for code in every if code not in ("", "n/a"))
    shown = [
        f"{n} {code}" if len(told) > 1 else code for code, n in reasons.most_common()
    ]
    return {
        "scans": name,
        "pipeline": pipeline,
        "should": should,
        "number": len(told),
        **{verdict: count[verdict] for verdict in VERDICTS},
        "right": sum(count[verdict] for verdict in ENOUGH[should]),
        "reasons": ", ".join(shown) or "-",
    }


def _spoilt(volume: Volume, spoil: Callable[[Voxels], Voxels]) -> Volume:
    voxels = np.ascontiguousarray(spoil(volume.voxels), dtype=np.float32)
    return Volume(voxels, volume.affine)


def _half(axis: int, *, far: bool) -> Callable[[Voxels], Voxels]:
    def spoil(voxels: Voxels) -> Voxels:
        left = voxels.copy()
        middle = voxels.shape[axis] // 2
        cut = slice(middle, None) if far else slice(0, middle)
        left[(slice(None),) * axis + (cut,)] = 0
        return left

    return spoil


def _bright_fluid(voxels: Voxels) -> Voxels:
    return np.where(voxels > 0, 1.1 * voxels.max() - voxels, 0).astype(np.float32)


SPOILT: dict[str, Callable[[Voxels], Voxels]] = {
    "upside down": lambda voxels: voxels[:, :, ::-1],
    "back to front": lambda voxels: voxels[:, ::-1],
    "on its side": lambda voxels: np.rot90(voxels, axes=(0, 2)),
    "left half missing": _half(0, far=False),
    "front half missing": _half(1, far=True),
    "upper half missing": _half(2, far=True),
    "fluid bright, as in T2": _bright_fluid,
    "five gray values": lambda voxels: np.rint(4 * voxels / voxels.max()),
    "air at -1000, as in CT": lambda voxels: voxels * 1000 - 1000,
}


def page_of(table: pd.DataFrame) -> str:
    """Return what the page says: the two rates side by side, then every row."""
    good, bad = table[table.should == "usable"], table[table.should == "fail"]
    laid = table[table.should == "warn or fail"]
    missed = bad.number.sum() - bad.fail.sum()
    shown = ["scans", "pipeline", "should", *VERDICTS, "reasons"]
    rates = (
        f"**{good.fail.sum()} of {good.number.sum()} usable scans are refused, and "
        f"{missed} of {bad.number.sum()} bad ones are not.** Of {laid.number.sum()} "
        f"that others have registered badly (less than {BAD} like the median), "
        f"{laid.fail.sum()} are refused, {laid.warn.sum()} warned of and "
        f"{laid['pass'].sum() or 'none'} passed."
    )
    lines = [
        textwrap.fill(rates, 88),
        "",
        "| scans | pipeline | should | pass | warn | fail | reasons |",
        "| --- | --- | --- | ---: | ---: | ---: | --- |",
        *(
            "| " + " | ".join(map(str, row)) + " |"
            for row in table[shown].itertuples(index=False)
        ),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
