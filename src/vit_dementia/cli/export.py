"""``vit-dementia export``."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from vit_dementia.cli.leak import tell_leak
from vit_dementia.cli.terminal import say
from vit_dementia.errors import ConfigError

Form = Literal[
    "native",
    "onnx",
    "openvino",
    "torch-export",
    "monai",
    "huggingface",
    "timm",
    "torchvision",
]


def export(
    run: Path,
    out: Path,
    /,
    *,
    form: Annotated[Form, Parameter(name="--format")],
    check_on: tuple[Path, ...] = (),
    all_tokens: bool = False,
    int8: bool = False,
    json: bool = False,
) -> None:
    """Write a model for another runtime, held to the same answers on real scans.

    Example: vit-dementia export runs/first exported --format onnx

    Args:
        run: run folder, or its model folder.
        out: new folder to write into.
        form: who is to run it.
        check_on: scans, or folders of them, on which both must agree [default: some
            that the run was given].
        all_tokens: make a model that leaves out background patches read all, for a
            library that cannot leave them out; its answers change (see convert).
        int8: for onnx: multiply whole numbers of 8 bits, fitted to training scans; what
            that costs is scored on the validation part.
        json: print one JSON document on stdout.
    """
    from vit_dementia.workflows import export as workflow
    from vit_dementia.workflows.export_int8 import export_int8

    tell_leak(run)
    if int8:
        if form != "onnx" or all_tokens or check_on:
            raise ConfigError(
                "--int8: goes with --format onnx, without --all-tokens and --check-on"
            )
        rounded = export_int8(run, out)
        say(f"written: {rounded.path} (onnx, 8 bits); {rounded.sentence()}")
        if json:
            print(json_module.dumps(rounded.to_dict(), indent=2, allow_nan=False))
        return
    done = workflow.export(run, out, form, check_on=check_on, all_tokens=all_tokens)
    say(
        f"written: {done.path} ({form}); on {done.num_checked} scans its logits differ"
        f" by {done.largest_difference:.1e} at most"
    )
    if json:
        print(json_module.dumps(done.to_dict(), indent=2, allow_nan=False))
