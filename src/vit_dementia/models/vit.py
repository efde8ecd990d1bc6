"""The Vision Transformer of Dosovitskiy et al. 2021 (arXiv 2010.11929), 2-D and 3-D.

An image becomes a sequence of patches (Eq. 1), L equal blocks rework the sequence
(Eqs. 2 and 3), and the head reads the class token (Eq. 4). Parameters are named as in
timm, so that public weights load. What is not in the paper is off unless the
``Architecture`` asks for it, and lives in modules of its own.

Shapes: b images, c channels, h w (or d h w) voxels along each axis, n tokens (the class
token and N patches), v patches that are read, d width of a token, t tokens
that the head reads, k classes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.utils.checkpoint import checkpoint

from vit_dementia.models.activation import ACTIVATIONS
from vit_dementia.models.attention import Attention, LocalityAttention
from vit_dementia.models.description import Architecture
from vit_dementia.models.initialization import Scheme, initialize
from vit_dementia.models.pooling import AttentionPool, PreLogits, SliceAttention
from vit_dementia.models.positions import sincos_positions
from vit_dementia.models.residual import DropPath, LayerScale
from vit_dementia.models.resnet import HybridEmbed
from vit_dementia.models.stems import ConvStem, ShiftedPatchEmbed, flat_patches


class VisionTransformer(nn.Module):
    """Images in, one logit per class out.

    Args:
        architecture: what to build.
        generator: source of the first weights; torch's global one if left out.
        scheme: how the weights begin.

    Attributes:
        architecture: what was built.
        gradient_checkpointing: while training, compute each block again in the backward
            pass instead of keeping its inside: less memory, a third more time.
    """

    def __init__(
        self,
        architecture: Architecture,
        generator: torch.Generator | None = None,
        scheme: Scheme = "google",
    ) -> None:
        super().__init__()
        self.architecture = a = architecture
        self.gradient_checkpointing = False
        self.patch_embed = STEMS[a.stem](a)
        self.cls_token = _tokens(int(a.class_token), a.embed_dim)
        self.dist_token = _tokens(int(a.distilled), a.embed_dim)
        self.reg_token = _tokens(a.num_registers, a.embed_dim)
        self._make_positions()
        self._see(a.visible)
        self.pos_drop = nn.Dropout(a.dropout)
        self.blocks = nn.ModuleList(Block(a, layer) for layer in range(a.depth))
        self.norm = nn.Identity() if a.fc_norm else _layer_norm(a)
        self.attn_pool = AttentionPool(a, Mlp(a)) if a.pooling == "map" else None
        self.fc_norm = _layer_norm(a) if a.fc_norm else nn.Identity()
        self.pre_logits = (
            PreLogits(a.embed_dim, a.pre_logits) if a.pre_logits else nn.Identity()
        )
        self.head = _head(a)
        self.head_dist = _head(a) if a.distilled else None
        self.slice_attention = SliceAttention.of(a)
        initialize(self, scheme, generator)

    def forward(self, images: Float[Tensor, "b c *space"]) -> Float[Tensor, "b k"]:
        """Return the logits of every class."""
        return self.forward_head(self.forward_features(images))

    def forward_features(
        self, images: Float[Tensor, "b c *space"]
    ) -> Float[Tensor, "b n d"]:
        """Return the normalized tokens after the last block, class token first."""
        z = self.embed(images)  # Eq. 1
        for block in self.blocks:
            if self.gradient_checkpointing and self.training:
                z = checkpoint(block, z, use_reentrant=False)
            else:
                z = block(z)  # Eqs. 2 and 3
        return self.norm(z)  # LN of Eq. 4

    def forward_head(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b k"]:
        """Return the logits for tokens that ``forward_features`` gave."""
        y = self.fc_norm(self.pool(z))  # Eq. 4: y = LN(z_L^0); fc_norm is off
        logits = self.head(self.pre_logits(y))
        if self.head_dist is not None:
            logits = (logits + self.head_dist(z[:, 1])) / 2
        return logits.tanh() if self.architecture.logits_tanh else logits

    def embed(self, images: Float[Tensor, "b c *space"]) -> Float[Tensor, "b n d"]:
        """Eq. 1: z_0 = [x_class; x_p^1 E; x_p^2 E; ...; x_p^N E] + E_pos.

        Raises:
            ValueError: if the images have another size than the network was made for.
        """
        needed = (self.architecture.channels, *self.architecture.image_size)
        if images.shape[1:] != needed:
            raise ValueError(
                f"images: found {tuple(images.shape[1:])}; this network needs"
                f" {needed} (channels first)"
            )
        z = self.patch_embed(images)
        positions = self.pos_embed
        if self.visible is not None:  # patches without a head are no work
            z = z[:, self.visible]
            positions = self._visible_positions(self.visible)
        if positions is None:
            z = self.with_prefix(z)
        elif self.architecture.position_prefix:
            z = self.with_prefix(z) + positions  # as in the paper
        else:
            z = self.with_prefix(z + positions)
        return self.pos_drop(z)

    def seeing(self, visible: tuple[int, ...] | None) -> VisionTransformer:
        """Return this network, sharing its weights, that reads only some patches.

        Args:
            visible: their numbers, row by row; None: all.

        Raises:
            ConfigError: if there are no such patches.
        """
        twin = copy.copy(self)
        twin.architecture = replace(self.architecture, visible=visible)
        twin._buffers = dict(self._buffers)  # the rest is shared
        twin._see(visible)
        return twin

    def with_prefix(self, z: Float[Tensor, "b _ d"]) -> Float[Tensor, "b n d"]:
        """Return the patches with the tokens that are no patch in front of them."""
        prefix = [
            token.expand(z.shape[0], -1, -1)
            for token in (self.cls_token, self.dist_token, self.reg_token)
            if token is not None
        ]
        return torch.cat([*prefix, z], dim=1)

    def pool(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b d"]:
        """Return one vector an image: its class token, or what its patches say.

        The mean is taken of normalized tokens, as in the paper's own code (App. D.3).
        """
        if self.architecture.pooling == "cls":
            return z[:, 0]
        patches = z[:, self.architecture.num_prefix_tokens :]
        return (
            patches.mean(dim=1) if self.attn_pool is None else self.attn_pool(patches)
        )

    def reduced(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b t d"]:
        """Return the fewest tokens that give the same logits in ``forward_head``."""
        num_prefix = self.architecture.num_prefix_tokens
        if self.architecture.pooling == "map":
            return z
        if self.architecture.pooling == "cls":
            return z[:, :num_prefix]
        mean = z[:, num_prefix:].mean(dim=1, keepdim=True)
        return torch.cat([z[:, :num_prefix], mean], dim=1)

    def attention_weights(
        self, images: Float[Tensor, "b c *space"], layers: Iterable[int] | None = None
    ) -> list[Float[Tensor, "b h n n"]]:
        """Return who looks where (A of Eq. 6) in the chosen blocks, first block first.

        The tokens go on by the fused attention of ``forward``; the weights are
        computed beside it and change nothing.

        Args:
            images: as for ``forward``.
            layers: block numbers from 0, negative ones from the end; all if left out.
        """
        depth = self.architecture.depth
        wanted = {range(depth)[i] for i in (range(depth) if layers is None else layers)}
        found = []
        z = self.embed(images)
        blocks = cast(list[Block], self.blocks)
        for layer, block in enumerate(blocks[: max(wanted, default=-1) + 1]):
            if layer in wanted:
                found.append(block.attention_weights(z))
            z = block(z)
        return found

    def _see(self, visible: tuple[int, ...] | None) -> None:
        self.visible: Tensor | None
        places = None
        if visible is not None:
            places = torch.tensor(visible, device=next(self.parameters()).device)
        self.register_buffer("visible", places, persistent=False)

    def _visible_positions(
        self, visible: Int[Tensor, " v"]
    ) -> Float[Tensor, "1 n d"] | None:
        if self.pos_embed is None:
            return None
        num_prefix = self.pos_embed.shape[1] - self.architecture.num_patches
        prefix, places = self.pos_embed.tensor_split([num_prefix], dim=1)
        return torch.cat([prefix, places[:, visible]], dim=1)

    def _make_positions(self) -> None:
        a = self.architecture
        self.pos_embed: Tensor | None
        if a.positions == "none":
            self.pos_embed = None
        elif a.positions == "learned":
            shape = (1, a.num_prefix_positions + a.num_patches, a.embed_dim)
            self.pos_embed = nn.Parameter(torch.empty(shape))
        else:  # tokens that are no place stand nowhere: zeros
            table = sincos_positions(a.grid, a.embed_dim)
            table = nn.functional.pad(table, (0, 0, a.num_prefix_positions, 0))[None]
            self.register_buffer("pos_embed", table.to(torch.get_default_dtype()))


class PatchEmbed(nn.Module):
    """Cut the image into patches and project each to a token: the x_p E of Eq. 1.

    E is kept as the kernels of a convolution, the layout of timm and others, whose
    stride is its kernel. Multiplying by it is the same, and faster in training.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        convolution: type[Any] = nn.Conv3d if len(a.image_size) == 3 else nn.Conv2d
        self.patch_size = a.patch_size
        self.proj = convolution(
            a.channels, a.embed_dim, kernel_size=a.patch_size, stride=a.patch_size
        )

    def forward(self, images: Float[Tensor, "b c *space"]) -> Float[Tensor, "b n d"]:
        """Return one token a patch, row by row."""
        x_p = flat_patches(images, self.patch_size)
        return linear(x_p, self.proj.weight.flatten(1), self.proj.bias)


STEMS: dict[str, type[nn.Module]] = {
    "patch": PatchEmbed,
    "resnet": HybridEmbed,
    "conv": ConvStem,
    "shifted": ShiftedPatchEmbed,
}


class Block(nn.Module):
    """One encoder layer: attention then MLP, each on normalized input, each added."""

    def __init__(self, architecture: Architecture, layer: int) -> None:
        super().__init__()
        a = architecture
        self.norm1 = _layer_norm(a)
        self.attn = LocalityAttention(a) if a.locality else Attention(a)
        self.ls1, self.drop_path1 = _branch_end(a, layer)
        self.norm2 = _layer_norm(a)
        self.mlp = Mlp(a)
        self.ls2, self.drop_path2 = _branch_end(a, layer)

    def forward(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Return the tokens, each having looked at the others and then thought.

        Eq. 2: z'_l = MSA(LN(z_{l-1})) + z_{l-1}
        Eq. 3: z_l = MLP(LN(z'_l)) + z'_l
        """
        z = z + self.drop_path1(self.ls1(self.attn(self.norm1(z))))  # Eq. 2
        z = z + self.drop_path2(self.ls2(self.mlp(self.norm2(z))))  # Eq. 3
        return z  # noqa: RET504 (a line for each equation)

    def attention_weights(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b h n n"]:
        """Return who would look where if these tokens came in."""
        return self.attn.weights(self.norm1(z))


class Mlp(nn.Module):
    """Two dense layers with a GELU between, the same for every token (Sec. 3.1)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        gates = a.mlp_dim if a.activation == "swiglu" else 0  # not in the paper
        self.fc1 = nn.Linear(a.embed_dim, gates + a.mlp_dim)
        self.act = ACTIVATIONS[a.activation]()
        self.drop1 = nn.Dropout(a.dropout)
        self.fc2 = nn.Linear(a.mlp_dim, a.embed_dim)
        self.drop2 = nn.Dropout(a.dropout)

    def forward(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Return the reworked tokens."""
        return self.drop2(self.fc2(self.drop1(self.act(self.fc1(z)))))


def _layer_norm(a: Architecture) -> nn.LayerNorm:
    return nn.LayerNorm(a.embed_dim, eps=a.layer_norm_eps)


def _branch_end(a: Architecture, layer: int) -> tuple[nn.Module, DropPath]:
    drop_path = DropPath(a.drop_path * layer / max(a.depth - 1, 1))  # linear rule
    if a.layer_scale is None:
        return nn.Identity(), drop_path
    return LayerScale(a.embed_dim, a.layer_scale), drop_path


def _tokens(number: int, dim: int) -> nn.Parameter | None:
    return nn.Parameter(torch.empty(1, number, dim)) if number else None


def _head(a: Architecture) -> nn.Module:
    if a.num_classes == 0:
        return nn.Identity()
    return nn.Linear(a.pre_logits or a.embed_dim, a.num_classes)
