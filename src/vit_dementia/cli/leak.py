"""The leak that somebody allowed, told again by every later command on that model."""

from __future__ import annotations

from pathlib import Path

from vit_dementia.cli.terminal import say


def tell_leak(model: Path | str) -> None:
    """Say why a run's model was trained across a leak; nothing of any other model."""
    from vit_dementia.inference.model_folder import leak_allowed

    if reason := leak_allowed(Path(model)):
        say(f"{model}: was trained across a leak: {reason}")
