"""Prepared scans in, probabilities out: the one forward pass behind every answer.

Shapes: ``n`` scans, ``c`` channels, ``space`` the two sides of a slice or the three of
a volume, ``k`` classes, ``q`` of them and, where slices are weighed, their score.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from lightning_fabric import Fabric
from torch import nn

from vit_dementia.preparation.spec import Preprocessing

BATCH_SIZE = 64  # scans at once; without gradients, memory is no limit here


@torch.inference_mode()
def logits_of(
    model: nn.Module,
    images: UInt8[np.ndarray, "n c *space"],
    rows: Int[np.ndarray, " m"],
    preprocessing: Preprocessing,
    fabric: Fabric,
    *,
    advance: Callable[[int], object] = lambda _count: None,
) -> Float[np.ndarray, "m q"]:
    """Return in float32 what is said of the chosen rows (one or more), in order."""
    was_training = model.training
    model.eval()
    parts = []
    for start in range(0, len(rows), BATCH_SIZE):
        chosen = rows[start : start + BATCH_SIZE]
        batch = torch.from_numpy(np.ascontiguousarray(images[chosen]))
        batch = fabric.to_device(batch)
        parts.append(model(preprocessing.normalize(batch)).float().cpu())
        advance(len(chosen))
    model.train(was_training)
    return torch.cat(parts).numpy()


def softmax(logits: Float[np.ndarray, "m k"]) -> Float[np.ndarray, "m k"]:
    """Return probabilities in float64 that sum to 1.

    >>> softmax(np.zeros((1, 4))).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    return powers / powers.sum(axis=1, keepdims=True)


def mean_cross_entropy(
    logits: Float[np.ndarray, "m k"], labels: Int[np.ndarray, " m"]
) -> float:
    """Return the mean over slices of -log p(label); lower is better.

    >>> round(mean_cross_entropy(np.zeros((2, 4)), np.array([0, 3])), 4)
    1.3863
    """
    chosen = softmax(logits)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, np.finfo(np.float64).tiny)).mean())
