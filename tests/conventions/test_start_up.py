"""The command line answers at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COMMAND = Path(sys.executable).with_name("vit-dementia")
LONGEST_WAIT = 0.7  # seconds, the best of five


def test_help_answers_at_once() -> None:
    waits = []
    while len(waits) < 5 and min(waits, default=LONGEST_WAIT) >= LONGEST_WAIT:
        before = os.times()
        help_page = subprocess.run(
            [COMMAND, "--help"], capture_output=True, text=True, check=True
        )
        after = os.times()
        # The child's own time: on a busy machine the clock measures the neighbors.
        waits.append(
            after.children_user
            + after.children_system
            - before.children_user
            - before.children_system
        )
        assert "train" in help_page.stdout
    assert min(waits) < LONGEST_WAIT


def test_importing_the_package_brings_no_heavy_library() -> None:
    code = (
        "import sys, vit_dementia, vit_dementia.cli; "
        "print(*{'torch', 'monai', 'matplotlib', 'sklearn', 'nilearn', 'transformers', "
        "'pandas', 'scipy'} & set(sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == []
