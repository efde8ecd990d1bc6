"""Files from the network: bounded, resumable, checked, and whole or not there."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vit_dementia import __version__, files
from vit_dementia.errors import DataError
from vit_dementia.limits import LIMITS
from vit_dementia.progress import Quiet, Watch

_CHUNK = 1024**2  # bytes
_TRIES = 4  # connections for one file; each goes on where the last one ended
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def download(
    url: str,
    to: Path,
    *,
    sha256: str | None = None,
    max_bytes: int | None = None,
    timeout_s: float | None = None,
    watch: Watch | None = None,
) -> str:
    """Bring one file to ``to`` and return its SHA-256.

    A file that is there already is checked and not brought again. A broken download is
    kept beside it as ``.part`` and goes on where it ended, if the server still has the
    same file.

    Args:
        url: https, or http on this machine.
        to: the file's new name.
        sha256: what its hash must be; None: it is only returned.
        max_bytes: a larger file is refused [default: of the limits].
        timeout_s: seconds without a byte after which a connection counts as dead
            [default: of the limits].
        watch: is shown how far it is.

    Raises:
        DataError: if there is no network, no such file, or another one than expected.
    """
    _check_address(url)
    if to.exists():
        found = files.sha256_of(to)
        if sha256 is not None and found != sha256:
            raise DataError(
                f"{to}: has the SHA-256 {found}; {sha256} is needed; remove it to "
                "download it again"
            )
        return found
    to.parent.mkdir(parents=True, exist_ok=True)
    part, record = to.with_name(f"{to.name}.part"), to.with_name(f"{to.name}.part.json")
    for attempt in range(1, _TRIES + 1):
        if _bring(
            url,
            part,
            record,
            max_bytes=max_bytes or LIMITS.download_bytes,
            timeout_s=timeout_s or LIMITS.silent_seconds,
            watch=watch or Quiet(),
        ):
            break
        if attempt == _TRIES:
            raise DataError(
                f"{url}: the connection broke {_TRIES} times; "
                "the same command goes on where it ended"
            )
        time.sleep(0.2 * attempt)
    found = files.sha256_of(part)
    record.unlink(missing_ok=True)
    if sha256 is not None and found != sha256:
        part.unlink()
        raise DataError(
            f"{url}: brought a file with the SHA-256 {found}; {sha256} is needed; "
            "it was thrown away"
        )
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(to)
    return found


def read_json_from(
    url: str, *, max_bytes: int = _CHUNK, timeout_s: float | None = None
) -> Any:
    """Return a small JSON document from the network.

    Raises:
        DataError: if there is no network, or the answer is not JSON or too large.
    """
    with connected(url, timeout_s=timeout_s) as answer:
        try:
            content = answer.read(max_bytes + 1)
        except (OSError, http.client.HTTPException) as error:
            raise DataError(f"{url}: the connection broke ({error})") from error
    try:
        if len(content) > max_bytes:
            raise DataError(f"{url}: answers with more than {max_bytes} bytes")
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{url}: answers with what is not JSON ({error})") from error


def _bring(
    url: str,
    part: Path,
    record: Path,
    *,
    max_bytes: int,
    timeout_s: float,
    watch: Watch,
) -> bool:
    """Fill ``part`` over one connection; return whether it is whole."""
    start, mark = _progress_so_far(url, part, record)
    rest = {"Range": f"bytes={start}-", "If-Range": mark} if start else {}
    with connected(url, timeout_s=timeout_s, headers=rest) as answer:
        if answer.status == http.client.PARTIAL_CONTENT:
            if not answer.headers.get("Content-Range", "").startswith(
                f"bytes {start}-"
            ):
                part.unlink()  # another piece than asked for
                return False
        else:
            start = 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length and length.isdecimal() else None
        if (total or 0) > max_bytes:
            raise DataError(f"{url}: has {total} bytes; at most {max_bytes} are taken")
        mark = answer.headers.get("ETag", "")
        if mark.startswith("W/"):  # a weak mark does not promise the same bytes
            mark = ""
        files.write_json(record, {"url": url, "mark": mark})
        size = start
        try:
            with (
                part.open("ab" if start else "wb") as file,
                watch.count(f"download {part.stem}", total or 0) as bar,
            ):
                bar.advance(start)
                while chunk := answer.read(_CHUNK):
                    size += len(chunk)
                    if size > max_bytes:
                        break
                    file.write(chunk)
                    bar.advance(len(chunk))
        except (TimeoutError, ConnectionError, http.client.HTTPException):
            return False
    if size > max_bytes:
        part.unlink()
        raise DataError(f"{url}: sends more than the {max_bytes} bytes that are taken")
    return total is None or size == total


def _progress_so_far(url: str, part: Path, record: Path) -> tuple[int, str]:
    """Return how many bytes are there and the server's mark of that very file."""
    if not part.is_file() or not record.is_file():
        return 0, ""
    known = files.read_json(record)
    if not isinstance(known, dict) or known.get("url") != url or not known.get("mark"):
        return 0, ""
    return part.stat().st_size, str(known["mark"])


def connected(
    url: str,
    *,
    timeout_s: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> http.client.HTTPResponse:
    """Return the answer of a server, whose body is still to be read.

    Args:
        url: https, or http on this machine; also where the server sends us on to.
        timeout_s: seconds without a byte [default: of the limits].
        headers: that are sent.

    Raises:
        DataError: if there is no network, no such file, or no such address is meant.
    """
    _check_address(url)
    own = {"User-Agent": f"vit-dementia/{__version__}", "Accept-Encoding": "identity"}
    # S310 warns of addresses such as file:/etc, which the line above refuses.
    request = urllib.request.Request(url, headers={**own, **(headers or {})})  # noqa: S310
    try:
        return urllib.request.build_opener(_SafeRedirects).open(
            request, timeout=timeout_s or LIMITS.silent_seconds
        )
    except urllib.error.HTTPError as error:
        error.close()
        raise DataError(
            f"{url}: the server answers {error.code} ({error.reason})"
        ) from (error)
    except (OSError, http.client.HTTPException) as error:
        cause = getattr(error, "reason", error)
        raise DataError(
            f"{url}: cannot be reached ({cause}); a network connection is needed, or "
            "bring the file by hand"
        ) from error


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follow a server to another address only if that is as safe."""

    def redirect_request(self, *arguments: Any) -> urllib.request.Request | None:
        _check_address(arguments[-1])
        return super().redirect_request(*arguments)


def _check_address(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname in _LOOPBACK:
        return
    raise DataError(f"{url}: an https address is needed")
