"""A picture of what a masked auto-encoder makes of scans it sees a quarter of.

Shapes: ``b`` scans, each of two or three axes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from vit_dementia.files import replacing
from vit_dementia.models.mae import EPSILON, images_of, patches_of
from vit_dementia.training.pretraining import Reconstruction

NUMBER = 4  # scans in the picture


def draw_reconstructions(goal: Reconstruction, path: Path) -> None:
    """Draw scans as they are, as they were shown, and as they were filled in, as PNG.

    They are of validation participants, or of those who train where there are none. Of
    a volume the middle axial plane is drawn.
    """
    from matplotlib.figure import Figure  # slow to import

    rows = goal.material.rows("val")
    rows = rows if len(rows) else goal.material.rows("train")
    spread = np.linspace(0, len(rows) - 1, min(NUMBER, len(rows))).round().astype(int)
    pictures = filled_in(goal, rows[spread])
    figure = Figure(figsize=(2 * len(spread), 6.6), layout="constrained")
    titles = ("as it is", "as it was shown", "as it was filled in")
    axes = figure.subplots(len(titles), len(spread), squeeze=False)
    for title, line, images in zip(titles, axes, pictures, strict=True):
        for axis, image in zip(line, images, strict=True):
            plane = image if image.ndim == 2 else image[len(image) // 2]
            axis.imshow(plane, cmap="gray", vmin=0, vmax=1)
            axis.axis("off")
        line[0].set_title(title, loc="left", fontsize=9)
    with replacing(path) as aside:
        figure.savefig(aside, dpi=100, format="png")


@torch.inference_mode()
def filled_in(
    goal: Reconstruction, rows: Int[np.ndarray, " b"]
) -> tuple[Float[np.ndarray, "b ..."], ...]:
    """Return scans as they are, as they were shown, and as they were filled in.

    A hidden patch gets back its own mean and deviation: the network is not asked for
    them (He et al. 2021 draw theirs so too). Values are brightness on [0, 1].
    """
    model, a = goal.model, goal.model.encoder.architecture
    was_training = model.training
    model.eval()
    images, shown = goal.scans(rows), goal.shown(goal.keys(rows))
    with goal.fabric.autocast():
        told = model.reconstruct(images, shown).float()
    model.train(was_training)
    true = patches_of(images, a)
    mean = true.mean(dim=2, keepdim=True)
    deviation = (true.var(dim=2, keepdim=True) + EPSILON).sqrt()
    is_shown = torch.zeros(true.shape[:2], device=true.device).scatter(1, shown, 1.0)
    is_shown = is_shown[..., None].bool()
    preprocessing = goal.material.preprocessing
    black = -preprocessing.mean / preprocessing.std
    drawn = (
        true,
        torch.where(is_shown, true, black),
        torch.where(is_shown, true, told * deviation + mean),
    )
    gray = (images_of(part - black, a).mean(dim=1) for part in drawn)
    return tuple((part * preprocessing.std).cpu().numpy() for part in gray)
