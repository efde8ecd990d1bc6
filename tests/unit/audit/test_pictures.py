from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vit_dementia.audit import pictures
from vit_dementia.audit.pictures import look_at, thumbnail
from vit_dementia.data.cohort import Cohort
from vit_dementia.errors import DataError

TEXT = b"this is no picture"


@pytest.fixture
def cohort(phantoms) -> Cohort:
    return Cohort.from_path(phantoms)


def test_a_thumbnail_averages_areas() -> None:
    image = np.random.default_rng(0).integers(0, 255, (192, 192)).astype(np.float32)
    blocks = image.reshape(96, 2, 96, 2).mean(axis=(1, 3))
    assert np.abs(thumbnail(image, white=255.0) - blocks).max() <= 0.51


def test_a_thumbnail_keeps_proportions_and_the_middle() -> None:
    small = thumbnail(np.full((200, 100), 255, np.float32), white=255.0)
    assert (small[:, 24:72] == 255).all()
    assert not small[:, :24].any()
    assert not small[:, 72:].any()


def test_row_by_row_as_the_cohort(cohort) -> None:
    seen = look_at(cohort)
    assert len(seen) == len(cohort) == len(seen.facts) == len(seen.thumbnails)
    for row in (0, 5, len(cohort) - 1):
        picture = np.asarray(Image.open(cohort.file_of(row)), np.float32)
        np.testing.assert_array_equal(
            seen.thumbnails[row], thumbnail(picture, white=255.0)
        )
        assert tuple(seen.facts.loc[row, ["height", "width"]]) == picture.shape
        assert seen.facts.loc[row, "bytes"] == cohort.file_of(row).stat().st_size


def test_other_processes_see_the_same(cohort, monkeypatch) -> None:
    here = look_at(cohort, jobs=1)
    monkeypatch.setattr(pictures, "_FEW", 0)
    monkeypatch.setattr(pictures, "_BATCH", 5)
    there = look_at(cohort, jobs=2)
    np.testing.assert_array_equal(here.thumbnails, there.thumbnails)
    assert here.digests == there.digests
    assert here.facts.equals(there.facts)


def test_many_thumbnails_lie_in_a_file(cohort, monkeypatch) -> None:
    in_memory = look_at(cohort)
    monkeypatch.setattr(pictures, "_MOST_IN_MEMORY", 0)
    on_disk = look_at(cohort)
    assert isinstance(on_disk.thumbnails, np.memmap)
    np.testing.assert_array_equal(in_memory.thumbnails, on_disk.thumbnails)


def test_unreadable_files_are_problems_and_the_rest_stays_aligned(cohort, tmp_path):
    moved = _copy(cohort, tmp_path)
    bad = [str(path) for path in moved.table["path"].iloc[[0, 7]]]
    for path in bad:
        (moved.root / path).write_bytes(TEXT)
    seen = look_at(moved)
    assert [problem.path for problem in seen.problems] == bad
    assert {problem.kind for problem in seen.problems} == {"unreadable"}
    assert all(str(tmp_path) not in problem.detail for problem in seen.problems)
    kept = [path for path in moved.table["path"] if path not in bad]
    assert seen.cohort.table["path"].tolist() == kept
    whole = look_at(cohort)
    assert seen.digests == tuple(whole.digests[row] for row in _rows(cohort, kept))


def test_nothing_readable_is_an_error_that_names_every_file(cohort, tmp_path) -> None:
    moved = _copy(cohort, tmp_path)
    for file in moved.files():
        file.write_bytes(TEXT)
    with pytest.raises(DataError, match=r"none of 48 scans") as caught:
        look_at(moved)
    assert len(caught.value.faults) == 1 + len(cohort)


def test_a_digest_is_of_pixels_and_not_of_files(cohort, tmp_path) -> None:
    moved = _copy(cohort, tmp_path)
    gray = Image.open(moved.file_of(0))
    gray.convert("RGB").save(moved.file_of(0), format="BMP")
    seen, before = look_at(moved), look_at(cohort)
    assert seen.digests == before.digests
    assert seen.facts["format"].tolist()[:2] == ["BMP", "PNG"]


def test_deep_files_have_their_brightest_pixel_white(tmp_path) -> None:
    rng = np.random.default_rng(0)
    for label in "ab":
        (tmp_path / label).mkdir()
        values = rng.integers(0, 3000, (96, 96)).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / label / "x.png")
    seen = look_at(Cohort.from_path(tmp_path))
    assert seen.thumbnails.max() == 255
    assert seen.facts["bits"].tolist() == [16, 16]


def test_a_bright_border_is_seen_in_the_border_alone(cohort, tmp_path) -> None:
    moved = _copy(cohort, tmp_path)
    values = np.array(Image.open(moved.file_of(0)))
    values[0] = values[-1] = values[:, 0] = values[:, -1] = 60
    Image.fromarray(values).save(moved.file_of(0))
    seen, before = look_at(moved).facts, look_at(cohort).facts
    assert seen.loc[0, "border_mean"] == pytest.approx(60 / 255)
    for name in ("background_level", "mean_intensity", "head_area"):
        assert seen.loc[0, name] == pytest.approx(before.loc[0, name])


def test_lost_tissue_leaves_intensity_and_outline_nearly_as_they_were(cohort) -> None:
    facts = look_at(cohort).facts
    whose = cohort.table["participant_id"].to_numpy()
    diseased = cohort.labels() > 0
    per_person = facts[["mean_intensity", "head_area"]].groupby(whose).mean()
    is_diseased = np.array([diseased[whose == one].any() for one in per_person.index])
    for name in per_person:
        spread = per_person[name].std()
        gap = (
            per_person[name][is_diseased].mean() - per_person[name][~is_diseased].mean()
        )
        assert abs(gap) < 1.5 * spread  # 12 people on each side


def _copy(cohort: Cohort, folder: Path) -> Cohort:
    for path in cohort.table["path"]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes((cohort.root / path).read_bytes())
    cohort.write(folder)
    return Cohort.read(folder, root=folder)


def _rows(cohort: Cohort, paths: list[str]) -> list[int]:
    place = {path: row for row, path in enumerate(cohort.table["path"])}
    return [place[path] for path in paths]
