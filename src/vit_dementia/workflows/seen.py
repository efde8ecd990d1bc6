"""One scan as a network reads it, and as it was read.

Shapes: r rows that a network reads of a scan (its slices, or one), c channels, d
numbers of a feature, ``h w`` pixels, ``space`` the sides of a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Float32, UInt8
from numpy import ndarray
from torch import Tensor

from vit_dementia.data.images import read_slice
from vit_dementia.data.volumes import Volume
from vit_dementia.inference.features import features_of, unit
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.inference.unlike import refuse_unlike
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.preparation.foreground import fits_foreground
from vit_dementia.preparation.replay import judged
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.preparation.spec import rows_of
from vit_dementia.quality.verdict import Quality


@dataclass(frozen=True, eq=False)
class Seen:
    """A scan before a network.

    Attributes:
        shown: as it was read.
        rows: prepared.
        network: that reads them; all patches, where the head is larger than what the
            model looks at.
        scan: the rows as the network reads them, on its device.
        doubt: why ``predict`` would answer without confidence; empty if it would not.
    """

    shown: Float32[ndarray, "c h w"] | Volume
    rows: UInt8[ndarray, "r c *space"]
    network: VisionTransformer
    scan: Float[Tensor, "r c *space"]
    doubt: str

    def feature(self) -> Float32[ndarray, " d"]:
        """Return what the head reads of it, of unit length."""
        told = features_of(self.network, self.scan)
        return unit(told.sum(dim=0, keepdim=True).numpy())[0]


def see(model: SavedModel, path: Path, device: torch.device) -> Seen:
    """Read a scan and prepare it as a model was trained on.

    Args:
        model: whose network is on the device.
        path: image or volume.
        device: where to compute.

    Raises:
        ScanError: where ``predict`` would refuse the scan, with the same words.
    """
    way = model.preprocessing
    shown: Float32[ndarray, "c h w"] | Volume
    quality: Quality | None = None
    if isinstance(way, SlicePreprocessing):
        shown = read_slice(path, channels=way.channels)
        stored = way(shown)
    else:
        found = judged(path, way.prepared)
        shown, quality = found.volume, found.quality
        stored = way(shown)
    rows = rows_of(way, stored[None])
    doubt = refuse_unlike(model, path, rows, quality).doubt
    a = model.network.architecture
    fits = fits_foreground(rows, a.token_size, a.visible).all()
    network = model.network if fits else model.network.seeing(None)
    scan = way.normalize(torch.from_numpy(rows.copy())).to(device)
    return Seen(shown, rows, network, scan, doubt)
