from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from vit_dementia.data import cache as cached
from vit_dementia.data.cohort import Cohort
from vit_dementia.data.images import read_slice
from vit_dementia.errors import DataError
from vit_dementia.preparation.pack import pack_scans
from vit_dementia.preparation.slices import SlicePreprocessing

PREPROCESSING = SlicePreprocessing(size=(16, 16))


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for label in ("CN", "AD"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for person in range(15):
            pixels = rng.integers(1, 255, (20, 12)).astype(np.uint8)
            name = f"sub-{label}{person:02}.png"
            Image.fromarray(pixels).save(tmp_path / "data" / label / name)
    return tmp_path / "data"


def test_rows_are_the_prepared_files_in_the_order_of_the_table(
    folder, tmp_path
) -> None:
    cohort, images = pack_scans(
        Cohort.from_path(folder), PREPROCESSING, cache=tmp_path / "cache"
    )
    for row, file in enumerate(cohort.files()):
        assert np.array_equal(images[row], PREPROCESSING(read_slice(file)))


def test_a_second_time_nothing_is_decoded_until_a_file_changes(
    folder, tmp_path, monkeypatch
) -> None:
    cohort, cache = Cohort.from_path(folder), tmp_path / "cache"
    pack_scans(cohort, PREPROCESSING, cache=cache)
    calls = []
    original = cached._fill
    monkeypatch.setattr(
        cached, "_fill", lambda *rest: calls.append(1) or original(*rest)
    )
    _, before = pack_scans(cohort, PREPROCESSING, cache=cache)
    assert not calls
    changed = cohort.files()[3]
    Image.fromarray(np.eye(20, 12, dtype=np.uint8) * 200).save(changed)
    _, after = pack_scans(cohort, PREPROCESSING, cache=cache)
    assert calls == [1]
    different = [
        row for row in range(30) if not np.array_equal(before[row], after[row])
    ]
    assert different == [3]


def test_an_unreadable_slice_is_left_out_with_its_cause(folder, tmp_path) -> None:
    cohort = Cohort.from_path(folder)
    cohort.files()[5].write_bytes(b"")
    readable, images = pack_scans(cohort, PREPROCESSING, cache=tmp_path / "cache")
    assert len(readable) == len(images) == 29
    (problem,) = readable.problems
    assert problem.count(cohort.table.path[5]) == 1
    assert np.array_equal(images[5], PREPROCESSING(read_slice(cohort.files()[6])))
    assert isinstance(images, np.memmap)  # not read into memory
    _, again = pack_scans(cohort, PREPROCESSING, cache=tmp_path / "cache")
    assert np.array_equal(again, images)
    assert not list((tmp_path / "cache").glob(".*"))


def test_runs_that_pack_the_same_slices_at_once_get_the_same(folder, tmp_path) -> None:
    cohort, cache = Cohort.from_path(folder), tmp_path / "cache"
    with ThreadPoolExecutor(4) as runs:
        packed = list(
            runs.map(
                lambda _: pack_scans(cohort, PREPROCESSING, cache=cache)[1], range(4)
            )
        )
    for images in packed[1:]:
        assert np.array_equal(images, packed[0])
    assert len(list(cache.iterdir())) == 2  # one entry, no leftovers


def test_a_run_killed_while_packing_leaves_no_entry(
    folder, tmp_path, monkeypatch
) -> None:
    cohort, cache = Cohort.from_path(folder), tmp_path / "cache"

    def killed(*_rest):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(cached, "_fill", killed)
        with pytest.raises(KeyboardInterrupt):
            pack_scans(cohort, PREPROCESSING, cache=cache)
    assert cached.entries(cache) == []
    assert len(pack_scans(cohort, PREPROCESSING, cache=cache)[1]) == 30


def test_too_many_unreadable_slices_stop_the_work_with_all_of_them(
    folder, tmp_path
) -> None:
    cohort = Cohort.from_path(folder)
    for row in (1, 4, 9):
        cohort.files()[row].write_bytes(b"nonsense")
    with pytest.raises(DataError) as caught:
        pack_scans(cohort, PREPROCESSING, cache=tmp_path / "cache")
    for row in (1, 4, 9):
        assert cohort.table.path[row] in str(caught.value)


def test_a_cache_entry_that_was_cut_off_says_how_to_mend_it(folder, tmp_path) -> None:
    cohort, cache = Cohort.from_path(folder), tmp_path / "cache"
    pack_scans(cohort, PREPROCESSING, cache=cache)
    (entry,) = cache.glob("*.npy")
    entry.write_bytes(entry.read_bytes()[:100])
    with pytest.raises(DataError, match="cache clear"):
        pack_scans(cohort, PREPROCESSING, cache=cache)
    assert cached.clear(cache) > 0
    pack_scans(cohort, PREPROCESSING, cache=cache)
