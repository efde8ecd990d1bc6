"""Weights of one layout written in another, held to the same logits."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vit_dementia import DISCLAIMER
from vit_dementia.errors import CheckpointError
from vit_dementia.files import adding_to, write_text
from vit_dementia.inference.model_folder import PREPROCESSING, read_preprocessing
from vit_dementia.models.weights.record import Weights
from vit_dementia.models.weights.saving import parity, save_weights
from vit_dementia.preparation.slices import BRIGHT_PERCENTILE, SlicePreprocessing
from vit_dementia.preparation.spec import Preprocessing

# Same weights, same arithmetic; only gray kernels divided by three are rounded anew.
LARGEST_DIFFERENCE = 1e-4


@dataclass(frozen=True)
class Converted:
    """What was written, and how nearly it gives the same logits."""

    path: Path
    layout: str
    classes: tuple[str, ...] | None
    largest_difference: float

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON can hold it."""
        return {
            "path": self.path.as_posix(),
            "from": self.layout,
            "classes": None if self.classes is None else list(self.classes),
            "largest_difference_of_logits": self.largest_difference,
        }


def convert(
    weights: Weights,
    out: Path,
    form: str,
    *,
    channels: int | None = None,
    all_tokens: bool = False,
    preprocessing: Preprocessing | None = None,
) -> Converted:
    """Write weights in another layout and hold the logits of both to each other.

    Args:
        weights: what was read.
        out: folder to write into.
        form: the layout.
        channels: of the written network.
        all_tokens: let a network that leaves out background patches read all of them;
            the logits of this one are then those that both are held to.
        preprocessing: how scans are prepared, for the card.

    Raises:
        CheckpointError: if the layout cannot express the network, or the logits differ.
    """
    if all_tokens:
        every = dataclasses.replace(weights.architecture, visible=None)
        weights = dataclasses.replace(weights, architecture=every)
    with adding_to(out) as aside:
        written = save_weights(weights, aside, form, channels=channels)
        if form == "huggingface":
            write_text(aside / "README.md", _card(weights, preprocessing))
        difference = parity(weights, written)
        path = out / written.name
        if not difference <= LARGEST_DIFFERENCE:
            raise CheckpointError(
                f"{path}: would give other logits than what was read (by"
                f" {difference:.1e}); needs the same; nothing was written; report this"
                " as a bug"
            )
    return Converted(path, weights.layout, weights.classes, difference)


def preprocessing_beside(source: str) -> Preprocessing | None:
    """Return how a run or model folder of ours prepares scans; None for other files.

    Raises:
        CheckpointError: if its file of settings is damaged.
    """
    for folder in (Path(source), Path(source) / "model"):
        if (folder / PREPROCESSING).is_file():
            return read_preprocessing(folder)
    return None


def _card(weights: Weights, preprocessing: Preprocessing | None) -> str:
    """Return a card that says what the image processor cannot."""
    a = weights.architecture
    size = " x ".join(map(str, a.image_size))
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: image-classification",
        "tags: [brain-mri, dementia, vision-transformer]",
        "---",
        "",
        "# Vision Transformer for brain MRI",
        "",
        DISCLAIMER,
        "",
        "Opens with `transformers.ViTForImageClassification.from_pretrained`. Classes:"
        f" {', '.join(weights.classes or ('none',))}.",
        "",
        "## What the image processor cannot do",
        "",
        f"- It stretches every image to {size}.",
    ]
    if isinstance(preprocessing, SlicePreprocessing) and preprocessing.fit == "pad":
        lines.append(
            "- The network was trained on slices scaled to fit and filled up with"
            " black: pad an image of other proportions before."
        )
    if preprocessing is not None:
        lines.append(
            f"- In training, percentile {BRIGHT_PERCENTILE} of the pixels above zero"
            " was white: scale intensities so before, or scores shift."
        )
    lines.append("- It answers by image. Average the scans of one person.")
    return "\n".join(lines) + "\n"
