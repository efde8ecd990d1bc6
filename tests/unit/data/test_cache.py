from __future__ import annotations

import os

import pytest

from vit_dementia.data.cache import make_private


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_what_holds_scans_is_open_to_its_owner_alone(tmp_path) -> None:
    (tmp_path / "open").mkdir(mode=0o777)
    for name in ("open", "new/er"):
        make_private(tmp_path / name)
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o700
