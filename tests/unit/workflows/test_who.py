from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vit_dementia.audit.likenesses import Likenesses
from vit_dementia.audit.pictures import Pictures
from vit_dementia.audit.verification import Verification
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.storage import frame
from vit_dementia.errors import ConfigError, DataError
from vit_dementia.workflows import who as people
from vit_dementia.workflows.check_record import HowGrouped
from vit_dementia.workflows.who import Who, separator_of, write_participants


@pytest.fixture
def cohort(tmp_path) -> Cohort:
    names = ["AD/a.png", "AD/b.png", "CN/c.png", "CN/d.png"]
    table = frame({"path": names, "label": [name[:2] for name in names]})
    for name in names:
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(name.encode())
    return Cohort(
        root=tmp_path / "data", table=table, classes=("CN", "AD"), ordered=True
    )


def made_who(**changes) -> Who:
    values = {
        "paths": ("AD/a.png", "CN/c.png", "CN/d.png"),
        "ids": ("person-0001", "person-0002", "person-0002"),
        "merged": ("person-0001", "person-0002", "person-0002"),
        "source": "image-content",
        "how": HowGrouped("look-alikes", 0.9, 0.1),
        "slices": np.array([-1, 1, 0]),
        "confidence": np.array([0.5, 0.99, 0.98]),
    }
    return Who(**{**values, **changes})


@pytest.mark.parametrize("name", ["who.tsv", "who.csv"])
def test_what_is_written_is_read_back_as_told_by_the_images(
    cohort, tmp_path, name
) -> None:
    path = tmp_path / name
    write_participants(path, cohort, made_who())
    separator = "," if name.endswith("csv") else "\t"
    with path.open(newline="") as file:
        rows = list(csv.reader(file, delimiter=separator))
    assert rows == [
        ["path", "participant_id", "slice", "confidence"],
        ["AD/a.png", "person-0001", "n/a", "0.5000"],
        ["AD/b.png", "unreadable-0002", "n/a", "0"],
        ["CN/c.png", "person-0002", "1", "0.9900"],
        ["CN/d.png", "person-0002", "0", "0.9800"],
    ]
    again = Cohort.from_path(cohort.root, participants=path)
    assert again.participants_known
    assert set(again.table["participant_source"]) == {"image-content"}
    assert again.table["slice"].tolist() == ["n/a", "n/a", "1", "0"]


def test_ids_that_were_given_have_no_confidence(cohort, tmp_path) -> None:
    path = tmp_path / "who.tsv"
    write_participants(path, cohort, made_who(confidence=np.full(3, np.nan)))
    sure = pd.read_csv(path, sep="\t", keep_default_na=False)["confidence"].tolist()
    assert sure == ["n/a", "0", "n/a", "n/a"]


def test_nothing_is_written_where_it_cannot_be_told(cohort, tmp_path) -> None:
    with pytest.raises(DataError, match="cannot be told"):
        write_participants(tmp_path / "who.tsv", cohort, made_who(ids=None))
    assert not (tmp_path / "who.tsv").exists()
    assert made_who(ids=None).num_people is None
    assert made_who().num_people == 2


def test_a_name_that_is_no_table_is_refused_before_the_work() -> None:
    with pytest.raises(ConfigError, match=r"ending in \.csv or \.tsv"):
        separator_of(Path("who.xlsx"))


def test_ids_that_the_images_contradict_are_told_and_merged(
    cohort, monkeypatch
) -> None:
    cohort.table["participant_id"] = ["p1", "p2", "p3", "p3"]
    cohort.table["participant_source"] = "table"
    found = Verification((("p1", "p2", "so alike"),), (("p3", "so unlike"),))
    monkeypatch.setattr(people, "verify", lambda *_, **__: found)
    pictures = Pictures(
        cohort=cohort,
        thumbnails=np.zeros((4, 96, 96), np.uint8),
        digests=("a", "b", "c", "d"),
        facts=pd.DataFrame(),
        problems=(),
    )
    told = people.tell_who(pictures, object.__new__(Likenesses))
    assert told.ids == ("p1", "p2", "p3", "p3")
    assert told.merged == ("p1", "p1", "p3", "p3")
    assert [(one.path, one.kind) for one in told.contradictions] == [
        ("AD/a.png", "two ids, one person"),
        ("CN/c.png", "one id, two people"),
    ]
    assert told.contradictions[0].detail == "p1 and p2: so alike"
    assert told.source == "table"
