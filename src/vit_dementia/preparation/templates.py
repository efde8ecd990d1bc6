"""The brain that others are laid on: ICBM 152, as nilearn carries it or from a file.

nilearn's is the symmetric version 2009a, skull-stripped (Fonov et al. 2011, doi
10.1016/j.neuroimage.2010.07.033); Clinica's is the symmetric version 2009c with its
skull. The two spaces are close and not the same, so that each has its name. Being
symmetric, neither can tell left from right.

Letters: ``x y z`` voxels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from vit_dementia.data.volumes import Volume, read_volume
from vit_dementia.errors import ConfigError
from vit_dementia.files import sha256_of
from vit_dementia.limits import LIMITS
from vit_dementia.preparation.grids import Grid, shown_on

Map = Float32[np.ndarray, "x y z"]

OWN_SPACE = "MNI152NLin2009a"
CLINICA_SPACE = "MNI152NLin2009cSym"
CLINICA_SHA256 = "93359ab97c1c027376397612a9b6c30e95406c15bf8695bd4a8efcb2064eaa34"
"""Of mni_icbm152_t1_tal_nlin_sym_09c.nii, which Clinica's own source states."""
CLINICA_URL = (
    "https://aramislab.paris.inria.fr/files/data/img_t1_linear/"
    "mni_icbm152_t1_tal_nlin_sym_09c.nii"
)
CLINICA = Path("clinica")
"""In place of a file: Clinica's template, downloaded once."""

NOT_THE_SAME = (
    f"{OWN_SPACE} (skull-stripped, as nilearn carries it) is not {CLINICA_SPACE}, the "
    "space of Clinica's t1-linear: close to it, not the same"
)
_LEAST_LIKENESS = 0.7  # correlation in the brain of a file with nilearn's template


@dataclass(frozen=True, kw_only=True, eq=False)
class Template:
    """A T1-weighted brain and the tissues in it, on one grid.

    Attributes:
        space: its name, as files are named by it.
        source: what it was read from, without a folder.
        sha256: of the file it came from; ``nilearn`` and its version for the own one.
        grid: of the maps.
        intensity: T1-weighted, about 0 to 1.
        gray: share of gray matter.
        white: share of white matter.
        brain: 1 inside the brain.
    """

    space: str
    source: str
    sha256: str
    grid: Grid
    intensity: Map
    gray: Map
    white: Map
    brain: Map

    @property
    def volume(self) -> Volume:
        """Return the intensities with where they lie."""
        return Volume(self.intensity, self.grid.affine)

    def on(self, grid: Grid) -> Template:
        """Return the same template on another grid."""
        here = {
            name: shown_on(grid, Volume(getattr(self, name), self.grid.affine))
            for name in ("intensity", "gray", "white", "brain")
        }
        here["brain"] = (here["brain"] > 0.5).astype(np.float32)
        return Template(
            space=self.space, source=self.source, sha256=self.sha256, grid=grid, **here
        )

    def facts(self) -> dict[str, Any]:
        """Return what a sidecar says of it."""
        told = {"Space": self.space, "Source": self.source, "SHA256": self.sha256}
        return told | ({"Note": NOT_THE_SAME} if self.space == OWN_SPACE else {})


@lru_cache(maxsize=2)
def load_template(file: Path | None = None) -> Template:
    """Return nilearn's template, or the intensities of a file with nilearn's tissues.

    Args:
        file: a T1-weighted template in the space of ICBM 152, with or without skull;
            or ``CLINICA``.

    Raises:
        ConfigError: if the file is no such template.
        DataError: if it cannot be read, or not be downloaded.
    """
    own = _own_template()
    if file is None:
        return own
    if file == CLINICA:
        file = fetch_clinicas_template()
    voxels = shown_on(own.grid, volume := read_volume(file))
    likeness = _correlation(voxels[own.brain > 0], own.intensity[own.brain > 0])
    if likeness < _LEAST_LIKENESS:
        raise ConfigError(
            f"{file}: found a correlation of {likeness:.2f} with ICBM 152 within the "
            f"brain; a template needs {_LEAST_LIKENESS} or more: give a T1-weighted "
            "template in that space"
        )
    told = sha256_of(file)
    top = np.percentile(volume.voxels[volume.voxels > 0], 99.9)
    return Template(
        space=CLINICA_SPACE if told == CLINICA_SHA256 else _space_in(file.name),
        source=file.name,
        sha256=told,
        grid=own.grid,
        intensity=(voxels / np.float32(top)),
        gray=own.gray,
        white=own.white,
        brain=own.brain,
    )


def fetch_clinicas_template(url: str = CLINICA_URL, cache: Path | None = None) -> Path:
    """Return Clinica's template as a file, downloaded unless it is there already.

    Args:
        url: where it is published.
        cache: folder to keep it in [default: the user's cache folder].

    Raises:
        DataError: if there is no network, or what comes has another hash.
    """
    from vit_dementia.data.cache import default_cache
    from vit_dementia.download import download

    file = (cache or default_cache()) / "templates" / url.rsplit("/", 1)[-1]
    most = LIMITS.template_bytes
    download(url, file, sha256=CLINICA_SHA256, max_bytes=most)
    return file


def _space_in(name: str) -> str:
    """Return the space that a file's name tells, in the ways of BIDS and TemplateFlow.

    >>> _space_in("tpl-MNI152NLin2009cSym_res-1_T1w.nii.gz"), _space_in("mine.nii")
    ('MNI152NLin2009cSym', 'custom')
    """
    told = re.search(r"(?:^|_)(?:tpl|space)-([A-Za-z0-9]+)", name)
    return told[1] if told else "custom"


def _own_template() -> Template:
    import nilearn
    from nilearn import datasets

    images = {
        "intensity": datasets.load_mni152_template(resolution=1),
        "gray": datasets.load_mni152_gm_template(resolution=1),
        "white": datasets.load_mni152_wm_template(resolution=1),
        "brain": datasets.load_mni152_brain_mask(resolution=1),
    }
    affine = images["intensity"].affine
    x, y, z = images["intensity"].shape
    a, b, c = affine[:3, 3].tolist()
    return Template(
        space=OWN_SPACE,
        source="nilearn.datasets.load_mni152_template",
        sha256=f"nilearn {nilearn.__version__}",
        grid=Grid(shape=(x, y, z), origin_mm=(a, b, c)),
        **{n: image.get_fdata(dtype=np.float32) for n, image in images.items()},
    )


def _correlation(
    one: Float32[np.ndarray, " n"], other: Float32[np.ndarray, " n"]
) -> float:
    if one.std() == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
