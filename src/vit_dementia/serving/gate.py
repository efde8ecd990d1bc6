"""Who may ask at all: looked at before a byte of a body is read.

Every web page that a browser on this machine has open can reach the server. A page of
another site must neither read nor start anything: its name for this machine is not ours
(DNS rebinding: ``Host``), and its requests tell where they come from (``Origin``,
``Sec-Fetch-Site``). No answer allows another origin anything.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_OPEN: Final = frozenset({"/", "/health", "/ready"})  # and what is below /page/
_SAFE: Final = frozenset({"GET", "HEAD"})
_COSTLY: Final = ("/v1/", "/metrics")  # or telling, even to be read
_OWN_SITE: Final = frozenset({"none", "same-origin"})

# Scripts and styles are our files, pictures are drawn from memory, nothing is framed.
# NiiVue's font is a data: address, and so are the pictures it is made of.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: "
    "data:; connect-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Who may ask.

    Attributes:
        hosts: names of this server, without a port.
        token: to be shown by whoever asks for more than the page; "": nobody need.
        upload_bytes: size of a request.
    """

    hosts: Collection[str] = LOOPBACK
    token: str = ""
    upload_bytes: int


def cause_against(
    rules: Rules, method: str, path: str, headers: Headers
) -> tuple[int, str] | None:
    """Return the status and the reason for which a request is refused, if it is.

    >>> rules = Rules(upload_bytes=10)
    >>> cause_against(rules, "GET", "/", Headers({"host": "localhost:8000"}))
    >>> cause_against(rules, "GET", "/", Headers({"host": "evil.example"}))[0]
    421
    """
    return (
        _against_sender(rules, method, path, headers)
        or _against_stranger(rules, path, headers)
        or _against_body(rules, headers)
    )


def _against_sender(
    rules: Rules, method: str, path: str, headers: Headers
) -> tuple[int, str] | None:
    hosts = headers.getlist("host")
    if len(hosts) != 1 or _name_of(hosts[0]) not in rules.hosts:
        return 421, "this server has another name; needs the address it printed"
    if method in _SAFE and not path.startswith(_COSTLY):
        return None
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    own = {f"{scheme}://{hosts[0]}" for scheme in ("http", "https")}
    if (origin is not None and origin not in own) or site not in _OWN_SITE:
        return 403, "asked by another web page; needs the page of this server"
    return None


def _against_stranger(
    rules: Rules, path: str, headers: Headers
) -> tuple[int, str] | None:
    if not rules.token or path in _OPEN or path.startswith("/page/"):
        return None
    shown = headers.get("authorization", "").encode()
    if hmac.compare_digest(shown, f"Bearer {rules.token}".encode()):
        return None
    return 401, "needs the header: Authorization: Bearer TOKEN"


def _against_body(rules: Rules, headers: Headers) -> tuple[int, str] | None:
    if headers.get("content-encoding", "identity") != "identity":
        return 415, "the body is packed; needs it as it is"
    length = headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit():
        return 400, "Content-Length is no number"
    if int(length) > rules.upload_bytes:
        return 413, f"larger than {rules.upload_bytes} bytes; needs less at once"
    return None


def _name_of(host: str) -> str:
    """Return a Host without its port.

    >>> [_name_of(host) for host in ("localhost:80", "[::1]:80", "a.b")]
    ['localhost', '[::1]', 'a.b']
    """
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


class Gate:
    """Around an application: refuses, counts the bytes of bodies, adds headers."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app, self.rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.rules.upload_bytes:
                raise HTTPException(413)
            return message

        cause = cause_against(
            self.rules, scope["method"], scope["path"], Headers(scope=scope)
        )
        if cause is None:
            await self.app(scope, receive_counted, send_with_headers)
            return
        status, fault = cause
        refused = JSONResponse({"error": {"faults": [fault]}}, status)
        if status == 401:
            refused.headers["WWW-Authenticate"] = "Bearer"
        await refused(scope, receive, send_with_headers)
