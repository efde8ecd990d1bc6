"""A saved network on a device, and what it does with a scan unlike its training's.

A network that leaves out background patches is blind there. A scan that shows
something in them is read whole instead, and told from the others, whose calibration it
does not share.

Shapes: ``n`` scans, ``m`` of them read, ``c`` channels, ``space`` the two sides of a
slice or the three of a volume, ``k`` classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from lightning_fabric import Fabric
from torch import nn

from vit_dementia.inference.forward import logits_of
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.preparation.foreground import fits_foreground

MISFIT = (
    "shows something where the training scans show nothing: read with all patches, "
    "which the model was not calibrated for"
)


@dataclass(frozen=True)
class Read:
    """What the network said of some scans.

    Attributes:
        logits: in the order asked for.
        fits: False where a scan shows something in patches that are left out.
    """

    logits: Float[np.ndarray, "m k"]
    fits: Bool[np.ndarray, " m"]


class Reader:
    """A network ready to read prepared scans.

    Args:
        model: as saved.
        fabric: device and precision.
        network: the model in another runtime; asked wherever all it needs is shown.
    """

    def __init__(
        self, model: SavedModel, fabric: Fabric, network: nn.Module | None = None
    ) -> None:
        self.model = model
        self.fabric = fabric
        self._network = network or fabric.setup_module(model.network)
        self._whole = fabric.setup_module(model.network.seeing(None))

    def __call__(
        self,
        images: UInt8[np.ndarray, "n c *space"],
        rows: Int[np.ndarray, " m"],
        *,
        advance: Callable[[int], object] = lambda _count: None,
    ) -> Read:
        """Return what the network says of the chosen rows (one or more)."""
        a = self.model.network.architecture
        fits = fits_foreground(images, a.token_size, a.visible, rows)
        logits = np.empty((len(rows), a.num_classes), dtype=np.float32)
        for network, chosen in ((self._network, fits), (self._whole, ~fits)):
            if chosen.any():
                logits[chosen] = logits_of(
                    network,
                    images,
                    rows[chosen],
                    self.model.preprocessing,
                    self.fabric,
                    advance=advance,
                )
        return Read(logits, fits)
