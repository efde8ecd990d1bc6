"""One picture that stands for a scan: what a person, or an audit, looks at first.

Shapes: ``h w`` pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float32

from vit_dementia.data.assembly import is_volume
from vit_dementia.data.images import read_slice
from vit_dementia.data.volumes import read_volume
from vit_dementia.preparation.slab import SlabPreprocessing

_AXIAL = SlabPreprocessing(
    size=(112, 96),
    spacing_mm=2.0,
    plane="axial",
    slab_mm=(72.0, 76.0),  # below the top of the head, through the ventricles
    count=1,
)


def glance(path: Path) -> Float32[np.ndarray, "h w"]:
    """Return the slice in a file in its own units; of a volume an axial one in 8 bit.

    Raises:
        ScanError: if it cannot be read, or a volume shows no head.
    """
    if is_volume(path.name):
        return _AXIAL(read_volume(path))[0].astype(np.float32)
    return read_slice(path)[0]
