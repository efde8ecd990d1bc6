from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from vit_dementia.benchmark import comparing
from vit_dementia.benchmark.comparing import CEILING, cases_of, compare
from vit_dementia.benchmark.entries import entries_here
from vit_dementia.benchmark.machine import Machine, this_machine
from vit_dementia.benchmark.table import (
    BUSY,
    document,
    markdown,
    unequal_work,
    write_tables,
)
from vit_dementia.progress import Quiet

CPU = torch.device("cpu")
SMALL = cases_of(["Ti/16"], [1], ["fp32"], ["forward"], image_size=32)
TWO = entries_here(["TransformerEncoder"])
MACHINE = Machine(
    date="2026-01-02",
    commit="abc",
    processor="slow",
    num_cores=2,
    num_threads=1,
    load=0.5,
    computes_bf16=False,
    versions={"torch": "2"},
)


PRODUCT = 2.0 * 64**3


@pytest.fixture(autouse=True)
def _small_product(monkeypatch) -> None:
    matrix = torch.ones(64, 64)
    monkeypatch.setattr(
        comparing, "product_of_matrices", lambda *_: (lambda: matrix @ matrix, PRODUCT)
    )


def _compare(cases, minutes: float = 1e6) -> comparing.Comparison:
    return compare(
        cases,
        TWO,
        device=CPU,
        seconds=0.0,
        minutes=minutes,
        memory=False,
        watch=Quiet(),
    )


def test_rows_hold_speed_ratio_and_ceiling(monkeypatch) -> None:
    turns = {"ours": 0.5, "TransformerEncoder": 1.0, CEILING: 0.1}

    def interleaved(tasks, **_options):
        return {name: np.array([turns[name]] * 3) for name in tasks}

    monkeypatch.setattr(comparing, "interleaved", interleaved)
    cases = cases_of(["Ti/16"], [4], ["fp32"], ["forward"], image_size=32)
    ours, peer = _compare(cases).rows
    assert (ours.images_per_second, peer.images_per_second) == (8.0, 4.0)
    assert (ours.ratio, peer.ratio) == (2.0, 1.0)  # to the fastest peer, not to itself
    assert ours.ceiling == pytest.approx(PRODUCT / 0.1 / (ours.gflops * 1e9))
    assert ours.peak_mib is None


@pytest.mark.slow
def test_the_cheapest_case_comes_first_and_what_is_too_long_is_told() -> None:
    cases = cases_of(["S/16", "Ti/16"], [1], ["fp32"], ["training"], image_size=32)
    rows = _compare(cases).rows
    assert [row.case.model for row in rows] == ["Ti/16"] * 2 + ["S/16"] * 2
    nothing = _compare(cases, minutes=0.0)
    assert nothing.rows == []
    assert [line.split(",")[0] for line in nothing.left_out] == [
        "ViT-Ti/16",
        "ViT-S/16",
    ]


def test_table_and_page_say_what_was_measured_where(tmp_path) -> None:
    comparison = _compare(SMALL)
    bf16 = [
        dataclasses.replace(
            row, case=dataclasses.replace(row.case, precision="bf16"), peak_mib=1234.5
        )
        for row in comparison.rows
    ]
    both = comparing.Comparison(
        [*comparison.rows, *bf16], ["ViT-H/14: about 9 minutes"]
    )
    write_tables(tmp_path, MACHINE, both, command="vit-dementia bench", duration_s=61.7)
    table = pd.read_csv(tmp_path / "bench.tsv", sep="\t")
    assert table.entry.tolist() == ["ours", "TransformerEncoder"] * 2
    assert set(table.commit) == {"abc"}
    assert set(table.date) == {"2026-01-02"}
    assert set(table.command) == {"vit-dementia bench"}
    assert set(table.duration_s) == {62}
    assert table.gflops_per_image[0] == pytest.approx(comparison.rows[0].gflops, 1e-3)
    page = (tmp_path / "bench.md").read_text()
    assert "2026-01-02, commit abc; slow, 1 threads on 2 cores" in page
    assert "| **ours** |" in page
    assert page.count("emulated") == 1  # only in the case that is
    assert "1,234" in page
    assert "- ViT-H/14: about 9 minutes" in page
    told = document(MACHINE, both)
    assert told["rows"][0]["model"] == "Ti/16"
    assert told["machine"]["versions"] == {"torch": "2"}


def test_a_busy_machine_is_told_above_the_table() -> None:
    comparison = comparing.Comparison([], [])
    assert BUSY not in markdown(MACHINE, comparison)
    assert BUSY in markdown(dataclasses.replace(MACHINE, load=7.5), comparison)
    assert not dataclasses.replace(MACHINE, load=None).is_busy


def test_other_work_than_ours_is_told() -> None:
    ours, peer = _compare(SMALL).rows
    assert unequal_work([ours, peer]) == []
    less = dataclasses.replace(peer, gflops=peer.gflops / 2)
    assert "TransformerEncoder has" in unequal_work([ours, less])[0]


def test_the_machine_is_described() -> None:
    machine = this_machine(CPU, computes_bf16=True, versions={"timm": "1"})
    assert machine.num_threads == torch.get_num_threads()
    assert machine.versions.keys() == {"torch", "timm"}
    assert "/" not in machine.sentence().replace("n/a", "")  # no path of this machine
