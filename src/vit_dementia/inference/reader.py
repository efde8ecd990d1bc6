"""A saved network on a device, and what it does with a scan unlike its training's.

A network that leaves out background patches is blind there. A scan that shows
something in them is read whole instead, and told from the others, whose calibration it
does not share.

Shapes: ``n`` scans, ``m`` of them read, ``c`` channels, ``space`` the two sides of a
slice or the three of a volume, ``k`` classes, ``q`` of them and, where slices are
weighed, their score.
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
from vit_dementia.models.slice_scores import telling
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.preparation.foreground import fits_foreground

MISFIT = (
    "shows something where the training scans show nothing: read with all patches, "
    "which the model was not calibrated for"
)


@dataclass(frozen=True)
class Read:
    """What the network said of some scans.

    Attributes:
        rows: logits and, from a model that weighs slices, a score, in the order asked
            for.
        num_classes: how many of the numbers of a row are logits.
        fits: False where a scan shows something in patches that are left out.
    """

    rows: Float[np.ndarray, "m q"]
    num_classes: int
    fits: Bool[np.ndarray, " m"]

    @property
    def logits(self) -> Float[np.ndarray, "m k"]:
        """Return what is said of each class."""
        return self.rows[:, : self.num_classes]

    @property
    def scores(self) -> Float[np.ndarray, " m"] | None:
        """Return how much each slice asks to count; None: all count the same."""
        weighs = self.rows.shape[1] > self.num_classes
        return self.rows[:, -1] if weighs else None


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
        self._network = network or self._set_up(model.network)
        self._whole = self._set_up(model.network.seeing(None))

    def _set_up(self, network: VisionTransformer) -> nn.Module:
        # Fabric's wrapper begins in training, and would put the network there after
        # each answer: with dropout, for whoever explains it next.
        return self.fabric.setup_module(telling(network)).eval()

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
        width = a.num_classes + self.model.weighs_slices
        said = np.empty((len(rows), width), dtype=np.float32)
        for network, chosen in ((self._network, fits), (self._whole, ~fits)):
            if chosen.any():
                said[chosen] = logits_of(
                    network,
                    images,
                    rows[chosen],
                    self.model.preprocessing,
                    self.fabric,
                    advance=advance,
                )
        return Read(said, a.num_classes, fits)
