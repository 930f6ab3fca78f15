"""Counts and times of a server, in Prometheus's text form."""

import time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The figures of one server, in a registry of its own.

    Attributes:
        requests: by path (of those that exist) and status.
        seconds: from the head of a request to the end of its answer, of predictions.
        images: by result: known, novel_subclass, novel_superclass or unreadable.
        batches: images per pass of the network.
        in_work: requests for predictions that are being received or worked on.
    """

    def __init__(self, paths: frozenset[str]) -> None:
        self.registry = CollectorRegistry()
        self._paths = paths
        self.requests = Counter(
            "hierclf_requests", "Requests by path and status", ["path", "status"], **self._own()
        )
        self.seconds = Histogram(
            "hierclf_predict_seconds", "Seconds per prediction", buckets=_SECONDS, **self._own()
        )
        self.images = Counter("hierclf_images", "Images by result", ["result"], **self._own())
        self.batches = Histogram(
            "hierclf_batch_images", "Images per batch", buckets=_BATCHES, **self._own()
        )
        self.in_work = Gauge("hierclf_requests_in_work", "Predictions in work", **self._own())

    def _own(self) -> dict[str, Any]:
        return {"registry": self.registry}

    def text(self) -> bytes:
        """All figures as `GET /metrics` gives them."""
        return generate_latest(self.registry)

    def counted(self, app: ASGIApp) -> ASGIApp:
        """The same application; each of its requests is counted."""

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            started, status = time.perf_counter(), 500

            async def sending(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await app(scope, receive, sending)
            finally:
                path = scope["path"] if scope["path"] in self._paths else "other"
                self.requests.labels(path, status).inc()
                if path == "/predict":
                    self.seconds.observe(time.perf_counter() - started)

        return call
