"""The same Vision Transformer from every library at hand, ours first.

To measure another way of doing the same job (fewer tokens, say), add an ``Entry``:
every table, ratio and memory figure then has a row for it.

Shapes: ``b`` images, ``c`` channels, ``h w`` pixels, ``k`` classes.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vit_dementia import __version__
from vit_dementia.errors import ConfigError
from vit_dementia.models.description import Architecture
from vit_dementia.models.vit import VisionTransformer


@dataclass(frozen=True)
class Entry:
    """One library's network.

    Attributes:
        name: as in the table.
        module: what must be importable.
        package: whose version is told.
        build: makes the network that an architecture describes, images in, logits out.
    """

    name: str
    module: str
    package: str
    build: Callable[[Architecture], nn.Module]

    @property
    def is_ours(self) -> bool:
        """Say whether this is no peer."""
        return self.module == "vit_dementia"

    @property
    def is_here(self) -> bool:
        """Say whether the library is installed; nothing is imported."""
        return importlib.util.find_spec(self.module) is not None

    @property
    def version(self) -> str:
        """Return the version of the library."""
        return __version__ if self.is_ours else version(self.package)


def _timm(a: Architecture) -> nn.Module:
    from timm.models import VisionTransformer as Timm

    return Timm(
        img_size=a.image_size,
        patch_size=a.patch_size[0],
        in_chans=a.channels,
        num_classes=a.num_classes,
        embed_dim=a.embed_dim,
        depth=a.depth,
        num_heads=a.num_heads,
        mlp_ratio=a.mlp_dim / a.embed_dim,
    )


def _torchvision(a: Architecture) -> nn.Module:
    from torchvision.models import VisionTransformer as Torchvision

    return Torchvision(
        image_size=a.image_size[0],
        patch_size=a.patch_size[0],
        num_layers=a.depth,
        num_heads=a.num_heads,
        hidden_dim=a.embed_dim,
        mlp_dim=a.mlp_dim,
        num_classes=a.num_classes,
    )


class _Logits(nn.Module):
    """A network of transformers, its answer unpacked."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        return self.network(images).logits


def _transformers(a: Architecture) -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    settings: dict[str, Any] = {
        "hidden_size": a.embed_dim,
        "num_hidden_layers": a.depth,
        "num_attention_heads": a.num_heads,
        "intermediate_size": a.mlp_dim,
        "image_size": a.image_size[0],
        "patch_size": a.patch_size[0],
        "num_channels": a.channels,
        "num_labels": a.num_classes,
    }
    return _Logits(ViTForImageClassification(ViTConfig(**settings)))


def _vit_pytorch(a: Architecture) -> nn.Module:
    from vit_pytorch import ViT

    return ViT(
        image_size=a.image_size,
        patch_size=a.patch_size[0],
        num_classes=a.num_classes,
        dim=a.embed_dim,
        depth=a.depth,
        heads=a.num_heads,
        dim_head=a.embed_dim // a.num_heads,
        mlp_dim=a.mlp_dim,
        channels=a.channels,
    )


class _PlainTransformer(nn.Module):
    """Patches before and a head behind ``torch.nn.TransformerEncoder``."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        side = a.patch_size[0]
        self.patches = nn.Conv2d(a.channels, a.embed_dim, side, stride=side)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, a.embed_dim))
        positions = torch.empty(1, 1 + a.num_patches, a.embed_dim)
        self.positions = nn.Parameter(nn.init.normal_(positions, std=0.02))
        layer = nn.TransformerEncoderLayer(
            a.embed_dim,
            a.num_heads,
            a.mlp_dim,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(
            layer,
            a.depth,
            norm=nn.LayerNorm(a.embed_dim),
            enable_nested_tensor=False,  # for sequences of unequal length
        )
        self.head = nn.Linear(a.embed_dim, a.num_classes)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        z = self.patches(images).flatten(2).transpose(1, 2)
        z = torch.cat((self.cls_token.expand(len(z), -1, -1), z), dim=1)
        return self.head(self.encoder(z + self.positions)[:, 0])


OURS = Entry("ours", "vit_dementia", "vit-dementia", VisionTransformer)
ENTRIES: tuple[Entry, ...] = (
    OURS,
    Entry("timm", "timm", "timm", _timm),
    Entry("torchvision", "torchvision", "torchvision", _torchvision),
    Entry("transformers", "transformers", "transformers", _transformers),
    Entry("vit-pytorch", "vit_pytorch", "vit-pytorch", _vit_pytorch),
    Entry("TransformerEncoder", "torch", "torch", _PlainTransformer),
)


def entries_here(names: Sequence[str] | None = None) -> list[Entry]:
    """Return the entries that can be measured on this machine, ours first.

    >>> [entry.name for entry in entries_here(["TransformerEncoder"])]
    ['ours', 'TransformerEncoder']

    Args:
        names: the peers wanted; None: all that are installed.

    Raises:
        ConfigError: if one that was asked for by name is unknown or not installed.
    """
    if names is None:
        return [entry for entry in ENTRIES if entry.is_here]
    known = {entry.name: entry for entry in ENTRIES}
    faults = [
        f"--peers: found {name!r}; needs some of {', '.join(known)}"
        for name in names
        if name not in known
    ] + [
        f"--peers: {name} is not installed here; run: make peers"
        for name in names
        if name in known and not known[name].is_here
    ]
    if faults:
        raise ConfigError.of(faults)
    return [OURS, *(known[name] for name in names if name != OURS.name)]


def build(entry: Entry, architecture: Architecture) -> nn.Module:
    """Return the network of an entry; what its library warns of is not our concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return entry.build(architecture)
