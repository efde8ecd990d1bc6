"""Names of prepared volumes, as BIDS derivatives and Clinica have them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from vit_dementia.data.classes import UNKNOWN
from vit_dementia.preparation.pipeline import Pipeline
from vit_dementia.preparation.templates import load_template


def ending_of(pipeline: Pipeline) -> str:
    """Return the part of a name that tells the preparation.

    >>> ending_of(Pipeline(pipeline="none"))
    'desc-prepared_T1w.nii.gz'
    >>> ending_of(Pipeline(pipeline="fast", spacing_mm=2.0, skull_strip=True))
    'space-MNI152NLin2009a_desc-CropBrain_res-2x2x2_T1w.nii.gz'
    """
    brain = "Brain" if pipeline.skull_strip else ""
    if pipeline.pipeline == "none":
        return f"desc-{'brain' if brain else 'prepared'}_T1w.nii.gz"
    side = f"{pipeline.spacing_mm or 1.0:g}".replace(".", "p")
    space = load_template(pipeline.template).space
    return f"space-{space}_desc-Crop{brain}_res-{side}x{side}x{side}_T1w.nii.gz"


def names_for(
    people: Iterable[tuple[str, str]], pipeline: Pipeline
) -> list[PurePosixPath]:
    """Return the path of each scan, relative to the output.

    Args:
        people: participant and session of each scan, in the order of the cohort.
        pipeline: how they are prepared.

    >>> none = Pipeline(pipeline="none")
    >>> for name in names_for([("sub-07", "ses-M00"), ("A_1", "n/a")], none):
    ...     print(name)
    sub-07/ses-M00/anat/sub-07_ses-M00_desc-prepared_T1w.nii.gz
    sub-A1/anat/sub-A1_desc-prepared_T1w.nii.gz
    """
    ending = ending_of(pipeline)
    pairs = [(_label(who, "sub"), _label(when, "ses")) for who, when in people]
    total, seen = Counter(pairs), Counter[tuple[str, str]]()
    names = []
    for number, pair in enumerate(pairs, start=1):
        who, when = pair
        seen[pair] += 1
        parts = [f"sub-{who or f'scan{number:04}'}"]
        parts += [f"ses-{when}"] if when else []
        folder = PurePosixPath(*parts) / "anat"
        # Several scans of one visit, or of people whom a file's name cannot tell apart.
        run = [f"run-{seen[pair]}"] if who and total[pair] > 1 else []
        names.append(folder / "_".join([*parts, *run, ending]))
    return names


def _label(identity: str, entity: str) -> str:
    """Return letters and digits only, as BIDS allows; nothing where it is unknown.

    >>> _label("sub-OAS1_0254", "sub"), _label("n/a", "ses")
    ('OAS10254', '')
    """
    if identity == UNKNOWN:
        return ""
    return re.sub(r"[^A-Za-z0-9]", "", identity.removeprefix(f"{entity}-"))
