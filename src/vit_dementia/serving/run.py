"""From a run folder to a server that listens until it is told to stop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

from vit_dementia.errors import ConfigError
from vit_dementia.files import read_regular
from vit_dementia.inference.compute import Device
from vit_dementia.limits import ServingLimits
from vit_dementia.serving.alike import Offered
from vit_dementia.serving.gate import LOOPBACK, Rules

_LEAST_TOKEN = 16  # characters
_BACKLOG = 128  # connections that wait for the server to look
_IDLE = 30  # seconds that a connection may stay without a request


def rules_for(
    host: str, names: tuple[str, ...], token_file: Path | None, limits: ServingLimits
) -> Rules:
    """Return who may ask a server at this address.

    Raises:
        ConfigError: if it can be reached from elsewhere and has no token.
    """
    token = _token_in(token_file)
    shown = f"[{host}]" if ":" in host else host
    if shown not in LOOPBACK and not token:
        raise ConfigError(
            f"--host: {host} can be reached from other machines; needs --token-file "
            f"FILE with {_LEAST_TOKEN} secret characters or more, or 127.0.0.1"
        )
    hosts = LOOPBACK | {shown.lower()} | {name.lower() for name in names}
    return Rules(hosts=hosts, token=token, upload_bytes=limits.upload_bytes)


def _token_in(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        token = read_regular(file).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file: {file} cannot be read ({error})") from error
    if len(token) < _LEAST_TOKEN or not token.isprintable() or " " in token:
        raise ConfigError(
            f"--token-file: {file} holds {len(token)} characters; {_LEAST_TOKEN} or "
            "more without spaces are needed"
        )
    return token


def serve_run(
    run: Path,
    *,
    host: str,
    port: int,
    rules: Rules,
    device: Device,
    limits: ServingLimits,
    offered: Offered,
    say: Callable[[str], object],
) -> None:
    """Listen until the process is asked to stop, and finish what was begun.

    Raises:
        CheckpointError: if the model cannot be loaded, or what is offered not found.
        ConfigError: if the address is not to be had.
    """
    import uvicorn

    from vit_dementia.serving.app import make_app
    from vit_dementia.serving.worker import Worker

    worker = Worker(run, device, limits, offered)
    listening = _listen(host, port)
    try:
        worker.start()  # what is wrong with the model is told before anybody asks
        config = uvicorn.Config(
            make_app(worker, rules, limits),
            access_log=False,  # it would tell addresses
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_IDLE,
            timeout_graceful_shutdown=round(limits.seconds),
            ws="none",
        )
        shown = f"[{host}]" if ":" in host else host
        say(f"listening: http://{shown}:{listening.getsockname()[1]}")
        asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))
    finally:
        worker.stop()
        listening.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except (OSError, OverflowError) as error:
        listening.close()
        raise ConfigError(
            f"--host {host} --port {port}: cannot listen there ({error}); name another "
            "port"
        ) from error
    return listening
