from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vit_dementia.data.cohort import Cohort
from vit_dementia.data.leaks import find_leaks
from vit_dementia.data.splits import (
    Fold,
    Split,
    holdout,
    k_folds,
    leave_site_out,
    split_from_cohort,
)
from vit_dementia.data.splits import roles as roles_of
from vit_dementia.data.storage import frame
from vit_dementia.errors import ConfigError, DataError, ManifestError

CLASSES = ("CN", "MCI", "AD")
SEEDS = st.integers(0, 2**32 - 1)


def make_cohort(scans, *, splits=None) -> Cohort:
    """Make a cohort of (participant, label) pairs, one scan each; no file exists."""
    people, labels = zip(*scans, strict=True)
    cells = {
        "path": [f"{n:04}.png" for n in range(len(scans))],
        "participant_id": list(people),
        "label": list(labels),
    }
    if splits is not None:
        cells["split"] = list(splits)
    root = Path("nowhere")
    return Cohort(root=root, table=frame(cells), classes=CLASSES, ordered=True)


def people(num_of: dict[str, int], scans: int = 2) -> list[tuple[str, str]]:
    return [
        (f"{label}-{number}", label)
        for label, num in num_of.items()
        for number in range(num)
        for _ in range(scans)
    ]


SCANS = st.lists(
    st.tuples(st.sampled_from([f"p{n}" for n in range(30)]), st.sampled_from(CLASSES)),
    min_size=1,
    max_size=80,
)


@settings(max_examples=100, deadline=None)
@given(scans=SCANS, seed=SEEDS, unit=st.sampled_from(["participant", "image", None]))
def test_a_split_ignores_input_order_and_loses_nobody(scans, seed, unit) -> None:
    cohort = make_cohort(scans)
    backwards = cohort.select(np.arange(len(cohort))[::-1])
    settings_ = {"val": 0.2, "test": 0.2, "seed": seed, "unit": unit}
    try:
        split = holdout(cohort, **settings_)
    except DataError:
        worst: dict[str, int] = {}
        ids = cohort.unit_ids(unit or "participant")
        for one, label in zip(ids, cohort.labels().tolist(), strict=True):
            worst[one] = max(worst.get(one, 0), label)
        assert max(Counter(worst.values()).values()) < 3  # none for test and for val
        return
    assert split == holdout(backwards, **settings_)
    fold = split.folds[0]
    ids = [*fold.train, *fold.val, *fold.test]
    assert sorted(ids) == sorted(set(cohort.unit_ids(split.unit)))
    assert (roles_of(cohort, fold) != "").all()
    if unit != "image":
        assert not find_leaks(cohort, roles_of(cohort, fold)).participants


@settings(max_examples=60, deadline=None)
@given(scans=SCANS, seed=SEEDS, folds=st.integers(2, 6))
def test_folds_test_everybody_once_and_never_leak(scans, seed, folds) -> None:
    cohort = make_cohort(scans)
    try:
        split = k_folds(cohort, folds=folds, val=0.0, seed=seed)
    except DataError:
        assert len({who for who, _ in scans}) < folds
        return
    tested = [one for fold in split.folds for one in fold.test]
    assert sorted(tested) == sorted({who for who, _ in scans})
    sizes = [len(fold.test) for fold in split.folds]
    assert max(sizes) - min(sizes) <= 1
    for fold in split.folds:
        assert not find_leaks(cohort, roles_of(cohort, fold)).participants


def test_classes_are_spread_alike_over_parts_and_folds() -> None:
    cohort = make_cohort(people({"CN": 40, "MCI": 20, "AD": 10}))
    fold = holdout(cohort, val=0.25, test=0.2, seed=0).folds[0]
    for part, expected in (("test", (8, 4, 2)), ("val", (8, 4, 2))):
        num_of = Counter(one.split("-")[0] for one in getattr(fold, part))
        assert tuple(num_of[name] for name in CLASSES) == expected
    for fold in k_folds(cohort, folds=5, val=0.15, seed=0).folds:
        num_of = Counter(one.split("-")[0] for one in fold.test)
        assert tuple(num_of[name] for name in CLASSES) == (8, 4, 2)


def test_val_is_another_in_each_fold() -> None:
    cohort = make_cohort(people({"CN": 30, "AD": 30}))
    folds = k_folds(cohort, folds=5, val=0.2, seed=0).folds
    assert len({fold.val for fold in folds}) == 5
    assert len({one for fold in folds for one in fold.val}) > 30


def test_other_seeds_draw_other_splits() -> None:
    cohort = make_cohort(people({"CN": 20, "AD": 20}))
    drawn = {holdout(cohort, val=0.2, test=0.2, seed=s).folds for s in range(10)}
    assert len(drawn) == 10


def test_the_draw_is_the_same_on_every_machine_and_version() -> None:
    cohort = make_cohort(people({"CN": 5, "AD": 4}))
    fold = holdout(cohort, val=0.2, test=0.3, seed=7).folds[0]
    assert fold == Fold(
        train=("AD-2", "AD-3", "CN-1", "CN-2"),
        val=("AD-0", "CN-3"),
        test=("AD-1", "CN-0", "CN-4"),
    )


def test_a_single_participant_of_a_class_trains_and_that_is_said() -> None:
    cohort = make_cohort(people({"CN": 10, "MCI": 10, "AD": 1}))
    split = holdout(cohort, val=0.2, test=0.2, seed=0)
    assert "AD-0" in split.folds[0].train
    assert split.notes(cohort) == (
        "no participant of class 'AD' in test",
        "no participant of class 'AD' in val",
        "class 'AD' has one participant: its scores are undefined, and nothing can be "
        "claimed about it",
    )
    folds = k_folds(cohort, folds=3, val=0.2, seed=0)
    assert sum("AD-0" in fold.test for fold in folds.folds) == 1
    assert any("'AD' in train, in fold" in note for note in folds.notes(cohort))


@pytest.mark.parametrize(
    ("num", "folds", "said"),
    [
        (2, 1, "class 'AD' has one participant in test: its scores are undefined"),
        (2, 5, "class 'AD' has 2 participants for 5 folds and is tested in 2"),
        (20, 5, None),
    ],
)
def test_what_cannot_be_claimed_of_a_rare_class_is_said(num, folds, said) -> None:
    cohort = make_cohort(people({"CN": 20, "MCI": 20, "AD": num}))
    if folds == 1:
        split = holdout(cohort, val=0.0, test=0.2, seed=0)
    else:
        split = k_folds(cohort, folds=folds, val=0.0, seed=0)
    claims = [note for note in split.notes(cohort) if note.startswith("class")]
    assert len(claims) == (said is not None)
    assert all(claim.startswith(said) for claim in claims)


@pytest.mark.parametrize(("num", "parts"), [(2, (1, 0, 1)), (3, (1, 1, 1))])
def test_small_classes_reach_test_before_val(num, parts) -> None:
    cohort = make_cohort(people({"CN": 20, "AD": num}))
    fold = holdout(cohort, val=0.1, test=0.1, seed=0).folds[0]
    found = [
        sum(one.startswith("AD") for one in part)
        for part in (fold.train, fold.val, fold.test)
    ]
    assert tuple(found) == parts


def test_a_participant_counts_for_the_worst_label() -> None:
    scans = people({"CN": 12, "AD": 1}) + [(f"CN-{n}", "AD") for n in range(3)]
    fold = holdout(make_cohort(scans), val=0.0, test=0.25, seed=0).folds[0]
    with_ad = {"AD-0", "CN-0", "CN-1", "CN-2"}
    assert len(with_ad & set(fold.test)) == 1


def test_too_few_participants_are_refused_saying_what_is_there() -> None:
    cohort = make_cohort(people({"CN": 1, "AD": 1}))
    with pytest.raises(DataError, match="nobody is left for test; found 1 of 'CN'"):
        holdout(cohort, val=0.0, test=0.2, seed=0)
    with pytest.raises(DataError, match="nobody is left for val"):
        holdout(make_cohort(people({"CN": 2})), val=0.2, test=0.2, seed=0)
    with pytest.raises(DataError, match="found 3 folds for 2 who stay undivided"):
        k_folds(cohort, folds=3, val=0.0, seed=0)
    for shares in ({"val": 1.0, "test": 0.2}, {"val": 0.2, "test": -0.1}):
        with pytest.raises(ConfigError, match="a share from 0"):
            holdout(cohort, **shares, seed=0)


def test_a_random_split_of_images_does_leak_and_is_found() -> None:
    cohort = make_cohort(people({"CN": 10, "AD": 10}, scans=8))
    split = holdout(cohort, val=0.2, test=0.2, seed=0, unit="image")
    assert split.unit == "image"
    leak = find_leaks(cohort, roles_of(cohort, split.folds[0]))
    assert len(leak.participants) > 15


def test_where_some_are_unknown_the_known_stay_whole() -> None:
    scans = people({"CN": 8, "AD": 8}) + [("n/a", "CN"), ("n/a", "AD")] * 10
    cohort = make_cohort(scans)
    for split in (
        holdout(cohort, val=0.2, test=0.2, seed=0),
        k_folds(cohort, folds=4, val=0.2, seed=0),
    ):
        assert split.unit == "image"
        for fold in split.folds:
            leak = find_leaks(cohort, roles_of(cohort, fold))
            assert not leak.participants
            assert not leak.checked
            assert (roles_of(cohort, fold) != "").all()
    with pytest.raises(DataError, match="unknown"):
        holdout(cohort, val=0.2, test=0.2, seed=0, unit="participant")


def test_the_datas_own_split_is_kept_and_val_carved_from_train() -> None:
    scans = people({"CN": 20, "AD": 20})
    splits = ["test" if int(who.split("-")[1]) < 5 else "train" for who, _ in scans]
    cohort = make_cohort(scans, splits=splits)
    split = split_from_cohort(cohort, val=0.2, seed=0)
    assert split.unit == "participant"
    found = roles_of(cohort, split.folds[0])
    assert ((found == "test") == (np.array(splits) == "test")).all()
    assert len(split.folds[0].val) == 6
    assert not find_leaks(cohort, found)
    none = split_from_cohort(cohort, val=0.0, seed=0)
    assert none.folds[0].val == ()


def test_a_val_part_of_the_data_is_kept() -> None:
    scans = people({"CN": 9, "AD": 9})
    part = {0: "test", 1: "val", 2: "n/a"}
    splits = [part.get(int(who.split("-")[1]), "train") for who, _ in scans]
    cohort = make_cohort(scans, splits=splits)
    fold = split_from_cohort(cohort, val=0.2, seed=0).folds[0]
    assert fold.val == ("AD-1", "CN-1")
    assert (roles_of(cohort, fold) == "").sum() == 4


def test_a_leaking_split_of_the_data_is_by_image_with_val_by_participant() -> None:
    scans = people({"CN": 12, "AD": 12}, scans=4)
    splits = ["train", "train", "train", "test"] * 24
    cohort = make_cohort(scans, splits=splits)
    split = split_from_cohort(cohort, val=0.25, seed=0)
    assert split.unit == "image"
    found = roles_of(cohort, split.folds[0])
    assert (found == "test").sum() == 24
    leak = find_leaks(cohort, found)
    assert leak.sentence() == "24 of 24 test participants also stand in train or val"
    in_train = cohort.select(found != "test")
    fit = roles_of(in_train, split.folds[0])
    assert not find_leaks(in_train, fit)


def test_data_without_a_train_part_bring_no_split() -> None:
    with pytest.raises(DataError, match="brings no train part"):
        split_from_cohort(make_cohort(people({"CN": 3, "AD": 3})), val=0.2, seed=0)


def with_facts(num: int, **columns) -> Cohort:
    """Make a cohort of one scan each, labels in turn, with further columns."""
    cohort = make_cohort([(f"p{n:03}", CLASSES[n % 3]) for n in range(num)])
    for name, values in columns.items():
        cohort.table[name] = values
    return cohort


def column_in(cohort: Cohort, name: str, ids) -> list:
    return cohort.table.set_index("participant_id").loc[list(ids), name].tolist()


@given(seed=SEEDS)
def test_sexes_are_spread_alike_within_each_class(seed) -> None:
    rng = np.random.default_rng(seed)
    cohort = with_facts(120, sex=rng.choice(["F", "M"], 120, p=[0.3, 0.7]).tolist())
    both = Counter(zip(cohort.table["label"], cohort.table["sex"], strict=True))
    split = k_folds(cohort, folds=4, val=0.2, seed=seed, stratify=("label", "sex"))
    for fold in split.folds:
        labels, sexes = (column_in(cohort, c, fold.test) for c in ("label", "sex"))
        found = Counter(zip(labels, sexes, strict=True))
        assert all(abs(found[key] - num / 4) < 1 for key, num in both.items())
    held = holdout(cohort, val=0.2, test=0.25, seed=seed, stratify=("label", "sex"))
    found = Counter(column_in(cohort, "sex", held.folds[0].test))
    assert abs(found["F"] - 0.25 * sum(cohort.table["sex"] == "F")) <= 3


def spread_of_age(match) -> float:
    """Return how far the mean ages of parts lie apart, on average over seeds."""
    gaps = []
    for seed in range(12):
        ages = np.random.default_rng(seed).uniform(50, 90, 90).round()
        cohort = with_facts(90, age=ages)
        drawn = [holdout(cohort, val=0.2, test=0.2, seed=seed, match=match)]
        drawn += [k_folds(cohort, folds=5, val=0.2, seed=seed, match=match)]
        for fold in (fold for split in drawn for fold in split.folds):
            means = [
                np.mean(column_in(cohort, "age", part))
                for part in (fold.train, fold.val, fold.test)
            ]
            gaps.append(max(means) - min(means))
    return float(np.mean(gaps))


def test_matched_ages_are_alike_in_all_parts() -> None:
    assert spread_of_age(("age",)) < 0.5 * spread_of_age(())


def test_unknown_ages_are_spread_too() -> None:
    ages = np.where(np.arange(90) < 30, np.nan, 70.0)
    cohort = with_facts(90, age=ages)
    split = k_folds(cohort, folds=5, val=0.0, seed=0, match=("age",))
    for fold in split.folds:
        assert 4 <= np.isnan(column_in(cohort, "age", fold.test)).sum() <= 8


def test_repeats_begin_with_the_single_draw_and_test_everybody_again() -> None:
    cohort = make_cohort(people({"CN": 12, "AD": 12}))
    once = k_folds(cohort, folds=3, val=0.2, seed=1)
    thrice = k_folds(cohort, folds=3, val=0.2, seed=1, repeats=3)
    assert thrice.folds[:3] == once.folds
    assert len(set(thrice.folds)) == 9
    tested = Counter(one for fold in thrice.folds for one in fold.test)
    assert set(tested.values()) == {3}
    draws = holdout(cohort, val=0.2, test=0.2, seed=1, repeats=4)
    assert draws.folds[0] == holdout(cohort, val=0.2, test=0.2, seed=1).folds[0]
    assert len(set(draws.folds)) == 4
    with pytest.raises(ConfigError, match="repeats: found 0"):
        holdout(cohort, val=0.2, test=0.2, seed=1, repeats=0)


def test_each_site_tests_once_while_the_others_train() -> None:
    sites = [("A", "B", "C")[n % 10 % 3] for n in range(60)]
    cohort = with_facts(60, site=sites)
    split = leave_site_out(cohort, val=0.2, seed=0)
    assert len(split.folds) == 3
    for fold, site in zip(split.folds, "ABC", strict=True):
        assert set(column_in(cohort, "site", fold.test)) == {site}
        assert site not in column_in(cohort, "site", [*fold.train, *fold.val])
        assert not find_leaks(cohort, roles_of(cohort, fold))


def test_who_was_scanned_at_two_sites_tests_once() -> None:
    cohort = make_cohort(people({"CN": 9, "AD": 9}, scans=3))
    cohort.table["site"] = ["A", "A", "B"] * 9 + ["B"] * 27
    split = leave_site_out(cohort, val=0.0, seed=0)
    tested = [one for fold in split.folds for one in fold.test]
    assert len(tested) == len(set(tested)) == 18
    assert split.folds[0].test == tuple(f"CN-{n}" for n in range(9))


def test_columns_that_cannot_be_used_are_named_together() -> None:
    cohort = make_cohort(people({"CN": 9, "AD": 9}))
    with pytest.raises(ConfigError) as caught:
        holdout(
            cohort, val=0.0, test=0.2, seed=0, stratify=("sex", "mood"), match=("age",)
        )
    assert len(caught.value.faults) == 3
    with pytest.raises(DataError, match="the site of 36 of 36 scans is unknown"):
        leave_site_out(cohort, val=0.0, seed=0)
    cohort.table["site"] = "A"
    with pytest.raises(DataError, match="found the site 'A' only"):
        leave_site_out(cohort, val=0.0, seed=0)


@pytest.fixture
def stored(tmp_path):
    """Return a cohort, a split of it and the file it was written to."""
    cohort = make_cohort(people({"CN": 10, "AD": 10}))
    split = k_folds(cohort, folds=3, val=0.2, seed=1)
    split.write(tmp_path / "split.json")
    return cohort, split, tmp_path / "split.json"


def test_a_split_is_the_same_after_writing_and_reading(stored) -> None:
    cohort, split, path = stored
    assert Split.read(path, cohort) == split
    assert ".png" not in path.read_text()
    content = json.loads(path.read_text())
    assert list(content) == ["format", "unit", "seed", "cohort", "folds", "hash"]


def test_scans_that_were_left_out_later_are_not_missed(stored) -> None:
    cohort, split, _ = stored
    fewer = cohort.select(np.arange(3, len(cohort)))
    found = roles_of(fewer, split.folds[0])
    assert found.tolist() == roles_of(cohort, split.folds[0]).tolist()[3:]


def test_a_changed_or_foreign_split_is_refused(stored) -> None:
    cohort, _, path = stored
    text = path.read_text()
    moved = json.loads(text)
    one = moved["folds"][0]["test"].pop()
    moved["folds"][0]["train"].append(one)
    path.write_text(json.dumps(moved))
    with pytest.raises(ManifestError, match="changed after it was written"):
        Split.read(path, cohort)
    path.write_text(text)
    with pytest.raises(ManifestError, match="belongs to another cohort"):
        Split.read(path, cohort.select(np.arange(5)))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"format": 2}',
        '{"format": 1, "unit": "slice", "seed": 0, "cohort": "", "folds": []}',
        '{"format": 1, "unit": "image", "seed": 0, "cohort": "", "folds": [1]}',
        '{"format": 1, "unit": [], "seed": 0, "cohort": "", "folds": [{}]}',
        '{"format": 1, "unit": "image", "seed": "x", "cohort": 3, "folds": {}}',
    ],
)
def test_what_is_not_a_split_is_refused(stored, content) -> None:
    cohort, _, path = stored
    path.write_text(content)
    with pytest.raises(ManifestError, match=r"split\.json"):
        Split.read(path, cohort)


def test_an_id_that_stands_twice_is_refused(stored) -> None:
    cohort, split, path = stored
    fold = split.folds[0]
    twice = Fold(fold.train, fold.val, (*fold.test, fold.train[0]))
    Split(split.unit, 1, (twice,), split.cohort).write(path)
    with pytest.raises(ManifestError, match="an id twice or one of nobody"):
        Split.read(path, cohort)


@settings(max_examples=100, deadline=None)
@given(content=st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["format", "unit", "seed", "cohort", "folds", "train", "hash"]),
        inner | st.just(1),
    ),
))  # fmt: skip
def test_any_json_is_a_split_or_refused(tmp_path_factory, content) -> None:
    path = tmp_path_factory.mktemp("any") / "split.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ManifestError):
        Split.read(path, make_cohort(people({"CN": 2, "AD": 2})))
