"""Write a phantom cohort: slices in class folders, or volumes as a BIDS data set.

Both are made aside and renamed at the end, so that a folder is whole or not there.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from vit_dementia import files
from vit_dementia.data.phantoms.atlas import Atlas, Grid, load_atlas
from vit_dementia.data.phantoms.grids import affine_of, slice_axes, volume_axes
from vit_dementia.data.phantoms.head import load_head
from vit_dementia.data.phantoms.lattices import Axes
from vit_dementia.data.phantoms.participants import Participant, draw_participant
from vit_dementia.data.phantoms.rendering import Rendering, render
from vit_dementia.data.phantoms.settings import Appearance, PhantomConfig, Variation
from vit_dementia.data.phantoms.tables import (
    Row,
    write_bids_tables,
    write_slice_tables,
)
from vit_dementia.errors import DataError

Report = Callable[[int, int], None]
"""Told how many participants are done, of how many."""

_FULL_SCALE = 1000  # of a volume's int16
_FEW = 24  # below this many participants other processes start later than we finish


def make_phantoms(
    out: Path,
    *,
    participants: int = PhantomConfig.participants,
    classes: int = PhantomConfig.classes,
    seed: int = PhantomConfig.seed,
    volumes: bool = PhantomConfig.volumes,
    whole_head: bool = PhantomConfig.whole_head,
    slices: int = PhantomConfig.slices,
    report: Report | None = None,
    workers: int | None = None,
) -> Path:
    """Write a phantom cohort to a new folder and return that folder.

    Participants do not depend on how many others there are, nor on ``workers``.

    Args:
        out: a folder that is empty or not there yet.
        participants: people; half of them have no dementia.
        classes: none and the mildest grades of atrophy: 2, 3 or 4 in all.
        seed: the same seed gives the same bytes.
        volumes: whole volumes as a BIDS data set instead of axial slices.
        whole_head: with a synthetic scalp, skull and neck around the brain.
        slices: axial slices of each participant.
        report: told how many participants are done, of how many.
        workers: processes [default: one for each core].

    Raises:
        ConfigError: if a number is out of its range.
        DataError: if ``out`` exists and is not an empty folder.
    """
    config = PhantomConfig(
        participants=participants,
        classes=classes,
        seed=seed,
        volumes=volumes,
        whole_head=whole_head,
        slices=slices,
    )
    with _whole_folder(out) as folder:
        write_one = partial(_write_volume if volumes else _write_slices, folder, config)
        rows = list[Row]()
        truths = list[Row]()
        for new_rows, truth in _each(write_one, config, workers):
            rows += new_rows
            truths.append(truth)
            if report is not None:
                report(len(truths), participants)
        if volumes:
            write_bids_tables(folder, rows, truths)
        else:
            write_slice_tables(folder, rows, truths)
    return out


Written = tuple[list[Row], Row]


def _each(
    write_one: Callable[[Atlas, Grid | None, int], Written],
    config: PhantomConfig,
    workers: int | None,
) -> Iterator[Written]:
    """Write every participant, in this process or in others; answer in order."""
    import joblib

    atlas = load_atlas()
    head = load_head(atlas) if config.whole_head else None
    numbers = range(1, config.participants + 1)
    few = config.participants < _FEW and not config.volumes
    if workers == 1 or (workers is None and few):
        return (write_one(atlas, head, number) for number in numbers)
    parallel = joblib.Parallel(n_jobs=workers or -1, return_as="generator")
    answers: Iterator[Written] = parallel(
        joblib.delayed(write_one)(atlas, head, number) for number in numbers
    )
    return answers


def _scan(
    config: PhantomConfig, atlas: Atlas, head: Grid | None, number: int, axes: Axes
) -> tuple[Participant, Rendering]:
    participant = draw_participant(
        number,
        classes=config.classes,
        seed=config.seed,
        variation=Variation(),
        appearance=Appearance(),
    )
    return participant, render(participant, atlas, axes, head)


def _write_slices(
    folder: Path, config: PhantomConfig, atlas: Atlas, head: Grid | None, number: int
) -> Written:
    """Write one participant's slices and masks; return their rows."""
    axes = slice_axes(slices=config.slices, whole_head=config.whole_head)
    who, scan = _scan(config, atlas, head, number, axes)
    gray = np.round(np.clip(scan.intensity, 0, 1) * 255).astype(np.uint8)
    mask = scan.changed.astype(np.uint8) * 255
    rows = list[Row]()
    for k in range(config.slices):
        name = f"{who.label}/{who.participant_id}_slice-{k + 1:02d}.png"
        _write_png(folder / "images" / name, gray[:, :, k])
        _write_png(folder / "masks" / name, mask[:, :, k])
        rows.append(
            {
                "path": f"images/{name}",
                "participant_id": who.participant_id,
                "slice": str(k + 1),
                "label": who.label,
                "age": f"{who.age_years}",
                "sex": who.sex,
                "site": "phantom",
                "participant_source": "table",
            }
        )
    return rows, _truth(who)


def _write_png(path: Path, slice_2d: Shaped[np.ndarray, "x y"]) -> None:
    """Write an axial slice: forehead up, the person's left on the left."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(slice_2d.T[::-1])).save(path)


def _write_volume(
    folder: Path, config: PhantomConfig, atlas: Atlas, head: Grid | None, number: int
) -> Written:
    """Write one participant's volume and mask; return the row of the participant."""
    axes = volume_axes(whole_head=config.whole_head)
    who, scan = _scan(config, atlas, head, number, axes)
    name = who.participant_id
    voxels = np.round(np.clip(scan.intensity, 0, 2) * _FULL_SCALE).astype(np.int16)
    _write_nifti(folder / name / "anat" / f"{name}_T1w.nii.gz", voxels, axes)
    _write_nifti(
        folder / f"derivatives/atrophy/{name}/anat/{name}_desc-atrophy_mask.nii.gz",
        scan.changed.astype(np.uint8),
        axes,
    )
    row = {
        "participant_id": name,
        "diagnosis": who.label,
        "age": f"{who.age_years}",
        "sex": who.sex,
    }
    return [row], _truth(who)


def _write_nifti(path: Path, voxels: Shaped[np.ndarray, "x y z"], axes: Axes) -> None:
    """Write a volume; the same voxels give the same bytes at any time and place."""
    import nibabel as nib

    image = nib.Nifti1Image(voxels, affine_of(axes))
    image.header.set_xyzt_units("mm", "sec")
    image.set_qform(image.affine, code=1)  # 1: scanner space
    image.set_sform(image.affine, code=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))


def _truth(who: Participant) -> Row:
    """Return what was done to one person: strengths, for tests and benchmarks."""
    ventricles = who.diseased.ventricles_mm - who.healthy.ventricles_mm
    hippocampi = who.diseased.hippocampi - who.healthy.hippocampi
    return {
        "participant_id": who.participant_id,
        "label": who.label,
        "atrophy": f"{who.atrophy:.3f}",
        "ventricles_mm": f"{ventricles.mean():.3f}",
        "hippocampus_left_lost": f"{hippocampi[0]:.3f}",
        "hippocampus_right_lost": f"{hippocampi[1]:.3f}",
        "sulci_mm": f"{who.diseased.lobes_mm:.3f}",
    }


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """Yield a folder beside ``out`` that takes its place when nothing went wrong.

    Raises:
        DataError: if ``out`` exists and is not an empty folder.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        found = "holds files" if out.is_dir() else "is a file"
        message = f"{out}: {found}; needs a new or empty folder; name another one"
        raise DataError(message)
    with files.replacing_folder(out) as aside:
        yield aside
