"""Odd but readable files are remarked on once a kind."""

from __future__ import annotations

import logging

import numpy as np
from PIL import Image

from vit_dementia.cli.remarks import remarks_told
from vit_dementia.data.images import read_slice


def test_remarks_are_counted_and_the_first_file_is_named(tmp_path, capsys) -> None:
    gray = np.random.default_rng(0).integers(0, 255, (20, 16), np.uint8)
    for name in ("a.png", "b.png"):
        alpha = np.where(gray > 100, 255, 0).astype(np.uint8)
        Image.fromarray(np.dstack([gray, gray, gray, alpha])).save(tmp_path / name)
    Image.fromarray(gray).save(tmp_path / "c.png")
    (tmp_path / "c.png").rename(tmp_path / "c.jpg")
    with remarks_told():
        for name in ("a.png", "b.png", "c.jpg"):
            read_slice(tmp_path / name)
        assert capsys.readouterr().err == ""
    odd, misnamed = capsys.readouterr().err.splitlines()
    assert "a.png: transparent pixels were put on black (2 files" in odd
    assert "c.jpg: is a PNG image in spite of its name" in misnamed
    assert not misnamed.endswith(")")


def test_nothing_is_told_twice_and_the_logger_is_left_as_it_was(capsys) -> None:
    log = logging.getLogger("vit_dementia.data")
    before = (log.level, list(log.handlers))
    with remarks_told():
        pass
    assert (log.level, list(log.handlers)) == before
    assert capsys.readouterr().err == ""
