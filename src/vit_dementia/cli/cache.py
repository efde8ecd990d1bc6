"""``vit-dementia cache``."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from vit_dementia.cli.terminal import say

app = App(
    name="cache", help="Decoded scans kept on this machine, readable by you only."
)


@app.command(name="list")
def list_entries(*, cache: Path | None = None) -> None:
    """List the packed cohorts: key, scans, megabytes.

    Example: vit-dementia cache list

    Args:
        cache: the folder [default: the user's cache folder].
    """
    from vit_dementia.data.cache import default_cache, entries

    for entry in entries(cache):
        print(entry.key, entry.num_scans, f"{entry.num_bytes / 1e6:.1f}", sep="\t")
    say(f"in {cache or default_cache()}")


@app.command
def clear(*, cache: Path | None = None) -> None:
    """Remove every packed cohort; they are made again when needed.

    Example: vit-dementia cache clear

    Args:
        cache: the folder [default: the user's cache folder].
    """
    from vit_dementia.data.cache import clear as clear_cache

    say(f"freed {clear_cache(cache) / 1e6:.1f} MB")
