"""The Vision Transformer of Dosovitskiy et al. 2021 (arXiv 2010.11929), 2-D and 3-D.

An image becomes a sequence of patches (Eq. 1), L equal blocks rework the sequence
(Eqs. 2 and 3), and the head reads the class token (Eq. 4). Parameters are named as in
timm, so that public weights load.

Shapes: b images, c channels, h w (or d h w) voxels along each axis, n tokens (the class
token and N patches), d width of a token, k classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vit_dementia.models.attention import Attention
from vit_dementia.models.initialization import initialize
from vit_dementia.models.residual import DropPath
from vit_dementia.models.variants import Architecture


class VisionTransformer(nn.Module):
    """Images in, one logit per class out.

    Args:
        architecture: what to build.
        generator: source of the first weights; torch's global one if left out.
    """

    def __init__(
        self, architecture: Architecture, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.architecture = a = architecture
        self.patch_embed = PatchEmbed(a)
        self.cls_token = (
            nn.Parameter(torch.empty(1, 1, a.embed_dim)) if a.class_token else None
        )
        num_tokens = a.num_prefix_tokens + a.num_patches
        self.pos_embed = nn.Parameter(torch.empty(1, num_tokens, a.embed_dim))
        self.pos_drop = nn.Dropout(a.dropout)
        self.blocks = nn.ModuleList(Block(a, layer) for layer in range(a.depth))
        self.norm = nn.LayerNorm(a.embed_dim, eps=a.layer_norm_eps)
        self.head = (
            nn.Linear(a.embed_dim, a.num_classes) if a.num_classes else nn.Identity()
        )
        initialize(self, generator)

    def forward(self, images: Float[Tensor, "b c *space"]) -> Float[Tensor, "b k"]:
        """Return the logits of every class."""
        return self.forward_head(self.forward_features(images))

    def forward_features(
        self, images: Float[Tensor, "b c *space"]
    ) -> Float[Tensor, "b n d"]:
        """Return the normalized tokens after the last block, class token first."""
        z = self.embed(images)  # Eq. 1
        for block in self.blocks:
            z = block(z)  # Eqs. 2 and 3
        return self.norm(z)  # LN of Eq. 4

    def forward_head(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b k"]:
        """Return the logits for tokens that ``forward_features`` gave."""
        return self.head(self.pool(z))

    def embed(self, images: Float[Tensor, "b c *space"]) -> Float[Tensor, "b n d"]:
        """Eq. 1: z_0 = [x_class; x_p^1 E; x_p^2 E; ...; x_p^N E] + E_pos."""
        z = self.patch_embed(images)
        if self.cls_token is not None:
            z = torch.cat([self.cls_token.expand(z.shape[0], -1, -1), z], dim=1)
        return self.pos_drop(z + self.pos_embed)

    def pool(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b d"]:
        """Return y of Eq. 4, one vector an image: its class token, or its mean patch.

        The mean is taken of normalized tokens, as in the paper's own code (App. D.3).
        """
        if self.architecture.pooling == "cls":
            return z[:, 0]
        return z[:, self.architecture.num_prefix_tokens :].mean(dim=1)

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


class PatchEmbed(nn.Module):
    """Cut the image into patches and project each to a token: the E of Eq. 1.

    A convolution whose stride is its kernel multiplies every flattened patch by one
    matrix, which is what the equation says.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        self.image_shape = (a.channels, *a.image_size)
        convolution: type[Any] = nn.Conv3d if len(a.image_size) == 3 else nn.Conv2d
        self.proj = convolution(
            a.channels, a.embed_dim, kernel_size=a.patch_size, stride=a.patch_size
        )

    def forward(self, images: Float[Tensor, "b c *space"]) -> Float[Tensor, "b n d"]:
        """Return one token a patch, row by row.

        Raises:
            ValueError: if the images have another size than the network was made for.
        """
        if images.shape[1:] != self.image_shape:
            raise ValueError(
                f"images: found {tuple(images.shape[1:])}; this network needs"
                f" {self.image_shape} (channels first)"
            )
        return self.proj(images).flatten(2).transpose(1, 2)


class Block(nn.Module):
    """One encoder layer: attention then MLP, each on normalized input, each added."""

    def __init__(self, architecture: Architecture, layer: int) -> None:
        super().__init__()
        a = architecture
        drop_path = a.drop_path * layer / max(a.depth - 1, 1)  # linear rule
        self.norm1 = nn.LayerNorm(a.embed_dim, eps=a.layer_norm_eps)
        self.attn = Attention(a)
        self.drop_path1 = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(a.embed_dim, eps=a.layer_norm_eps)
        self.mlp = Mlp(a)
        self.drop_path2 = DropPath(drop_path)

    def forward(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Return the tokens, each having looked at the others and then thought."""
        z = z + self.drop_path1(self.attn(self.norm1(z)))  # Eq. 2: z' = MSA(LN(z)) + z
        z = z + self.drop_path2(self.mlp(self.norm2(z)))  # Eq. 3: z = MLP(LN(z')) + z'
        return z  # noqa: RET504 (a line for each equation)

    def attention_weights(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b h n n"]:
        """Return who would look where if these tokens came in."""
        return self.attn.weights(self.norm1(z))


class Mlp(nn.Module):
    """Two dense layers with a GELU between, the same for every token (Sec. 3.1)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        self.fc1 = nn.Linear(a.embed_dim, a.mlp_dim)
        self.act = nn.GELU("tanh" if a.activation == "gelu_tanh" else "none")
        self.drop1 = nn.Dropout(a.dropout)
        self.fc2 = nn.Linear(a.mlp_dim, a.embed_dim)
        self.drop2 = nn.Dropout(a.dropout)

    def forward(self, z: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Return the reworked tokens."""
        return self.drop2(self.fc2(self.drop1(self.act(self.fc1(z)))))
