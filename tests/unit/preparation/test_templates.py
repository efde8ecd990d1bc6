from __future__ import annotations

import numpy as np
import pytest

from vit_dementia.data.volumes import Volume, write_volume
from vit_dementia.errors import ConfigError
from vit_dementia.preparation import templates
from vit_dementia.preparation.grids import CROP
from vit_dementia.preparation.templates import OWN_SPACE, load_template


def test_the_own_template_needs_no_network_and_says_that_it_is_another_space(
    monkeypatch,
) -> None:
    import socket

    def refuse(*arguments) -> None:
        raise AssertionError("no network is needed")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    load_template.cache_clear()
    template = load_template()
    assert template.space == OWN_SPACE
    assert "is not MNI152NLin2009cSym" in template.facts()["Note"]
    assert template.intensity.max() == pytest.approx(1)
    assert 0.2 < template.brain.mean() < 0.25
    inside = template.brain > 0
    assert (template.gray + template.white)[inside].mean() > 0.8


def test_a_file_is_laid_on_the_own_grid_and_known_by_its_hash(
    tmp_path, monkeypatch
) -> None:
    own = load_template().on(CROP.at(2.0))
    file = tmp_path / "mine.nii.gz"
    write_volume(file, Volume(4000 * own.intensity, own.grid.affine))
    template = load_template(file)
    assert template.space == "custom"
    assert "Note" not in template.facts()
    inside = load_template().brain > 0
    pair = template.intensity[inside], load_template().intensity[inside]
    assert np.corrcoef(*pair)[0, 1] > 0.94
    load_template.cache_clear()
    monkeypatch.setattr(templates, "CLINICA_SHA256", template.sha256)
    assert load_template(file).space == "MNI152NLin2009cSym"
    load_template.cache_clear()


def test_a_file_in_another_space_is_refused(tmp_path) -> None:
    own = load_template().on(CROP.at(4.0))
    file = tmp_path / "away.nii.gz"
    away = own.grid.affine.copy()
    away[:3, 3] += 40
    write_volume(file, Volume(own.intensity, away))
    with pytest.raises(ConfigError, match="correlation"):
        load_template(file)
