"""Counters for Prometheus: how many, how long, how full; nothing about a scan."""

from __future__ import annotations

import logging
import time

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
_JOBS = (1, 2, 4, 8, 16, 32, 64)


class Measured:
    """The numbers of one server, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "vit_dementia_requests",
            "Requests, by route and status.",
            ("route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "vit_dementia_request_seconds",
            "Seconds from the first byte of a request to its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "vit_dementia_batch_requests",
            "Requests that were answered together.",
            buckets=_JOBS,
            registry=self._registry,
        )
        self._taken = Gauge(
            "vit_dementia_places_taken",
            "Requests that are received, waiting or answered.",
            registry=self._registry,
        )

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, count: int) -> None:
        """Count one batch."""
        self._batches.observe(count)

    def text(self, taken: int) -> bytes:
        """Return all numbers as Prometheus reads them."""
        self._taken.set(taken)
        return generate_latest(self._registry)


class Counted:
    """Around an application: counts and logs each request by its route alone."""

    def __init__(self, app: ASGIApp, measured: Measured) -> None:
        self.app, self.measured = app, measured

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note its end."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.monotonic(), 0

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_noted)
        finally:
            # The route as we wrote it, not the path as it came.
            route = getattr(scope.get("route"), "path", "none")
            seconds = time.monotonic() - start
            self.measured.request(route, status, seconds)
            log.info("%s %d %.3f s", route, status, seconds)
