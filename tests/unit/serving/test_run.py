"""From the command to a server: who may ask, where it listens, what is refused."""

from __future__ import annotations

import builtins
import socket

import pytest
import uvicorn
from tests.unit.serving import served

from vit_dementia.cli.app import run
from vit_dementia.errors import ConfigError
from vit_dementia.limits import ServingLimits
from vit_dementia.serving import worker
from vit_dementia.serving.gate import LOOPBACK
from vit_dementia.serving.run import rules_for

LIMITS = ServingLimits()


@pytest.fixture
def token(tmp_path):
    (tmp_path / "token").write_text("s" * 32 + "\n")
    return tmp_path / "token"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "example.org"])
def test_another_address_than_loopback_wants_a_token(host, token) -> None:
    with pytest.raises(ConfigError, match="token-file"):
        rules_for(host, (), None, LIMITS)
    rules = rules_for(host, ("Proxy.example",), token, LIMITS)
    assert rules.token == "s" * 32
    assert "proxy.example" in rules.hosts


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_loopback_wants_none(host) -> None:
    rules = rules_for(host, (), None, LIMITS)
    assert (rules.hosts, rules.token) == (LOOPBACK, "")


@pytest.mark.parametrize(
    "content", [b"", b"short", b"with a space in it", b"\xff" * 40]
)
def test_a_token_that_is_none_is_refused(tmp_path, content) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigError, match="token-file"):
        rules_for("0.0.0.0", (), tmp_path / "token", LIMITS)
    with pytest.raises(ConfigError, match="token-file"):
        rules_for("0.0.0.0", (), tmp_path / "missing", LIMITS)


def test_the_command_listens_and_ends_its_worker(tmp_path, monkeypatch, capsys) -> None:
    here = served.Here(served.nothing)
    seen = []

    async def serve(self, sockets):
        seen.append((sockets[0].getsockname()[0], self.config))

    monkeypatch.setattr(worker, "Worker", lambda *_about: here)
    monkeypatch.setattr(uvicorn.Server, "serve", serve)
    assert run(["serve", str(tmp_path), "--port=0", "--limits.seconds=77"]) == 0
    ((host, config),) = seen
    assert host == "127.0.0.1"
    assert not config.access_log
    assert not config.proxy_headers  # nobody says in whose name they ask
    assert config.timeout_graceful_shutdown == 77  # what was begun is finished
    assert here.stopped
    said = capsys.readouterr().err
    assert "listening: http://127.0.0.1:" in said
    assert "not a medical device" in said


def test_an_address_that_is_taken_is_told_in_one_line(tmp_path, capsys) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert run(["serve", str(tmp_path), f"--port={port}"]) == 2
    assert "cannot listen there" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(
    tmp_path, monkeypatch, capsys
) -> None:
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "vit_dementia.serving.run":
            raise ModuleNotFoundError(name="fastapi")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert run(["serve", str(tmp_path)]) == 2
    assert "vit-dementia[serve]" in capsys.readouterr().err
