from __future__ import annotations

import hashlib
import http.server
import threading
from functools import partial

import numpy as np
import pytest

from vit_dementia.data.volumes import Volume, write_volume
from vit_dementia.errors import ConfigError, DataError
from vit_dementia.preparation import templates
from vit_dementia.preparation.grids import CROP
from vit_dementia.preparation.templates import (
    CLINICA,
    CLINICA_SPACE,
    OWN_SPACE,
    fetch_clinicas_template,
    load_template,
)


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


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Return a folder and the address at which a server of this machine shows it."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    quiet = type(
        "Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: 0}
    )
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(quiet, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_clinicas_template_is_brought_once_and_known_by_its_hash(
    served, tmp_path, monkeypatch
) -> None:
    folder, address = served
    own = load_template().on(CROP.at(3.0))
    write_volume(folder / "there.nii", Volume(own.intensity, own.grid.affine))
    told = hashlib.sha256((folder / "there.nii").read_bytes()).hexdigest()
    monkeypatch.setattr(templates, "CLINICA_SHA256", told)
    fetch = partial(fetch_clinicas_template, f"{address}/there.nii", tmp_path / "cache")
    monkeypatch.setattr(templates, "fetch_clinicas_template", fetch)
    load_template.cache_clear()
    template = load_template(CLINICA)
    assert (template.space, template.sha256) == (CLINICA_SPACE, told)
    (folder / "there.nii").unlink()  # what is there already needs no server
    load_template.cache_clear()
    assert load_template(CLINICA).source == "there.nii"
    load_template.cache_clear()


def test_another_file_than_clinicas_is_thrown_away(served, tmp_path) -> None:
    folder, address = served
    (folder / "wrong.nii").write_bytes(b"another one")
    with pytest.raises(DataError, match="93359ab97c1c"):
        fetch_clinicas_template(f"{address}/wrong.nii", tmp_path)
    assert not list((tmp_path / "templates").iterdir())
