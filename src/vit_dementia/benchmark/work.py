"""What is measured: the cases, and how much arithmetic each image costs in them.

Shapes: ``b`` images, ``c`` channels, ``h w`` pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from vit_dementia.benchmark.entries import Entry, build
from vit_dementia.models.description import Architecture
from vit_dementia.models.variants import architecture

What = Literal["forward", "training"]
Number = Literal["fp32", "bf16"]
Work = Callable[[Tensor], None]
NUM_CLASSES = 4
CHANNELS = 3  # every library has them; torchvision has no other
GRAD_CLIP = 1.0


@dataclass(frozen=True)
class Case:
    """One measurement that every entry takes part in.

    Attributes:
        model: the variant without ``ViT-``, such as ``B/16``.
        what: the forward pass, or a whole training step.
    """

    model: str
    batch: int
    precision: Number
    what: What
    image_size: int = 224

    @property
    def architecture(self) -> Architecture:
        """Return the network that is built by everybody."""
        return architecture(
            f"ViT-{self.model}",
            image_size=(self.image_size, self.image_size),
            channels=CHANNELS,
            num_classes=NUM_CLASSES,
        )

    def sentence(self) -> str:
        """Say the case in words.

        >>> Case("B/16", 8, "fp32", "training").sentence()
        'ViT-B/16, training, fp32, batch 8'
        """
        return f"ViT-{self.model}, {self.what}, {self.precision}, batch {self.batch}"


@dataclass(frozen=True)
class Cost:
    """What one image costs, whatever the machine.

    Attributes:
        num_parameters: of the network.
        flops: additions and multiplications of its matrix products for one image.
    """

    num_parameters: int
    flops: float


@cache
def cost_of(entry: Entry, architecture: Architecture, what: What) -> Cost:
    """Count parameters and arithmetic of an entry, on shapes alone."""
    with torch.device("meta"):
        model = build(entry, architecture)
        images = torch.empty(2, architecture.channels, *architecture.image_size)
    return count_cost(model.train(), images, what)


def count_cost(
    model: nn.Module, images: Float[Tensor, "b c *space"], what: What
) -> Cost:
    """Count parameters and arithmetic of a network on one batch.

    Fused attention is taken apart for it, since the counter knows only its products.
    """
    num_parameters = sum(p.numel() for p in model.parameters())
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        logits = model(images)
        if what == "training":
            logits.sum().backward()
    model.zero_grad()
    return Cost(num_parameters, counter.get_total_flops() / len(images))


def worker(
    model: nn.Module, *, what: What, precision: Number, fused: bool = True
) -> Work:
    """Return the work to be timed: the forward pass, or one step of AdamW.

    Args:
        fused: whether AdamW updates all parameters in one kernel.
    """

    def autocast(images: Tensor) -> torch.autocast:
        return torch.autocast(
            images.device.type, torch.bfloat16, enabled=precision == "bf16"
        )

    if what == "forward":
        model.eval()

        def forward(images: Float[Tensor, "b c *space"]) -> None:
            with torch.inference_mode(), autocast(images):
                model(images)

        return forward
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=fused)

    def step(images: Float[Tensor, "b c *space"]) -> None:
        labels = torch.arange(len(images), device=images.device) % NUM_CLASSES
        with autocast(images):
            logits = model(images)
        nn.functional.cross_entropy(logits.float(), labels).backward()
        nn.utils.clip_grad_norm_(model.parameters(), GRAD_CLIP)
        optimizer.step()
        optimizer.zero_grad()

    return step
