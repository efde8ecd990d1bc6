"""The ViT of MONAI, for slices and volumes.

Its positions are added before the class token is put in front, its LayerNorms add 1e-5,
and its classification head ends in tanh unless it was made without.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from vit_dementia.errors import CheckpointError
from vit_dementia.models.weights.describe import described
from vit_dementia.models.weights.names import renamed
from vit_dementia.models.weights.record import RawFile, Weights

LAYER_NORM_EPS = 1e-5
NAMES = {
    "patch_embedding.patch_embeddings": "patch_embed.proj",
    "patch_embedding.position_embeddings": "pos_embed",
    "blocks.{i}.attn.out_proj": "blocks.{i}.attn.proj",
    "blocks.{i}.mlp.linear1": "blocks.{i}.mlp.fc1",
    "blocks.{i}.mlp.linear2": "blocks.{i}.mlp.fc2",
    "classification_head.0": "head",  # followed by tanh
    "classification_head": "head",
}


def recognize(names: set[str]) -> bool:
    """Say whether these are MONAI's names."""
    return any(name.startswith("patch_embedding.patch_embeddings.") for name in names)


def convert(raw: RawFile) -> Weights:
    """Take the weights; cross-attention, held but never used, is dropped.

    Raises:
        CheckpointError: if no weight tells how patches are cut.
    """
    if "patch_embedding.patch_embeddings.1.weight" in raw.state:
        raise CheckpointError(
            f"{raw.path}: cuts patches by rearranging (proj_type 'perceptron'), and no"
            " weight tells their size; needs proj_type 'conv'"
        )
    return described(
        raw,
        from_monai(raw.state),
        layout="monai",
        rule="bicubic-antialias",
        layer_norm_eps=LAYER_NORM_EPS,
        logits_tanh="classification_head.0.weight" in raw.state,
    )


def from_monai(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return MONAI's weights under timm's names."""
    used = {name: value for name, value in state.items() if "cross_attn" not in name}
    return renamed(used, NAMES)
