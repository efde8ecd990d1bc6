"""An encoder learns to fill in what is hidden from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vit_dementia.config import MaskConfig
from vit_dementia.data.draws import Draws, keys_for
from vit_dementia.models.description import Architecture
from vit_dementia.models.mae import MaskedAutoencoder, choose_shown
from vit_dementia.models.vit import VisionTransformer


def _heads() -> torch.Tensor:
    """Return eight pictures of ellipses with a hole, none like another."""
    rows, columns = np.mgrid[:32, :24]
    pictures = []
    for number in range(8):
        tall, wide, hole = 9 + number % 4, 7 + number // 3, 1 + number / 2
        radius = np.hypot((rows - 16) / tall, (columns - 12) / wide)
        inner = np.hypot(rows - 16, columns - 12 + number % 3)
        picture = np.where(radius < 1, 0.8 - 0.3 * radius, 0.0)
        picture[inner < hole] = 0.1
        pictures.append(picture)
    return torch.tensor(np.stack(pictures)[:, None], dtype=torch.float32)


@pytest.mark.slow
def test_eight_phantoms_are_filled_in() -> None:
    architecture = Architecture(
        image_size=(32, 24), patch_size=(8, 8), channels=1, num_classes=0,
        embed_dim=48, depth=2, num_heads=4, mlp_dim=96,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    encoder = VisionTransformer(architecture, generator)
    settings = MaskConfig(decoder_dim=48, decoder_depth=1, hidden=0.5)
    model = MaskedAutoencoder(encoder, settings, generator)
    images = _heads() + 0.01 * torch.rand(8, 1, 32, 24, generator=generator)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for step in range(500):
        noise = Draws(keys_for(0, step, places=range(8))).uniform(0.0, 1.0, 12)
        loss = model(images, choose_shown(noise, hidden=0.5)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert 0.8 < losses[0] < 2.0  # saying the mean of every patch would cost 1
    assert np.mean(losses[-10:]) < 0.25
