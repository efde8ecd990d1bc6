"""Write random networks of timm and torchvision with all that they compute.

Runs in the peers' environment: ``python make.py FOLDER``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed, resample_patch_embed
from timm.models import vision_transformer as tv_timm
from timm.models.vision_transformer_hybrid import HybridEmbed, _resnetv2
from torchvision.models import vision_transformer as tv

SIZES = {"img_size": [32, 48], "patch_size": 16, "num_classes": 5, "embed_dim": 24}
SIZES |= {"depth": 3, "num_heads": 3, "mlp_ratio": 2.0}
TIMM = {
    "plain": {},
    "registers": {"reg_tokens": 4, "no_embed_class": True},
    "registers with positions": {"reg_tokens": 2},
    "qk-norm": {"qk_norm": True},
    "layer scale": {"init_values": 0.1, "no_embed_class": True},
    "mean then norm": {"global_pool": "avg"},
    "norm then mean": {"global_pool": "avg", "fc_norm": False, "class_token": False},
    "map": {"global_pool": "map", "class_token": False},
    "no positions": {"pos_embed": "none"},
    "no bias": {"qkv_bias": False},
    "tanh": {"act_layer": "gelu_tanh"},
    "gray": {"in_chans": 1},
    "features": {"num_classes": 0},
}


def randomized(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return model.double().eval()


def images_for(model: torch.nn.Module, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, *shape, dtype=torch.float64, generator=generator)


def write(folder: Path, model, images, tokens_of, blocks, maps) -> None:
    """Write what the network computes of these images; blocks and maps fill up."""
    images.requires_grad_()
    logits = model(images)
    (gradient,) = torch.autograd.grad(logits.square().sum(), images)
    blocks.clear()
    maps.clear()
    tokens = tokens_of(images)
    found = {
        "images": images,
        "logits": logits,
        "gradient": gradient,
        "tokens": tokens,
        "blocks": torch.stack(blocks),
        "maps": torch.stack(maps),
    }
    found["single"] = model.float()(images.float())
    torch.save({k: v.detach() for k, v in found.items()}, folder / "reference.pt")


def make_timm(root: Path) -> None:
    for name, settings in TIMM.items():
        arguments = SIZES | settings
        make_one_timm(root / f"timm {name}", arguments, tv_timm.VisionTransformer)
    distilled = timm.models.deit.VisionTransformerDistilled
    make_one_timm(root / "timm distilled", dict(SIZES), distilled)


def make_one_timm(folder: Path, arguments: dict, kind: type) -> None:
    folder.mkdir()
    model = randomized(kind(**arguments))
    save_file(model.state_dict(), folder / "model.safetensors")
    config = {"model_args": arguments, "pretrained_cfg": {"mean": [0.1] * 3}}
    (folder / "config.json").write_text(json.dumps(config))
    blocks, maps = [], []
    for block in model.blocks:
        block.attn.fused_attn = False
        block.register_forward_hook(lambda _m, _i, out: blocks.append(out))
        block.attn.attn_drop.register_forward_hook(lambda _m, _i, out: maps.append(out))
    images = images_for(model, arguments.get("in_chans", 3), *arguments["img_size"])
    write(folder, model, images, model.forward_features, blocks, maps)


def make_hybrid(root: Path) -> None:
    folder = root / "hybrid"
    folder.mkdir()
    arguments = SIZES | {"img_size": [32, 32], "patch_size": 1}
    backbone = _resnetv2((1, 2))

    def embed(**settings):
        return HybridEmbed(backbone=backbone, **settings)

    model = randomized(tv_timm.VisionTransformer(**arguments, embed_layer=embed))
    torch.save({"state_dict": model.state_dict()}, folder / "model.pth")
    images = images_for(model, 3, 32, 32)
    torch.save({"images": images, "logits": model(images).detach()}, folder / "out.pt")


def make_variant(root: Path) -> None:
    folder = root / "vit_tiny"
    folder.mkdir()
    model = randomized(timm.create_model("vit_tiny_patch16_224", num_classes=3))
    save_file(model.float().state_dict(), folder / "weights.safetensors")
    images = images_for(model, 3, 224, 224).float()
    torch.save({"images": images, "logits": model(images).detach()}, folder / "out.pt")
    path = str(folder / "weights.safetensors")
    other = timm.create_model(
        "vit_tiny_patch16_224",
        num_classes=3,
        img_size=(208, 176),
        pretrained=True,
        pretrained_cfg_overlay={"file": path, "num_classes": 3},
    ).eval()
    positions = resample_abs_pos_embed(model.pos_embed, (13, 11), num_prefix_tokens=1)
    kernel = resample_patch_embed(model.patch_embed.proj.weight, [8, 8])
    images = images_for(model, 3, 208, 176).float()
    torch.save(
        {
            "images": images,
            "logits": other(images).detach(),
            "positions": positions.detach(),
            "kernel": kernel.detach(),
        },
        folder / "resized.pt",
    )


def watched(model) -> tuple[list, list]:
    """Return lists that fill up with outputs of blocks and maps of attention."""
    blocks, maps = [], []

    def ask_for_maps(_module, inputs, settings):
        return inputs, settings | {"need_weights": True, "average_attn_weights": False}

    for layer in model.encoder.layers:
        layer.register_forward_hook(lambda _m, _i, out: blocks.append(out))
        attention = layer.self_attention
        attention.register_forward_pre_hook(ask_for_maps, with_kwargs=True)
        attention.register_forward_hook(lambda _m, _i, out: maps.append(out[1]))
    return blocks, maps


def make_torchvision(root: Path) -> None:
    for name, settings in (("plain", {}), ("pre-logits", {"representation_size": 7})):
        folder = root / f"torchvision {name}"
        folder.mkdir()
        model = randomized(
            tv.VisionTransformer(
                image_size=32,
                patch_size=16,
                num_layers=3,
                num_heads=3,
                hidden_dim=24,
                mlp_dim=40,
                num_classes=5,
                **settings,
            )
        )
        state = model.state_dict()
        torch.save(state, folder / "model.pth")
        old = {
            k.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): v
            for k, v in state.items()
        }
        torch.save(old, folder / "old.pth")
        bare = {k.replace("heads.head.", "heads."): v for k, v in state.items()}
        if not settings:
            torch.save(bare, folder / "bare.pth")
        wider = tv.interpolate_embeddings(64, 16, dict(state))
        torch.save({"positions": wider["encoder.pos_embedding"]}, folder / "wider.pt")
        blocks, maps = watched(model)

        def tokens_of(x, model=model):
            x = model._process_input(x)
            first = model.class_token.expand(len(x), -1, -1)
            return model.encoder(torch.cat([first, x], dim=1))

        write(folder, model, images_for(model, 3, 32, 32), tokens_of, blocks, maps)


if __name__ == "__main__":
    torch.set_num_threads(1)
    out = Path(sys.argv[1])
    make_timm(out)
    make_hybrid(out)
    make_variant(out)
    make_torchvision(out)
