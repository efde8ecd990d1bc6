"""Who is let in: each attack is refused before a body is read."""

from __future__ import annotations

import httpx
import pytest
from starlette.datastructures import Headers
from tests.unit.serving import served

from vit_dementia.serving.gate import HEADERS, Rules, cause_against

RULES = Rules(upload_bytes=1000)


def refused(method="GET", path="/", rules=RULES, **headers) -> int:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    cause = cause_against(rules, method, path, Headers(given))
    return 0 if cause is None else cause[0]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "LOCALHOST:8000", "[::1]:8000", "127.0.0.1:9"]
)
def test_this_machine_is_known_by_its_own_names_at_any_port(host) -> None:
    assert refused(host=host) == 0


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000",
     "evil.example:127.0.0.1", "", "[::2]", "0.0.0.0"],
)  # fmt: skip
def test_another_name_for_this_machine_is_refused(host) -> None:
    assert refused(host=host) == 421


def test_a_request_without_a_host_or_with_two_is_refused() -> None:
    assert refused() == 421
    twice = [(b"host", b"localhost"), (b"host", b"evil.example")]
    assert cause_against(RULES, "GET", "/", Headers(raw=twice)) is not None


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://localhost:8000.evil.example",
     "http://localhost:8001", "http://localhost", "http://localhost:8000/", ""],
)  # fmt: skip
def test_another_page_cannot_ask(origin) -> None:
    assert refused("POST", "/v1/predict", host="localhost:8000", origin=origin) == 403


def test_the_own_page_can_ask_and_a_program_without_an_origin() -> None:
    own = {"host": "localhost:8000", "origin": "http://localhost:8000"}
    assert refused("POST", "/v1/predict", **own) == 0
    assert refused("POST", "/v1/predict", host="localhost:8000") == 0


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("path", ["/v1/predict", "/v1/model", "/metrics"])
def test_a_form_or_a_picture_of_another_page_is_refused(site, path) -> None:
    method = "POST" if path == "/v1/predict" else "GET"
    assert refused(method, path, host="localhost", sec_fetch_site=site) == 403


def test_a_link_from_elsewhere_opens_the_page() -> None:
    assert refused(host="localhost", sec_fetch_site="cross-site") == 0


@pytest.mark.parametrize("shown", ["", "Bearer", "Bearer wrong", "secret", "Basic x"])
def test_a_token_is_asked_for_where_there_is_one(shown) -> None:
    rules = Rules(token="secret" * 3, upload_bytes=1000)
    for path in ("/v1/predict", "/v1/model", "/metrics", "/openapi.json"):
        given = {"host": "localhost", "authorization": shown}
        assert refused("GET", path, rules, **given) == 401
        given["authorization"] = f"Bearer {rules.token}"
        assert refused("GET", path, rules, **given) == 0
    for path in ("/", "/health", "/ready", "/page/page.js"):
        assert refused("GET", path, rules, host="localhost") == 0


def test_a_packed_or_a_large_body_is_refused_by_its_header() -> None:
    own = {"method": "POST", "path": "/v1/predict", "host": "localhost"}
    assert refused(**own, content_encoding="gzip") == 415
    assert refused(**own, content_length="1001") == 413
    assert refused(**own, content_length="1000") == 0
    for wrong in ("-1", "1e3", "\xb2", "0x10"):
        assert refused(**own, content_length=wrong) == 400


def test_every_answer_forbids_what_a_page_may_not_do(client) -> None:
    for path in ("/", "/page/page.js", "/health", "/nothing", "/v1/model"):
        headers = client.get(path).headers
        assert {name: headers[name] for name in HEADERS} == dict(HEADERS)
        assert "access-control-allow-origin" not in headers
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


def test_a_preflight_is_allowed_nothing(client) -> None:
    asked = {
        "Origin": "http://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    reply = client.options("/v1/predict", headers=asked)
    assert reply.status_code == 403
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_a_refusal_reaches_whoever_asks(address) -> None:
    reply = httpx.get(f"{address}/health", headers={"Host": "evil.example"})
    assert reply.status_code == 421
    assert "another name" in reply.json()["error"]["faults"][0]
    with served.listening(served.Here(served.nothing), token="s" * 20) as url:
        reply = httpx.get(f"{url}/v1/model")
        assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
