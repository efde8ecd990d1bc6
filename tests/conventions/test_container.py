"""The container and the systemd unit call the server as it can be called."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser

import pytest

from vit_dementia.cli.app import make_app
from vit_dementia.cli.serve import serve
from vit_dementia.errors import ConfigError
from vit_dementia.limits import ServingLimits
from vit_dementia.serving.gate import LOOPBACK
from vit_dementia.serving.run import rules_for

QUIETLY = {"exit_on_error": False, "print_error": False}


def asked(words: list[str]) -> dict:
    """Return what a command line gives the server."""
    program, *rest = words
    assert program.endswith("bin/vit-dementia")
    command, bound, _ = make_app().parse_args(rest, **QUIETLY)
    assert command is serve
    return bound.arguments


@pytest.fixture
def unit(repository) -> str:
    page = (repository / "docs" / "how-to" / "container.md").read_text("utf-8")
    return re.search(r"^```ini\n(.*?)^```", page, re.M | re.S)[1]


def test_the_container_serves_as_nobody_and_needs_a_token(repository) -> None:
    text = (repository / "Containerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line.partition(" ")[::2] for line in text.splitlines() if line[:1] != "#"]
    last = dict(lines)  # of each kind
    assert int(last["USER"].partition(":")[0]) > 0
    assert last["STOPSIGNAL"] == "SIGTERM"
    told = asked(json.loads(last["ENTRYPOINT"]) + json.loads(last["CMD"]))
    assert told["host"] not in LOOPBACK
    assert told["token_file"].is_absolute()
    with pytest.raises(ConfigError, match="token-file"):
        rules_for(told["host"], (), None, ServingLimits())
    probe = json.loads(last["HEALTHCHECK"].removeprefix("CMD "))
    compile(probe[-1], "HEALTHCHECK", "exec")
    assert "127.0.0.1:8000/health" in probe[-1]
    assert last["EXPOSE"] == "8000"


def test_the_unit_serves_on_loopback_and_waits_for_what_was_begun(unit) -> None:
    read = ConfigParser(interpolation=None)
    read.optionxform = str
    read.read_string(unit)
    service = read["Service"]
    told = asked(shlex.split(service["ExecStart"]))
    assert told.get("host", "127.0.0.1") in LOOPBACK
    assert int(service["TimeoutStopSec"]) > ServingLimits().seconds
    assert int(service["SuccessExitStatus"]) == 128 + 15
    assert service["DynamicUser"] == service["NoNewPrivileges"] == "yes"
    assert (service["IPAddressDeny"], service["IPAddressAllow"]) == ("any", "localhost")


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze"
)
def test_systemd_finds_no_fault_in_the_unit(unit, tmp_path) -> None:
    program = re.search(r"ExecStart=(\S+)", unit)[1]
    file = tmp_path / "vit-dementia.service"
    file.write_text(unit.replace(program, sys.executable))  # one that is there
    done = subprocess.run(
        ["systemd-analyze", "verify", file], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
