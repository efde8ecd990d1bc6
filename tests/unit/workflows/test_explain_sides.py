"""A lesion on the left lights up on the left, however the file's axes lie."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from vit_dementia.evaluation.calibrated import Calibration
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.models.create import create_model
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.preparation.slab import SLAB_MM, SlabPreprocessing
from vit_dementia.preparation.volumes import VolumePreprocessing
from vit_dementia.workflows.explain import Asked, explain_scans
from vit_dementia.workflows.explain_files import write_explanations

CLASSES = ("NonDemented", "MildDemented")
LEFT_MM = np.array([-34.0, 14.0, 8.0])  # of the middle of the head
PATCH_MM = 32.0  # four voxels of the network's
BRIGHT = 0.8  # of the whitest; nothing but the lesion is


class Bright(VisionTransformer):
    """A network that takes whatever is very bright for a lesion, and knows no place."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = (images - self.threshold).clamp(min=0).flatten(1).mean(dim=1) * 1000
        return torch.stack([-found, found], dim=1)


def model(kind: str) -> SavedModel:
    """Return a model of volumes, or of their slices, that answers by brightness."""
    if kind == "volume":
        way = VolumePreprocessing(size=(24, 32, 24), spacing_mm=8.0)
    else:
        way = SlabPreprocessing(
            size=(24, 32),
            spacing_mm=8.0,
            plane=kind,
            slab_mm=SLAB_MM[kind],
            count=9,
        )
    whole = create_model(
        "ViT-Ti/16", num_classes=2, image_size=way.size, patch_size=4, depth=1
    )
    network = Bright(whole.architecture).eval()
    network.threshold = (BRIGHT - way.mean) / way.std
    return SavedModel(
        network=network,
        classes=CLASSES,
        ordered=True,
        preprocessing=way,
        facts={},
        calibration=Calibration.none(CLASSES, "made by hand"),
        sha256="",
    )


def scan(side: int, codes: str, degrees: float) -> nib.Nifti1Image:
    """Return a gray head with a bright lump on one side (-1: left), as a file holds it.

    Voxels are painted by where they lie in millimeters, whatever the grid.
    """
    affine = np.diag([3.0, 3.0, 4.0, 1.0])
    angle = np.deg2rad(degrees)
    turn = np.array(
        [
            [np.cos(angle), -np.sin(angle), 0],
            [np.sin(angle), np.cos(angle), 0],
            [0, 0, 1],
        ]
    )
    shape = np.array([64, 72, 50])
    affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = -affine[:3, :3] @ (shape - 1) / 2
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    places = grid @ affine[:3, :3].T + affine[:3, 3]
    head = ((places / (70, 88, 80)) ** 2).sum(axis=-1) < 1
    lump = ((places - LEFT_MM * (-side, 1, 1)) ** 2).sum(axis=-1) < 22**2
    rng = np.random.default_rng(0)
    voxels = 100.0 * head + rng.normal(0, 4, shape) * head
    voxels[lump] = 300
    image = nib.Nifti1Image(voxels.astype(np.float32), affine)
    way = ornt_transform(io_orientation(affine), axcodes2ornt(codes))
    return image.as_reoriented(way)


SLOW = pytest.mark.slow
KINDS = (
    "volume",
    pytest.param("coronal", marks=SLOW),
    pytest.param("axial", marks=SLOW),
    pytest.param("sagittal", marks=SLOW),
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lesion_lights_its_own_side_on_disk(kind, tmp_path) -> None:
    asked = Asked(method="occlusion", label=CLASSES[1])
    ways = (
        (-1, "LAS", 0),
        (1, "LPS", 12),
        (-1, "PIR", 0),
        (1, "PIR", -12),
    )
    scans = {
        tmp_path / f"{number}{'LR'[side > 0]}.nii": scan(side, codes, degrees)
        for number, (side, codes, degrees) in enumerate(ways)
    }
    for path, image in scans.items():
        image.to_filename(path)
    answers = explain_scans(model(kind), list(scans), asked)
    told = write_explanations(tmp_path / "maps", model(kind), asked, answers)
    assert told["refused"] == []
    for row, image in zip(told["results"], scans.values(), strict=True):
        found = nib.load(tmp_path / "maps" / row["volume"])
        assert found.shape == image.shape
        np.testing.assert_allclose(found.affine, image.affine, atol=1e-4)
        weights = np.clip(found.get_fdata(), 0, None)
        voxel = np.array(np.indices(weights.shape)).reshape(3, -1) @ weights.ravel()
        place = image.affine[:3, :3] @ (voxel / weights.sum()) + image.affine[:3, 3]
        side = 1 if row["path"].endswith("R.nii") else -1
        np.testing.assert_allclose(place, LEFT_MM * (-side, 1, 1), atol=PATCH_MM / 2)
        brightest = image.get_fdata()[np.unravel_index(weights.argmax(), image.shape)]
        assert brightest == 300
