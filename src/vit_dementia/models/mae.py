"""The masked auto-encoder of He et al. 2021 (arXiv 2111.06377), 2-D and 3-D.

Most patches of an image are hidden; the encoder, a Vision Transformer, sees the few
that are shown, and a light decoder has to say what the hidden ones look like. Nobody
has to have labeled anything. The decoder is thrown away; the encoder has learned what
goes with what in such images, and is fine-tuned.

Shapes: b images, c channels, n patches that the encoder may read (without a head in
them they are neither shown nor asked for), v of them shown, t tokens the encoder works
on (those shown and those that are no patch), d width of a token, p numbers of a patch.
"""

from __future__ import annotations

from math import prod
from typing import cast

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from vit_dementia.config import MaskConfig
from vit_dementia.models.description import Architecture
from vit_dementia.models.initialization import initialize
from vit_dementia.models.positions import sincos_positions
from vit_dementia.models.vit import Block, VisionTransformer

EPSILON = 1e-6  # added to the variance of a patch (theirs; Sec. 4.1)
_WHOLE = {2: "b c (h p) (w q)", 3: "b c (l o) (h p) (w q)"}
_CUT = {2: "b (h w) (p q c)", 3: "b (l h w) (o p q c)"}


class MaskedAutoencoder(nn.Module):
    """Images and the patches that are shown in, the loss of each image out.

    Args:
        encoder: what is to learn; its head is not used.
        settings: of the decoder.
        generator: source of the decoder's first weights.
    """

    def __init__(
        self,
        encoder: VisionTransformer,
        settings: MaskConfig,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        a = _decoder(encoder.architecture, settings)
        self.decoder_embed = nn.Linear(encoder.architecture.embed_dim, a.embed_dim)
        self.mask_token = nn.Parameter(torch.empty(1, 1, a.embed_dim))
        self.decoder_blocks = nn.ModuleList(Block(a, layer) for layer in range(a.depth))
        self.decoder_norm = nn.LayerNorm(a.embed_dim, eps=a.layer_norm_eps)
        self.decoder_pred = nn.Linear(a.embed_dim, _numbers_in_patch(a))
        positions = sincos_positions(a.grid, a.embed_dim)
        if a.visible is not None:
            positions = positions[list(a.visible)]
        self.decoder_pos_embed: Tensor
        self.register_buffer(
            "decoder_pos_embed", positions[None].to(torch.get_default_dtype())
        )
        decoder = [self.decoder_embed, self.decoder_blocks, self.decoder_pred]
        for part in decoder:
            initialize(part, "mae", generator)
        nn.init.normal_(self.mask_token, std=0.02, generator=generator)

    def forward(
        self, images: Float[Tensor, "b c *space"], shown: Int[Tensor, "b v"]
    ) -> Float[Tensor, " b"]:
        """Return the mean squared error of each image over the patches not shown.

        Args:
            images: as for the encoder.
            shown: numbers of the patches shown, among those the encoder may read.
        """
        told = self.reconstruct(images, shown).float()  # the loss in full precision
        error = (told - self.targets(images)).square().mean(dim=2)
        is_hidden = torch.ones_like(error).scatter(1, shown, 0.0)
        return (error * is_hidden).sum(dim=1) / is_hidden.sum(dim=1)

    def reconstruct(
        self, images: Float[Tensor, "b c *space"], shown: Int[Tensor, "b v"]
    ) -> Float[Tensor, "b n p"]:
        """Return what the decoder says of every patch, shown or not, normalized."""
        z = self.decoder_embed(self.encode(images, shown))
        num_prefix = z.shape[1] - shown.shape[1]
        prefix, patches = z.tensor_split([num_prefix], dim=1)
        num_patches = self.decoder_pos_embed.shape[1]
        hidden = self.mask_token.to(z.dtype).expand(len(z), num_patches, -1)
        where = shown[..., None].expand_as(patches)
        z = hidden.scatter(1, where, patches) + self.decoder_pos_embed
        z = torch.cat([prefix.to(z.dtype), z], dim=1)  # no patch, no place: zeros
        for block in self.decoder_blocks:
            z = block(z)
        return self.decoder_pred(self.decoder_norm(z))[:, num_prefix:]

    def encode(
        self, images: Float[Tensor, "b c *space"], shown: Int[Tensor, "b v"]
    ) -> Float[Tensor, "b t d"]:
        """Return the normalized tokens; the encoder sees the shown patches only."""
        z = self.encoder.embed(images)
        num_prefix = z.shape[1] - self.decoder_pos_embed.shape[1]
        prefix, patches = z.tensor_split([num_prefix], dim=1)
        where = shown[..., None].expand(-1, -1, z.shape[2])
        z = torch.cat([prefix, patches.gather(1, where)], dim=1)
        for block in cast(list[Block], self.encoder.blocks):
            z = block(z)
        return self.encoder.norm(z)

    def targets(self, images: Float[Tensor, "b c *space"]) -> Float[Tensor, "b n p"]:
        """Return the patches asked for, each with mean 0 and variance 1 (Sec. 4.1)."""
        patches = patches_of(images, self.encoder.architecture).float()
        mean = patches.mean(dim=2, keepdim=True)
        variance = patches.var(dim=2, keepdim=True)  # unbiased, as in their code
        return (patches - mean) / (variance + EPSILON).sqrt()


def patches_of(
    images: Float[Tensor, "b c *space"], architecture: Architecture
) -> Float[Tensor, "b n p"]:
    """Return the numbers of each patch that is read, patch by patch."""
    a, axes = architecture, len(architecture.image_size)
    patches = rearrange(images, f"{_WHOLE[axes]} -> {_CUT[axes]}", **_sides(a))
    return patches if a.visible is None else patches[:, list(a.visible)]


def images_of(
    patches: Float[Tensor, "b n p"], architecture: Architecture
) -> Float[Tensor, "b c *space"]:
    """Return the images that have these patches; those that are not read are zero."""
    a, axes = architecture, len(architecture.image_size)
    if a.visible is not None:
        whole = patches.new_zeros(len(patches), a.num_patches, patches.shape[2])
        whole[:, list(a.visible)] = patches
        patches = whole
    counts = dict(zip("lhw"[-axes:], a.grid, strict=True))
    return rearrange(patches, f"{_CUT[axes]} -> {_WHOLE[axes]}", **_sides(a), **counts)


def _sides(a: Architecture) -> dict[str, int]:
    return dict(zip("opq"[-len(a.token_size) :], a.token_size, strict=True))


def choose_shown(noise: Float[Tensor, "b n"], *, hidden: float) -> Int[Tensor, "b v"]:
    """Return which patches of each image are shown: those of the least noise.

    At least one is shown, and at least one is not.

    >>> choose_shown(torch.tensor([[0.3, 0.1, 0.9, 0.4]]), hidden=0.5)
    tensor([[1, 0]])
    """
    num_patches = noise.shape[1]
    num_shown = min(max(1, round(num_patches * (1 - hidden))), num_patches - 1)
    return noise.argsort(dim=1)[:, :num_shown]


def _decoder(encoder: Architecture, settings: MaskConfig) -> Architecture:
    """Describe the decoder: a narrow Vision Transformer over the same patches."""
    return Architecture(
        image_size=encoder.image_size,
        patch_size=encoder.token_size,
        channels=encoder.channels,
        num_classes=0,
        embed_dim=settings.decoder_dim,
        depth=settings.decoder_depth,
        num_heads=settings.decoder_heads,
        mlp_dim=4 * settings.decoder_dim,
        layer_norm_eps=encoder.layer_norm_eps,
        visible=encoder.visible,
    )


def _numbers_in_patch(a: Architecture) -> int:
    return a.channels * prod(a.token_size)
