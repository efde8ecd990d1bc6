"""Networks of every shape keep their answers in every format."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vit_dementia.config import VitConfig
from vit_dementia.evaluation.calibrated import Calibration
from vit_dementia.export.formats import FORMATS
from vit_dementia.inference.model_folder import SavedModel
from vit_dementia.models.variants import architecture
from vit_dementia.models.vit import VisionTransformer
from vit_dementia.preparation.slices import SlicePreprocessing

TINY = {"patch_size": 8, "embed_dim": 12, "depth": 1, "num_heads": 2, "mlp_dim": 16}
NETWORKS = {
    "volume": ((16, 16, 24), VitConfig(**TINY)),
    "small-data": (
        (16, 24),
        VitConfig(**TINY, stem="shifted", locality=True, registers=2, layer_scale=0.1),
    ),
    "map": (
        (16, 24),
        VitConfig(**TINY, pooling="map", positions="sincos", qk_norm=True),
    ),
}


def _model(name: str) -> SavedModel:
    sides, vit = NETWORKS[name]
    described = architecture("ViT-Ti/16", vit, image_size=sides, num_classes=3)
    network = VisionTransformer(described, torch.Generator().manual_seed(0))
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    return SavedModel(
        network=network.seeing((1, 2, 4)).eval(),
        classes=("CN", "MCI", "AD"),
        ordered=True,
        preprocessing=SlicePreprocessing(size=(16, 24)),
        facts={},
        calibration=Calibration.none(("CN", "MCI", "AD"), "made up"),
        sha256="0" * 64,
    )


@pytest.mark.slow  # the usual network is tried by default, in tests/integration
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_keeps_its_answers(form, name, tmp_path) -> None:
    model = _model(name)
    FORMATS[form].write(model, tmp_path)
    answer = FORMATS[form].open(tmp_path)
    a = model.network.architecture
    scans = np.random.default_rng(0).normal(size=(3, 1, *a.image_size))
    scans = scans.astype(np.float32)
    for num in (1, 3):
        with torch.inference_mode():
            expected = model.network(torch.from_numpy(scans[:num])).numpy()
        np.testing.assert_allclose(answer(scans[:num]), expected, atol=2e-5)
