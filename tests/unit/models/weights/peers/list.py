"""Write what timm's Vision Transformers are, without any weights of theirs.

Runs in the peers' environment: ``python list.py FOLDER``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import timm
import torch


def described(name: str) -> dict:
    with torch.device("meta"):
        model = timm.create_model(name)
    block = model.blocks[0]
    return {
        "shapes": {k: list(v.shape) for k, v in model.state_dict().items()},
        "is_plain": type(block).__name__ == "Block",
        "num_heads": getattr(getattr(block, "attn", None), "num_heads", None),
        "eps": getattr(getattr(block, "norm1", None), "eps", None),
        "activation": repr(getattr(getattr(block, "mlp", None), "act", None)),
        "global_pool": model.global_pool,
    }


if __name__ == "__main__":
    found = {
        name: described(name)
        for module in ("vision_transformer", "vision_transformer_hybrid", "deit")
        for name in timm.list_models(module=module)
    }
    (Path(sys.argv[1]) / "list.json").write_text(json.dumps(found))
