"""The main job on the embedded data: phantoms, training, evaluation, report."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from vit_dementia import recipes
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.phantoms import make_phantoms
from vit_dementia.progress import Quiet, Watch
from vit_dementia.training.run import train
from vit_dementia.training.run_folder import RunFolder
from vit_dementia.workflows.evaluate import evaluate
from vit_dementia.workflows.report.options import ReportOptions

RECIPE = "demo"
PARTICIPANTS = 560  # 84 of them are held out and scored
SLICES = 6  # of each participant


def demo(out: Path, *, seed: int = 0, watch: Watch | None = None) -> Path:
    """Make phantoms in ``out``, train on some, score the others; return that folder.

    Raises:
        DataError: if ``out`` is there already.
    """
    watch = watch or Quiet()
    RunFolder.refuse_taken(out)
    settings = recipes.read_recipe(RECIPE) | {"seed": seed}
    config = recipes.config_from(settings, where=f"recipe {RECIPE}")
    watch.say(f"making {PARTICIPANTS} phantom participants")
    data = make_phantoms(
        out / "data", participants=PARTICIPANTS, classes=3, seed=seed, slices=SLICES
    )
    run = train(
        Cohort.from_path(data),
        config,
        out=out / "run",
        cache=out / "cache",
        watch=watch,
    )
    nobody_real = ReportOptions(
        show_scans=True,
        data_source="phantoms: simulated from the ICBM 152 template, nobody real",
    )
    has_captum = find_spec("captum") is not None  # an extra
    if not has_captum:
        watch.say('no maps in the report: they need "vit-dementia[explain]"')
    return evaluate(
        run,
        explain=has_captum,
        cache=out / "cache",
        options=nobody_real,
        watch=watch,
    )
