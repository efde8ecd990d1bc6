"""``vit-dementia convert``."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vit_dementia.cli.leak import tell_leak
from vit_dementia.cli.options import CohortOptions, names_in, read_cohort
from vit_dementia.cli.terminal import say, watch_for_people
from vit_dementia.errors import ConfigError
from vit_dementia.inference.compute import Device

Layout = Literal["native", "timm", "huggingface", "torchvision", "google", "historical"]


def convert(
    source: str,
    out: Path,
    /,
    *,
    form: Annotated[Layout, Parameter(name="--format")],
    channels: int | None = None,
    num_heads: int | None = None,
    source_image_size: tuple[int, int] | None = None,
    all_tokens: bool = False,
    data: Path | None = None,
    cohort: Annotated[CohortOptions, Parameter(name="*")] = CohortOptions(),
    device: Device = "auto",
    cache: Path | None = None,
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
        num_heads: attention heads, where neither the file nor its width tells.
        source_image_size: height and width that it was trained on, where positions
            form no square.
        all_tokens: make a network that leaves out background patches read all, as
            other libraries do; its logits change.
        cohort: how the scans are read; --classes also says what the outputs stand for,
            where the file of weights is silent.
        data: labelled scans on which to score that change; of a run's own scans, its
            test part.
        device: where to compute the scores.
        cache: folder for decoded scans [default: the user's cache folder].
        json: print one JSON document on stdout.
    """
    from vit_dementia.models.weights import read_weights
    from vit_dementia.workflows import convert as workflow
    from vit_dementia.workflows.all_tokens import change_with_all_tokens

    if data is not None and not all_tokens:
        raise ConfigError(
            "--data: scores the change that --all-tokens makes; name both"
        )
    weights = read_weights(
        source,
        classes=names_in(cohort.classes),
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
    tell_leak(source)
    say(
        f"written: {done.path} ({form}); logits differ by {done.largest_difference:.1e}"
    )
    answer = done.to_dict() | {"change_of_scores": None}
    if data is not None:
        change = change_with_all_tokens(
            Path(source),
            read_cohort(data, cohort),
            device=device,
            cache=cache,
            watch=watch_for_people(),
        )
        say(f"{change.count} {change.unit}s, {change.whose}:")
        for line in change.sentences():
            say(f"  {line}")
        answer["change_of_scores"] = change.to_dict()
    elif all_tokens:
        say(
            "its scores change with its logits, and this did not measure how much: "
            "give labelled scans by --data"
        )
    if json:
        print(json_module.dumps(answer, indent=2, allow_nan=False))
