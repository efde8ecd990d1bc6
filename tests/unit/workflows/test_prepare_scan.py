from __future__ import annotations

import os

import pytest

from vit_dementia.errors import ScanError
from vit_dementia.files import sha256_of
from vit_dementia.preparation.pipeline import Pipeline
from vit_dementia.workflows.prepare_scan import Task, content_of, prepare_scan


def test_a_changed_slice_of_a_series_is_another_content(tmp_path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.dcm").write_bytes(
            b"\0" * 128 + b"DICM" + bytes([number])
        )
    before = content_of(tmp_path)
    assert content_of(tmp_path / "1.dcm") == before
    (tmp_path / "2.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"9")
    assert content_of(tmp_path) != before


def test_a_volume_is_known_by_its_bytes(tmp_path) -> None:
    (tmp_path / "a.nii").write_bytes(b"some bytes")
    assert content_of(tmp_path / "a.nii") == sha256_of(tmp_path / "a.nii")


def test_a_pipe_is_not_waited_for(tmp_path) -> None:
    os.mkfifo(tmp_path / "a.nii")
    with pytest.raises(ScanError, match="is not a file"):
        content_of(tmp_path / "a.nii")


def test_a_scan_that_cannot_be_read_is_a_result_with_its_cause(tmp_path) -> None:
    source = tmp_path / "a.nii.gz"
    source.write_bytes(b"nothing like a volume")
    task = Task(
        source=source,
        target=tmp_path / "out" / "a.nii.gz",
        pipeline=Pipeline(pipeline="none"),
    )
    result = prepare_scan(task)
    assert result.outcome == "failed"
    assert result.quality is None
    assert result.cause
    assert str(source) not in result.cause
    assert not task.target.exists()
