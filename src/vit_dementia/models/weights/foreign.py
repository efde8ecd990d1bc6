"""Networks that look like a plain Vision Transformer and are none, by what tells them.

Reading only the parts that fit would give other numbers than the network's own, so each
is refused by the feature that it has and ours has not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from vit_dementia.errors import CheckpointError

_MARKS = {
    r"(^|[._])rope|freqs_c(is|os)|rotary|inv_freq": (
        "positions that are rotations (RoPE), as in DINOv3 and EVA-02"
    ),
    r"(^|\.)(visual|vision_model|text_model|text_projection|logit_scale)(\.|$)": (
        "a tower of a model of images and texts (CLIP, SigLIP)"
    ),
    r"(^|\.)(norm_pre|ln_pre|pre_layrnorm)\.": (
        "a norm in front of the first block, as in CLIP"
    ),
    r"relative_position|rel_pos": (
        "positions relative to one another, as in BEiT, Swin and SAM"
    ),
    r"\.attn\.(q|v)_bias$": "biases of query and value alone, as in BEiT",
    r"\.attn\.norm\.|\.mlp\.norm\.": "further norms inside its blocks, as in BEiT-3",
    r"\.in_proj\.|attn_out_proj": "attention and MLP side by side (ViT-22B)",
    r"\.attns\.\d": "several attentions side by side in a block",
    r"\.lambda_[qk]": "attention that is the difference of two maps",
    r"\.mlp\.(fc1_[gx]|w1)\.": "the halves of a gated MLP apart, as in EVA-02",
    r"^layers\.\d+\.blocks\.": "stages of other resolutions, as in Swin",
}
# What transformers calls networks whose weights do not tell, and timm likewise.
_TYPES = {
    "dinov3_vit": "positions that are rotations (RoPE)",
    "clip": "a norm in front of the first block and other embeddings",
    "clip_vision_model": "a norm in front of the first block and other embeddings",
    "siglip_vision_model": "other embeddings and a head of its own",
    "vit_msn": "a head of its own",
}
_RES_POST_NORM = re.compile(r"_rpn_")


def refuse_foreign(
    names: Iterable[str], config: Mapping[str, Any], where: object
) -> None:
    """Refuse a network that is known to be no plain Vision Transformer.

    >>> refuse_foreign(["blocks.0.norm1.weight"], {}, "a.pth")

    Args:
        names: of its weights.
        config: of the file beside it.
        where: the file, for the message.

    Raises:
        CheckpointError: naming every feature that it has and ours has not.
    """
    found = [
        f"{feature} ({name})"
        for mark, feature in _MARKS.items()
        if (name := next((n for n in sorted(names) if re.search(mark, n)), None))
    ]
    kind = str(config.get("model_type", ""))
    if kind in _TYPES:
        found.append(f"{_TYPES[kind]} (model_type {kind!r})")
    if _RES_POST_NORM.search(str(config.get("architecture", ""))):
        found.append(f"norms behind its branches ({config['architecture']})")
    if found:
        raise CheckpointError(
            f"{where}: is no plain Vision Transformer: it has {'; '.join(found)};"
            " needs a network without; nothing was loaded"
        )
