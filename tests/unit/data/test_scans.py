"""The scans that a person means, and who a table says is on them."""

from __future__ import annotations

import pytest

from vit_dementia.data.scans import who_is_on
from vit_dementia.errors import ManifestError


def test_a_table_that_names_two_people_for_one_scan_is_refused(tmp_path) -> None:
    table = tmp_path / "who.csv"
    head = "path,participant_id,session_id\na.png,p1,ses-1\n"
    table.write_text(f"{head}b.png,p2,ses-1\n./a.png,p1,1\n")  # the same, said twice
    found = who_is_on([tmp_path / "a.png", tmp_path / "c.png"], table, {})
    assert [one.participant_id for one in found.values()] == ["p1"]
    for other in ("p2,ses-1", "p1,ses-2", "n/a,ses-1"):
        table.write_text(f"{head}b.png,p2,ses-1\na.png,{other}\n")
        with pytest.raises(ManifestError, match=r"line 4: 'a\.png' stands above"):
            who_is_on([tmp_path / "a.png"], table, {})
