"""Open with timm and torchvision what we wrote, and write the logits they give.

Runs in the peers' environment: ``python open.py FOLDER``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import timm
import torch
from torchvision.models.vision_transformer import VisionTransformer


def open_timm(folder: Path):
    model = timm.create_model(f"local-dir:{folder}", pretrained=True)
    config = json.loads((folder / "config.json").read_text())
    again = timm.create_model(
        config["architecture"],
        num_classes=config["num_classes"],
        checkpoint_path=str(folder / "model.safetensors"),
        **config["model_args"],
    )
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    return model


def open_torchvision(folder: Path):
    model = VisionTransformer(
        image_size=32,
        patch_size=16,
        num_layers=3,
        num_heads=3,
        hidden_dim=24,
        mlp_dim=40,
        num_classes=5,
    )
    model.load_state_dict(torch.load(folder / "model.pth", weights_only=True))
    return model


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)  # so that no digit of the file is lost
    for folder in sorted(Path(sys.argv[1]).iterdir()):
        images = torch.load(folder / "images.pt", weights_only=True)
        opened = (open_timm if folder.name.startswith("timm") else open_torchvision)(
            folder
        )
        torch.save(opened.eval()(images).detach(), folder / "theirs.pt")
