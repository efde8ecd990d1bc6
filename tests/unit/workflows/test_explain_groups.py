"""Means of maps: of participants and of groups, each person once, left on the left."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from vit_dementia.data.phantoms.anatomy import HIPPOCAMPI
from vit_dementia.data.volumes import Volume
from vit_dementia.explanation.faithfulness import Faithfulness
from vit_dementia.explanation.overlay import View
from vit_dementia.workflows.explain import Explanation
from vit_dementia.workflows.explain_groups import Groups
from vit_dementia.workflows.explain_made import made_of

FAITHFUL = Faithfulness(0.1, 0.9, (0.0,) * 19, 0.9, 0.95, 0.1)
LAS = np.array([[-3.0, 0, 0, 90], [0, 3, 0, -126], [0, 0, 3, -72], [0, 0, 0, 1]])


def explained(who, label, *, predicted=None, view=None, volume=None, inside=True):
    return Explanation(
        path=f"{who}.png",
        participant_id=who,
        method="occlusion",
        label=label,
        predicted=predicted or label,
        probability=0.9,
        faithfulness=FAITHFUL,
        outside_head=0.0,
        views=[],
        relevance=volume,
        in_template=inside,
        prepared=view,
    )


def view(value):
    picture = np.full((4, 3), 100 * value, np.float32)
    return View(picture, np.full((4, 3), value, np.float32))


def test_each_participant_counts_once_whatever_the_number_of_scans(
    tmp_path, monkeypatch
) -> None:
    drawn = {}
    monkeypatch.setattr(
        "vit_dementia.workflows.explain_groups.draw",
        lambda views, *, title, note: drawn.setdefault(title, []).append(views) or b"",
    )
    groups = Groups("occlusion", {"a": "AD", "b": "CN", "c": "AD"})
    for who, value in (("a", 0.0), ("a", 0.2), ("a", 0.4), ("b", 0.8)):
        groups.add(made_of(explained(who, "AD", view=view(value))))
    groups.add(made_of(explained("c", "CN", view=view(0.5))))
    told = groups.write(tmp_path)
    (person,) = told["participants"]
    assert (person["participant_id"], person["num_scans"]) == ("a", 3)
    assert person["num_faithful"] == 3
    by_name = {one["name"]: one for one in told["groups"]}
    assert list(by_name) == ["all", "AD", "AD, told right"]  # of CN there is one scan
    assert by_name["AD"]["num_participants"] == 2
    assert by_name["AD, told right"]["num_participants"] == 1  # b is not AD
    (of_ad,) = drawn["mean of 4 scans · occlusion"]
    np.testing.assert_allclose(of_ad[0].relevance, (0.2 + 0.8) / 2, rtol=1e-6)
    np.testing.assert_allclose(of_ad[0].picture, (20 + 80) / 2, rtol=1e-6)
    (of_all,) = drawn["mean of 5 scans · occlusion"]
    np.testing.assert_allclose(of_all[0].relevance, (0.2 + 0.8 + 0.5) / 3, rtol=1e-6)
    assert {one["picture"] for one in told["groups"]} == {
        "group.png", "group-01.png", "group-02.png",
    }  # fmt: skip


def test_nobody_unknown_is_taken_for_another_and_a_forced_class_is_not_right(
    tmp_path,
) -> None:
    groups = Groups("occlusion", {"a": "AD"})
    groups.add(made_of(explained("a", "AD", predicted="CN", view=view(0.5))))
    for name in ("one", "two"):
        unknown = explained("n/a", "AD", view=view(0.5))
        groups.add(made_of(Explanation(**{**vars(unknown), "path": name})))
    told = groups.write(tmp_path)
    assert told["participants"] == []
    assert [one["name"] for one in told["groups"]] == ["all", "AD"]
    assert told["groups"][0]["num_participants"] == 3


def test_volumes_meet_on_the_template_and_the_left_hippocampus_is_left(
    tmp_path,
) -> None:
    shape = (60, 72, 60)
    places = np.argwhere(np.ones(shape)) @ LAS[:3, :3].T + LAS[:3, 3]
    far = np.linalg.norm(places - np.array(HIPPOCAMPI[0].center_mm), axis=1)
    volume = Volume((far < 4).reshape(shape).astype(np.float32), LAS)
    groups = Groups("occlusion")
    outside = made_of(explained("z", "AD", volume=volume, inside=False))
    groups.add(outside)
    assert outside.regions is None  # lies anywhere
    for who in ("a", "b"):
        made = made_of(explained(who, "AD", volume=volume))
        groups.add(made)
        top = max(made.regions, key=lambda part: part["share"])
        assert top["region"] == "left hippocampus"
    told = groups.write(tmp_path)
    everybody = told["groups"][0]
    assert everybody["num_scans"] == 2
    best = max(everybody["regions"], key=lambda part: part["share"])
    assert best["region"] == "left hippocampus"
    assert best["share"] == pytest.approx(1, abs=0.2)
    written = nib.load(tmp_path / everybody["volume"])
    top = np.unravel_index(np.argmax(written.get_fdata()), written.shape)
    assert (written.affine @ [*top, 1])[0] == pytest.approx(-26, abs=5)
    assert (tmp_path / everybody["picture"]).is_file()
