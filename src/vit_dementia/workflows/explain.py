"""Maps of what an answer hangs on, measured, on the scans that were asked about.

Shapes: r rows that a network reads of a scan (its slices, or one), c channels, g
patches of the grid, d numbers of a feature, ``space`` the sides of a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from vit_dementia.data.named import AS_NAMED, Places
from vit_dementia.data.participants import Identity, identify
from vit_dementia.data.volumes import Volume
from vit_dementia.errors import ConfigError, ScanError
from vit_dementia.evaluation.slice_weights import slice_weights
from vit_dementia.explanation.faithfulness import Faithfulness, measure
from vit_dementia.explanation.methods import Method, explain, without_pedestal
from vit_dementia.explanation.outside import LARGEST, share_outside
from vit_dementia.explanation.overlay import View, planes
from vit_dementia.inference.compute import Device, make_fabric
from vit_dementia.inference.forward import softmax
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.inference.predictor import near
from vit_dementia.models.slice_scores import telling
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.preparation.back import back_to_slice, back_to_volume
from vit_dementia.preparation.replay import is_in_template
from vit_dementia.preparation.silhouette import head_of
from vit_dementia.preparation.slices import SlicePreprocessing
from vit_dementia.progress import Quiet, Watch
from vit_dementia.workflows.seen import see

DEFAULT: Method = "occlusion"


@dataclass(frozen=True)
class Asked:
    """How scans are explained.

    Attributes:
        method: which map.
        label: the class it speaks for; None: the one that is predicted.
        layer: block of the method ``attention``.
        head: head of the method ``attention``; None: their mean.
    """

    method: Method = DEFAULT
    label: str | None = None
    layer: int = -1
    head: int | None = None


@dataclass(frozen=True, eq=False)
class Explanation:
    """The map of one scan, in its own space.

    Attributes:
        path: as it was named.
        participant_id: as far as known.
        method: that drew the map.
        label: the class that is explained.
        predicted: the class that this scan alone is told to be.
        probability: of that class, mended as the model's are.
        views: the planes to look at.
        relevance: at each voxel of a volume; of a slice its view has it.
        in_template: the volume lies in the space of the template.
        prepared: the mean row as the network reads it and its map, for a group.
        feature: what the head reads of it, of unit length, to find cases like it.
        doubt: why the answer for the scan is none, whatever its map is worth.
    """

    path: str
    participant_id: str
    method: Method
    label: str
    predicted: str
    probability: float
    faithfulness: Faithfulness
    outside_head: float
    views: list[View]
    relevance: Volume | None
    in_template: bool
    prepared: View | None = field(repr=False, default=None)
    feature: Float32[np.ndarray, " d"] | None = field(repr=False, default=None)
    doubt: str = ""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Say why the map is not to be believed; nothing if it may be."""
        return self.faithfulness.reasons

    @property
    def looks_outside(self) -> bool:
        """Say whether more of it lies outside the head than of clean maps."""
        return self.outside_head > LARGEST[self.method]

    def sentence(self) -> str:
        """Say in a line how far the map may be believed."""
        said = (
            "faithful: covering patches in its order does more than"
            f" {len(self.faithfulness.random)} random orders"
        )
        if self.reasons:
            said = "not faithful here: " + "; ".join(self.reasons)
        if self.looks_outside:
            said += f"; {self.outside_head:.0%} of it lies outside the head"
        return "; ".join(filter(None, (said, self.doubt)))

    def to_dict(self) -> dict[str, Any]:
        """Return the row of ``explanations.tsv``."""
        measured = asdict(self.faithfulness)
        del measured["random"]
        return {
            "path": self.path,
            "participant_id": self.participant_id,
            "class": self.label,
            "probability": self.probability,
            "faithful": self.faithfulness.is_faithful,
            "reasons": "; ".join(filter(None, (*self.reasons, self.doubt))),
            **measured,
            "gain": self.faithfulness.gain,
            "outside_head": self.outside_head,
            "looks_outside": self.looks_outside,
        }


def explain_scans(
    model: SavedModel,
    paths: Iterable[str | Path],
    asked: Asked = Asked(),  # frozen
    *,
    device: Device = "auto",
    who: Mapping[str, Identity] | None = None,
    label_of: Mapping[str, str] | None = None,
    watch: Watch | None = None,
    places: Places = AS_NAMED,
) -> Iterator[Explanation | ScanError]:
    """Yield the map of each scan, or why it was refused, in the order of the paths.

    A scan that ``predict`` would refuse is refused with the same words.
    Everything is computed in float32, whatever the model was trained in.

    Args:
        model: one that answers alone.
        paths: images or volumes.
        asked: by which method, and for which class.
        device: where to compute.
        who: the participant of each path, where names of files do not tell.
        label_of: the class that is explained of some paths, instead of ``asked``'s.
        watch: who is told of the progress.
        places: where scans lie that are named by their place in an archive.

    Raises:
        ConfigError: if the model has no such class.
    """
    if asked.label is not None and asked.label not in model.classes:
        raise ConfigError(
            f"class: found {asked.label!r}; this model knows {', '.join(model.classes)}"
        )
    target = make_fabric(device, "fp32").device
    model.network.to(target)
    names = [str(path) for path in paths]
    with (watch or Quiet()).count("explaining", len(names)) as bar:
        for name in names:
            try:
                identity = (who or {}).get(name) or identify(near(name))
                own = replace(asked, label=(label_of or {}).get(name, asked.label))
                with torch.autocast(target.type, enabled=False):
                    file = places.file_of(name)
                    found = _explain(model, file, identity, own, target)
                yield replace(found, path=name)
            except ScanError as error:
                yield type(error)(places.told(str(error)))
            bar.advance(1)


def _explain(
    model: SavedModel,
    path: Path,
    identity: Identity,
    asked: Asked,
    device: torch.device,
) -> Explanation:
    way, seen = model.preprocessing, see(model, path, device)
    shown, rows, network, scan = seen.shown, seen.rows, seen.network, seen.scan
    a = model.network.architecture
    said = _probabilities(model, network, scan)
    number = model.classes.index(asked.label) if asked.label else int(said.argmax())
    found, faithfulness = measure(
        network,
        scan,
        number,
        partial(_map, number=number, asked=asked, black=-way.mean / way.std),
        black=-way.mean / way.std,
    )
    found = without_pedestal(found, network)
    fine = _fine(found, a.grid, rows.shape[2:])
    if isinstance(shown, Volume):
        assert not isinstance(way, SlicePreprocessing)
        piled = fine if fine.ndim == 3 else fine[0]
        back = back_to_volume(way, piled, shown)
        views = planes(shown.voxels, back, shown.spacing_mm)
        relevance = replace(shown, voxels=back, notes=())
        in_template = is_in_template(path, way.prepared)
    else:
        assert isinstance(way, SlicePreprocessing)
        back = back_to_slice(way, fine[0], shown.shape[1:])
        views, relevance = [View(shown.mean(axis=0), back)], None
        in_template = False
    return Explanation(
        path=str(path),
        participant_id=identity.participant_id,
        method=asked.method,
        label=model.classes[number],
        predicted=model.classes[int(said.argmax())],
        probability=float(said[number]),
        faithfulness=faithfulness,
        outside_head=_outside(found, a.grid, rows),
        views=views,
        relevance=relevance,
        in_template=in_template,
        prepared=_prepared(rows, fine),
        feature=seen.feature(),
        doubt=seen.doubt,
    )


def _map(
    network: VisionTransformer,
    scan: Float[Tensor, "r c *space"],
    *,
    number: int,
    asked: Asked,
    black: float,
) -> Float[Tensor, "r g"]:
    return explain(
        network,
        scan,
        torch.full((len(scan),), number, device=scan.device),
        method=asked.method,
        black=black,
        layer=asked.layer,
        head=asked.head,
    )


@torch.inference_mode()
def _probabilities(
    model: SavedModel, network: VisionTransformer, scan: Float[Tensor, "r c *space"]
) -> Float[np.ndarray, " k"]:
    rows = telling(network)(scan).float().cpu().numpy()
    k = len(model.classes)
    mended = model.calibration.scaling(softmax(rows[:, :k]))
    if not model.weighs_slices:
        return mended.mean(axis=0)
    weights = slice_weights(rows[:, k], np.zeros(len(rows), int))
    return np.asarray(weights @ mended)


def _fine(
    found: Float[Tensor, "r g"], grid: tuple[int, ...], sides: tuple[int, ...]
) -> Float32[np.ndarray, " r *space"]:
    """Return the maps at every pixel, smooth between the centers of patches."""
    coarse = found.unflatten(1, grid)[:, None].float()
    mode = "trilinear" if len(grid) == 3 else "bilinear"
    return interpolate(coarse, size=sides, mode=mode, align_corners=False)[:, 0].numpy()


def _outside(
    found: Float[Tensor, "r g"],
    grid: tuple[int, ...],
    rows: UInt8[np.ndarray, "r c *space"],
) -> float:
    """Return the share of the map outside the head, over all slices of the scan."""
    maps = found.unflatten(1, grid).numpy()
    weights = np.clip(maps, 0, None).reshape(len(maps), -1).sum(axis=1)
    if weights.sum() == 0:
        return 0.0
    shares = [
        share_outside(one, head_of(row.mean(axis=0)))
        for one, row in zip(maps, rows, strict=True)
    ]
    return float(np.average(shares, weights=weights))


def _prepared(
    rows: UInt8[np.ndarray, "r c *space"], fine: Float32[np.ndarray, " r *space"]
) -> View | None:
    """Return the mean slice as the network reads it, and its map; None of a volume."""
    if rows.ndim != 4:
        return None
    return View(
        rows.mean(axis=(0, 1)).astype(np.float32),
        (np.clip(fine, 0, None) / max(float(fine.max()), 1e-12)).mean(axis=0),
    )
