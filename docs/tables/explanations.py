"""Make ``explanations.tsv``: which method finds the place where the disease is.

Phantoms have a mask of where atrophy was put. On slices of held-out people with
dementia, each method explains the true class to the network of ``vit-dementia demo``,
and its map is held against the mask: pointing game, AUROC within the head, share of
relevance in the mask. The floors need no network: a random map, and a bump in the
middle. Intervals resample participants. Faithfulness is measured on some of the slices;
seconds are of one thread's processor time.

``explanations/scores.tsv`` holds a row for each slice and method; a test makes the
table from it again. ``outside`` is the share of the map outside the head that 95 % of
these clean slices stay below.

Run: ``make table explanations`` (an hour, most of it the training of four demos; a demo
that stands in ``runs/table-explanations/SEED`` is used as it is).
"""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float32
from PIL import Image

from vit_dementia.benchmark.machine import commit_of_source
from vit_dementia.explanation.faithfulness import measure
from vit_dementia.explanation.methods import Method, explain, without_pedestal
from vit_dementia.explanation.outside import share_outside
from vit_dementia.explanation.truth import auroc_of_place, hits, mass_inside
from vit_dementia.files import write_text
from vit_dementia.inference.model_folder import SavedModel, read_model_folder
from vit_dementia.preparation.silhouette import head_of

HERE = Path(__file__).parent
WORK = Path("runs/table-explanations")
SEEDS = (0, 1, 2, 4)
SLICES = 24  # of each seed, one a participant
MEASURED = 3  # of them also measured for faithfulness
LEAST = 30  # pixels that a mask must have
REPEATS = 2000
FLOORS = ("random", "middle")


def main() -> None:
    """Make what is missing, then the table."""
    torch.set_num_threads(1)
    rows = [row for seed in SEEDS for row in _of_seed(seed)]
    scores = pd.DataFrame(rows)
    text = scores.to_csv(sep="\t", index=False, lineterminator="\n")
    write_text(HERE / "explanations" / "scores.tsv", text)
    facts = {
        "seeds": ",".join(map(str, SEEDS)),
        "commit": commit_of_source(),
        "date": datetime.now(UTC).date().isoformat(),
        "command": "make table explanations",
    }
    table = summary(scores).assign(**facts)
    write_text(
        HERE / "explanations.tsv",
        table.to_csv(sep="\t", index=False, lineterminator="\n"),
    )


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each method: means, and 95 % intervals over participants."""
    rows = []
    for method, some in scores.groupby("method", sort=False):
        row: dict[str, Any] = {"method": method, "participants": len(some)}
        for name in ("auroc", "hit", "mass"):
            values = some[name].to_numpy(dtype=float)
            rng = np.random.default_rng(0)
            means = rng.choice(values, (REPEATS, len(values))).mean(axis=1)
            low, high = np.quantile(means, [0.025, 0.975])
            row |= {
                name: round(float(values.mean()), 3),
                f"{name}_low": round(float(low), 3),
                f"{name}_high": round(float(high), 3),
            }
        for name in ("gain", "sensitivity", "stability", "randomized", "faithful"):
            row[name] = round(float(some[name].astype(float).mean()), 2)
        row["outside"] = round(float(some["outside"].quantile(0.95)), 2)
        row["seconds"] = round(float(some["seconds"].median()), 3)
        rows.append(row)
    return pd.DataFrame(rows).sort_values("auroc", ascending=False)


def _of_seed(seed: int) -> list[dict[str, Any]]:
    folder = WORK / str(seed)
    if not folder.exists():
        words = [sys.executable, "-m", "vit_dementia", "demo", "--seed", str(seed)]
        subprocess.run([*words, "--out", str(folder)], check=True)
    model = read_model_folder(folder / "run")
    rows = []
    for number, (scan, label) in enumerate(_chosen(folder, seed)):
        print(f"seed {seed}: slice {number + 1} of {SLICES}", file=sys.stderr)
        measured = number < MEASURED
        found = _of_slice(model, folder, scan, label, seed, is_measured=measured)
        rows += [{"seed": seed, "slice": number} | row for row in found]
    return rows


def _chosen(folder: Path, seed: int) -> list[tuple[str, str]]:
    """Return one slice each of held-out people whose mask is not too small."""
    told = pd.read_csv(folder / "run/evaluation/test/predictions.tsv", sep="\t")
    rng = np.random.default_rng(seed)
    chosen = []
    for _, some in told.sample(frac=1, random_state=seed).groupby(
        "participant_id", sort=False
    ):
        path, label = some.iloc[int(rng.integers(len(some)))][["path", "label"]]
        if _mask(folder, path).sum() >= LEAST:
            chosen.append((path, label))
    return chosen[:SLICES]


def _mask(folder: Path, path: str) -> Bool[np.ndarray, "h w"]:
    where = folder / "data/masks" / Path(path).relative_to("images")
    if not where.exists():  # no dementia
        return np.zeros((1, 1), bool)
    return np.asarray(Image.open(where)) > 0


def _of_slice(
    model: SavedModel,
    folder: Path,
    path: str,
    label: str,
    seed: int,
    *,
    is_measured: bool,
) -> list[dict[str, Any]]:
    stored = model.preprocessing.read(folder / "data" / path)
    head, mask = head_of(stored.mean(axis=0)), _mask(folder, path)
    scan = model.preprocessing.normalize(torch.from_numpy(stored[None]))
    black = -model.preprocessing.mean / model.preprocessing.std
    number = model.classes.index(label)
    rows = []
    for method in (*get_args(Method), *FLOORS):

        def mapped(
            network: Any, shown: torch.Tensor, method: str = method
        ) -> torch.Tensor:
            if method in FLOORS:
                return _floor(method, network, seed)
            labels = torch.tensor([number])
            chosen = cast(Method, method)  # the floors have returned
            found = explain(network, shown, labels, method=chosen, black=black)
            return without_pedestal(found, network)

        start = time.process_time()
        found = mapped(model.network, scan)
        seconds = time.process_time() - start
        grid = model.network.architecture.grid
        fine = _fine(found, grid, mask.shape)
        row = {
            "method": method,
            "class": label,
            "auroc": round(auroc_of_place(fine, mask, head | mask), 4),
            "hit": hits(fine, mask),
            "mass": round(mass_inside(fine, mask), 4),
            "outside": round(
                share_outside(found.unflatten(1, grid)[0].numpy(), head), 4
            ),
            "seconds": round(seconds, 4),
        }
        if is_measured and method not in FLOORS:
            _, told = measure(model.network, scan, number, mapped, black=black)
            row |= {
                "gain": round(told.gain, 4),
                "sensitivity": round(told.sensitivity, 4),
                "stability": round(told.stability, 4),
                "randomized": round(told.randomized, 4),
                "faithful": float(told.is_faithful),
            }
        rows.append(row)
    return rows


def _floor(method: str, network: Any, seed: int) -> torch.Tensor:
    rows, columns = network.architecture.grid
    if method == "random":
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(1, rows * columns, generator=generator)
    down, across = torch.meshgrid(
        torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij"
    )
    return torch.exp(-2 * (down**2 + across**2)).reshape(1, -1)


def _fine(
    found: torch.Tensor, grid: tuple[int, ...], sides: tuple[int, ...]
) -> Float32[np.ndarray, "h w"]:
    coarse = found.unflatten(1, grid)[:, None].float()
    fine = torch.nn.functional.interpolate(coarse, size=sides, mode="bilinear")
    return fine[0, 0].numpy()


if __name__ == "__main__":
    main()
