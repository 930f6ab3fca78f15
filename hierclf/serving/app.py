"""The paths of the server and their answers; errors are one line of JSON."""

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from hierclf.errors import one_line
from hierclf.rules.answers import COLUMNS
from hierclf.serving.batching import Batcher
from hierclf.serving.engines import Asked, Engine
from hierclf.serving.limits import Admission, Limits
from hierclf.serving.metrics import Metrics
from hierclf.serving.requests import Sent, read_images

# No browser may take an answer for a page, whatever names it holds.
_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
_PAGE = """\
hierclf: which super-class, which sub-class, and is it something that training never showed?

  curl -F image=@photo.jpg {address}/predict
  curl --data-binary @photo.jpg {address}/predict
  curl --json '{{"images": ["BASE64", ...]}}' {address}/predict

  POST /predict?explain=true  says why, too{unless}

  GET /model    classes, thresholds, what they promise, versions
  GET /health   the server answers
  GET /ready    the server takes another request
  GET /metrics  counts and times for Prometheus
"""


def build_app(engine: Engine, limits: Limits, *, batch_size: int = 16) -> ASGIApp:
    """The server as an ASGI application.

    Args:
        engine: the model.
        limits: what a client may ask for.
        batch_size: images that pass the network at a time.
    """
    service = _Service(engine, limits, batch_size)
    get, post = ["GET"], ["POST"]
    routes = [
        Route("/", service.page, methods=get),
        Route("/predict", service.predict, methods=post),
        Route("/health", service.health, methods=get),
        Route("/ready", service.ready, methods=get),
        Route("/model", service.model, methods=get),
        Route("/metrics", service.figures, methods=get),
    ]
    app = Starlette(
        routes=routes,
        lifespan=service.running,
        exception_handlers={
            HTTPException: _refused,
            ClientDisconnect: _gone,
            Exception: _failed,
        },
    )
    app.router.redirect_slashes = False
    return service.metrics.counted(app)


def _answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    # ASCII: a name may hold a half of a surrogate pair, which has no other form.
    text = json.dumps(content, ensure_ascii=True, allow_nan=False) + "\n"
    own = _HEADERS | (headers or {})
    return Response(text, status, headers=own, media_type="application/json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    what = error.detail
    if error.status_code == 404:
        what = "no such path; GET / lists them"
    elif error.status_code == 405:
        what = f"the method must be {headers.get('Allow', 'another')}, but got {request.method}"
    return _answer({"error": what}, error.status_code, headers)


async def _gone(request: Request, error: Exception) -> Response:
    """Nobody reads this; its status is counted."""
    return _answer({"error": "the client went away"}, 400)


async def _failed(request: Request, error: Exception) -> Response:
    """The traceback goes to the server's log."""
    return _answer({"error": "the server failed; its log says why"}, 500)


class _Service:
    """What the paths share."""

    def __init__(self, engine: Engine, limits: Limits, batch_size: int) -> None:
        self.engine, self.limits = engine, limits
        self.metrics = Metrics(
            frozenset({"/", "/predict", "/health", "/ready", "/model", "/metrics"})
        )
        self.admission = Admission(limits.max_requests)
        self.metrics.in_work.set_function(lambda: self.admission.now)
        self.batcher = Batcher(
            engine.rows, batch_size=batch_size, on_batch=self.metrics.batches.observe
        )
        self.pool = ThreadPoolExecutor(thread_name_prefix="decode")

    @asynccontextmanager
    async def running(self, app: Starlette) -> AsyncIterator[None]:
        work = asyncio.create_task(self.batcher.run())
        try:
            yield
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work
            self.pool.shutdown(cancel_futures=True)

    async def page(self, request: Request) -> Response:
        host, port = request.scope.get("server") or ("127.0.0.1", 8000)
        host = f"[{host}]" if ":" in host else host
        text = _PAGE.format(
            address=f"http://{host}:{port}",
            unless="" if self.engine.explain else " (not of this model: it is an exported one)",
        )
        return PlainTextResponse(text, headers=_HEADERS)

    async def health(self, request: Request) -> Response:
        return _answer({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        with self.admission.admitted():
            return _answer({"status": "ready"})

    async def model(self, request: Request) -> Response:
        return _answer(self.engine.description() | {"limits": asdict(self.limits)})

    async def figures(self, request: Request) -> Response:
        headers = _HEADERS | {"Content-Type": CONTENT_TYPE_LATEST}
        return Response(self.metrics.text(), headers=headers)

    async def predict(self, request: Request) -> Response:
        with self.admission.admitted():
            explain = self._wants_explanations(request)
            images = await read_images(request, self.limits, self.pool)
            rows = await asyncio.gather(*(self._row(image, explain) for image in images))
        for row in rows:
            self.metrics.images.labels(_result(row)).inc()
        if all(row["error"] is not None for row in rows):
            first = f"{rows[0]['image']}: {rows[0]['error']}"
            what = f"at least one image must be readable, but none of {len(rows)} is; {first}"
            return _answer({"error": what, "predictions": rows}, 422)
        return _answer({"predictions": rows})

    def _wants_explanations(self, request: Request) -> bool:
        value = request.query_params.get("explain", "false")
        if value not in ("true", "false"):
            what = f"explain must be true or false, but got {value[:40]!r}"
            raise HTTPException(400, what)
        if value == "true" and self.engine.explain is None:
            what = "an exported model gives no explanations; serve the model directory for them"
            raise HTTPException(400, what)
        return value == "true"

    async def _row(self, sent: Sent, explain: bool) -> dict[str, Any]:
        """The columns of `hierclf predict`, whether novel at either level, and the error."""
        loop, names = asyncio.get_running_loop(), self.engine.hierarchy
        decoded = loop.run_in_executor(
            self.pool, lambda: Asked(self.engine.pixels(sent.data()), explain)
        )
        try:
            row = await self.batcher.predict(decoded)
        except ValueError as error:
            columns = dict.fromkeys((*COLUMNS[1:], "super_novel", "sub_novel"))
            return {"image": sent.name, **columns, "error": one_line(error)}
        explanation = row.pop("explanation", None)
        row = row | {"explanation": explanation} if explain else row
        return {
            "image": sent.name,
            **row,
            "super_novel": row["superclass_index"] == names.novel_super_id,
            "sub_novel": row["subclass_index"] == names.novel_sub_id,
            "error": None,
        }


def _result(row: dict[str, Any]) -> str:
    if row["error"] is not None:
        return "unreadable"
    if row["super_novel"]:
        return "novel_superclass"
    return "novel_subclass" if row["sub_novel"] else "known"
