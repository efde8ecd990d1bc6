"""``vit-dementia convert``."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vit_dementia.cli.options import names_in
from vit_dementia.cli.terminal import say

Layout = Literal["native", "timm", "huggingface", "torchvision", "google", "historical"]


def convert(
    source: str,
    out: Path,
    /,
    *,
    form: Annotated[Layout, Parameter(name="--format")],
    channels: int | None = None,
    classes: str | None = None,
    num_heads: int | None = None,
    source_image_size: tuple[int, int] | None = None,
    all_tokens: bool = False,
    json: bool = False,
) -> None:
    """Write weights in the layout of another library, with the same logits.

    Example: vit-dementia convert runs/whole exported --format huggingface

    Args:
        source: run, model folder, weight file, or a name such as hf-hub:OWNER/NAME.
        out: folder to write into.
        form: who is to open it. What it cannot express is refused, by name.
        channels: of the written network [default: as read; 3 for huggingface, whose
            pipelines give every image three].
        classes: what the outputs stand for, in order: A,B,C, where the file is silent.
        num_heads: attention heads, where neither the file nor its width tells.
        source_image_size: height and width that it was trained on, where positions
            form no square.
        all_tokens: make a network that leaves out background patches read all, as
            other libraries do; its logits change, so score the copy before use.
        json: print one JSON document on stdout.
    """
    from vit_dementia.models.weights import read_weights
    from vit_dementia.workflows import convert as workflow

    weights = read_weights(
        source,
        classes=names_in(classes),
        num_heads=num_heads,
        source_image_size=source_image_size,
    )
    done = workflow.convert(
        weights,
        out,
        form,
        channels=channels,
        all_tokens=all_tokens,
        preprocessing=workflow.preprocessing_beside(source),
    )
    say(f"read: {source} ({done.layout})")
    say(
        f"written: {done.path} ({form}); logits differ by {done.largest_difference:.1e}"
    )
    if json:
        print(json_module.dumps(done.to_dict(), indent=2, allow_nan=False))
