"""The ResNet in front of the paper's hybrids (Sec. 3.1 and App. B of 2010.11929).

It is BiT's (Kolesnikov et al. 2020, arXiv 1912.11370) with the activation after the
normalization: convolutions with standardized kernels, group normalization, and padding
that puts an odd pixel right and below. Parameters are named as in timm.

Shapes: b images, c channels, h w pixels, n tokens, d width of a token.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d, pad

from vit_dementia.errors import ConfigError
from vit_dementia.models.description import Architecture

ROOT_WIDTH = 64
GROUPS = 32


class HybridEmbed(nn.Module):
    """A ResNet whose last feature map is cut into patches (of one place, mostly)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = architecture
        if len(a.patch_size) != 2:
            raise ConfigError("stem: 'resnet' is for slices, not for volumes")
        root = Root(a.channels)
        self.backbone = ResNet(root, a.resnet) if a.resnet else root
        width = ROOT_WIDTH * 2 ** (len(a.resnet) + 1) if a.resnet else ROOT_WIDTH
        height_width = (a.patch_size[0], a.patch_size[1])
        self.proj = nn.Conv2d(width, a.embed_dim, height_width, height_width)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b n d"]:
        """Return one token a place of the feature map, row by row."""
        return self.proj(self.backbone(images)).flatten(2).transpose(1, 2)


class ResNet(nn.Module):
    """A root and some stages; each stage but the first halves the feature map."""

    def __init__(self, root: nn.Module, units: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = root
        self.stages = nn.ModuleList()
        width = ROOT_WIDTH
        for stage, num_units in enumerate(units):
            out = 256 * 2**stage
            self.stages.append(Stage(width, out, num_units, 1 if stage == 0 else 2))
            width = out

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b _ _ _"]:
        """Return the feature map of the last stage."""
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
        return x


class Root(nn.Module):
    """The first convolution and pooling: a map four times smaller than the image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = StdConv(channels, ROOT_WIDTH, 7, stride=2)
        self.norm = GroupNorm(ROOT_WIDTH)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b _ _ _"]:
        """Return the first feature map."""
        x = self.norm(self.conv(images)).relu()
        return max_pool2d(pad_same(x, 3, 2, value=float("-inf")), 3, 2)


class Stage(nn.Module):
    """Units at one resolution, under timm's names (``blocks.N``)."""

    def __init__(self, width: int, out: int, num_units: int, stride: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Unit(out if unit else width, out, 1 if unit else stride)
            for unit in range(num_units)
        )

    def forward(self, x: Float[Tensor, "b _ _ _"]) -> Float[Tensor, "b _ _ _"]:
        """Return the feature map after all units."""
        for unit in self.blocks:
            x = unit(x)
        return x


class Unit(nn.Module):
    """A bottleneck: narrow, look around, widen, and add to what came in."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        middle = out // 4
        changes = width != out or stride != 1
        self.downsample = Downsample(width, out, stride) if changes else nn.Identity()
        self.conv1, self.norm1 = StdConv(width, middle, 1), GroupNorm(middle)
        self.conv2, self.norm2 = StdConv(middle, middle, 3, stride), GroupNorm(middle)
        self.conv3, self.norm3 = StdConv(middle, out, 1), GroupNorm(out)

    def forward(self, x: Float[Tensor, "b _ _ _"]) -> Float[Tensor, "b _ _ _"]:
        """Return the feature map after this unit."""
        y = self.norm1(self.conv1(x)).relu()
        y = self.norm2(self.conv2(y)).relu()
        y = self.norm3(self.conv3(y))
        return (y + self.downsample(x)).relu()


class Downsample(nn.Module):
    """The way around a unit that changes the size of the map."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv, self.norm = StdConv(width, out, 1, stride), GroupNorm(out)

    def forward(self, x: Float[Tensor, "b _ _ _"]) -> Float[Tensor, "b _ _ _"]:
        """Return the map in its new size."""
        return self.norm(self.conv(x))


class StdConv(nn.Conv2d):
    """A convolution by standardized kernels (Qiao et al. 2019, arXiv 1903.10520)."""

    EPS = 1e-5  # added to the deviation, not to the variance, as in the paper's code

    def __init__(self, width: int, out: int, kernel: int, stride: int = 1) -> None:
        super().__init__(width, out, kernel, stride, bias=False)

    def forward(self, x: Float[Tensor, "b _ _ _"]) -> Float[Tensor, "b _ _ _"]:
        """Return the map convolved by kernels of mean 0 and deviation 1."""
        centered = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
        deviation = centered.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        x = pad_same(x, self.kernel_size[0], self.stride[0])
        return conv2d(x, centered / (deviation + self.EPS), stride=self.stride)


class GroupNorm(nn.GroupNorm):
    """Group normalization as in the paper's code: 32 groups, eps 1e-6."""

    def __init__(self, width: int) -> None:
        super().__init__(min(GROUPS, width), width, eps=1e-6)


def pad_same(
    x: Float[Tensor, "b c h w"], kernel: int, stride: int, value: float = 0.0
) -> Float[Tensor, "b c _ _"]:
    """Pad so that the next map is the size over the stride; odd pixels right and below.

    >>> import torch
    >>> pad_same(torch.zeros(1, 1, 224, 224), kernel=7, stride=2).shape
    torch.Size([1, 1, 229, 229])
    """
    height, width = (
        max((-(-side // stride) - 1) * stride + kernel - side, 0)
        for side in x.shape[2:]
    )
    sides = (width // 2, width - width // 2, height // 2, height - height // 2)
    return pad(x, sides, value=value)
