"""Patches, and other ways to make tokens than one matrix for each of them.

Shapes: b images, c channels, n tokens, d width of a token.
"""

from __future__ import annotations

from math import log2, prod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from vit_dementia.errors import ConfigError
from vit_dementia.models.description import Architecture


class ConvStem(nn.Module):
    """Overlapping convolutions and pooling (CCT: Hassani et al. 2021, 2104.05704).

    Each of its layers makes the image four times smaller, so patches of 4 need one and
    patches of 16 two. For small data.
    """

    WIDTH = 64  # of all layers but the last, as in their code

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        num_layers = round(log2(a.patch_size[0]) / 2)
        if a.patch_size != (4**num_layers,) * len(a.patch_size):
            raise ConfigError(
                f"stem: 'conv' makes tokens of 4, 16 or 64 pixels; found {a.patch_size}"
            )
        volume = len(a.image_size) == 3
        convolution: type[Any] = nn.Conv3d if volume else nn.Conv2d
        widths = [a.channels] + [self.WIDTH] * (num_layers - 1) + [a.embed_dim]
        self.convs = nn.ModuleList(
            convolution(
                widths[i], widths[i + 1], kernel_size=7, stride=2, padding=3, bias=False
            )
            for i in range(num_layers)
        )
        pooling: type[Any] = nn.MaxPool3d if volume else nn.MaxPool2d
        self.pool = pooling(kernel_size=3, stride=2, padding=1)

    def forward(self, images: Float[Tensor, "b c *space"]) -> Float[Tensor, "b n d"]:
        """Return one token a place, row by row."""
        x = images
        for conv in self.convs:
            x = self.pool(conv(x).relu())
        return x.flatten(2).transpose(1, 2)


class ShiftedPatchEmbed(nn.Module):
    """Patches that also see their neighbors (SPT: Lee et al. 2021, arXiv 2112.13492).

    The slice is joined by itself shifted half a patch along the four diagonals. For
    small data; slices only.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        if len(a.patch_size) != 2:
            raise ConfigError("stem: 'shifted' is for slices, not for volumes")
        self.patch_size = a.patch_size
        inputs = 5 * a.channels * prod(a.patch_size)
        self.norm = nn.LayerNorm(inputs, eps=a.layer_norm_eps)
        self.proj = nn.Linear(inputs, a.embed_dim)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n d"]:
        """Return one token a patch, row by row."""
        down, right = (side // 2 for side in self.patch_size)
        shifted = [  # a negative pad cuts off what the opposite one adds
            pad(images, (x, -x, y, -y)) for y in (-down, down) for x in (-right, right)
        ]
        stack = torch.cat([images, *shifted], dim=1)
        return self.proj(self.norm(flat_patches(stack, self.patch_size)))


def flat_patches(
    images: Float[Tensor, "b c *space"], patch_size: tuple[int, ...]
) -> Float[Tensor, "b n p"]:
    """Return the numbers of every patch, patch by patch: the x_p of Sec. 3.1.

    Row by row; within a patch, as in the kernels of a convolution, channel by channel.
    The image's sides are multiples of the patch's.
    """
    b, c, *space = images.shape
    sides = zip(space, patch_size, strict=True)
    grid = images.reshape(b, c, *(n for s, p in sides for n in (s // p, p)))
    where, inside = range(2, grid.ndim, 2), range(3, grid.ndim, 2)
    cut = grid.permute(0, *where, 1, *inside)
    return cut.flatten(len(where) + 1).flatten(1, len(where))
