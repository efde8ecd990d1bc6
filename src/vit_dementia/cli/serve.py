"""``vit-dementia serve``."""

from __future__ import annotations

from pathlib import Path

from vit_dementia import DISCLAIMER
from vit_dementia.cli.terminal import say
from vit_dementia.errors import ConfigError
from vit_dementia.inference.compute import Device
from vit_dementia.limits import ServingLimits


def serve(
    run: Path,
    /,
    *,
    port: int = 8000,
    host: str = "127.0.0.1",
    token_file: Path | None = None,
    name: tuple[str, ...] = (),
    device: Device = "auto",
    cases: int = 0,
    show_scans: bool = False,
    limits: ServingLimits = ServingLimits(),
) -> None:
    """Show a page, and answer programs, on this machine until Ctrl-C.

    Example: vit-dementia serve runs/first --port 8000

    Args:
        run: run folder, its model folder, or a cross-validation.
        port: to listen at; 0: any that is free.
        host: address to listen at; one that others reach needs --token-file.
        token_file: file with the secret that whoever asks has to show.
        name: further names of this server, where a proxy stands before it.
        device: where to compute.
        cases: offer so many training participants whose scans are most like the one
            that is asked about; who they are is not told.
        show_scans: show the scans of these cases too: only if the data's license and
            the participants' consent allow it.
    """
    try:
        from vit_dementia.serving.alike import Offered
        from vit_dementia.serving.run import rules_for, serve_run
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"serve: found no {error.name}; needs the extra: pip install "
            "'vit-dementia[serve]'"
        ) from error
    rules = rules_for(host, name, token_file, limits)
    say(DISCLAIMER)
    if cases > 0:
        say("cases like this: the training scans are read once, if they were not yet")
    serve_run(
        run,
        host=host,
        port=port,
        rules=rules,
        device=device,
        limits=limits,
        offered=Offered(cases=cases, show_scans=show_scans),
        say=say,
    )
