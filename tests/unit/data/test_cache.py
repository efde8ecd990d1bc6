from __future__ import annotations

import os

import pytest

from vit_dementia.data.cache import entries, make_private, pack
from vit_dementia.errors import DataError, ScanError


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_what_holds_scans_is_open_to_its_owner_alone(tmp_path) -> None:
    (tmp_path / "open").mkdir(mode=0o777)
    for name in ("open", "new/er"):
        make_private(tmp_path / name)
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "{}", '{"rows": "a"}', '{"rows": -1}']
)
def test_a_damaged_entry_is_named(tmp_path, text) -> None:
    (tmp_path / "0a.json").write_text(text)
    (tmp_path / "0a.npy").write_bytes(b"")
    with pytest.raises(DataError, match=r"0a\.json") as told:
        entries(tmp_path)
    assert "\n" not in str(told.value)


def test_no_path_of_a_scan_that_cannot_be_read_is_kept(tmp_path) -> None:
    def refuse(path):
        raise ScanError(f"{path}: damaged")

    files = [tmp_path / "sub-07.png"]
    files[0].write_bytes(b"x")
    found = pack(files, refuse, shape=(1, 2, 2), recipe=0, cache=tmp_path / "kept")
    assert found.causes == {0: "damaged"}
    (facts,) = (tmp_path / "kept").glob("*.json")
    assert "sub-07" not in facts.read_text()
