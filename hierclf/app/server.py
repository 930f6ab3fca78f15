"""Socket, start and end of the page's server."""

import os
import signal
import tempfile
from pathlib import Path

from starlette.types import ASGIApp

# Gradio reports its use to its makers unless it finds these when it is imported.
os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")
import gradio as gr
from fastapi import FastAPI

from hierclf.app.guard import guarded
from hierclf.app.layout import Page, build_page
from hierclf.app.moves import read_moves
from hierclf.app.parts import style
from hierclf.data.image_files import list_images
from hierclf.model import load
from hierclf.serving.limits import Limits
from hierclf.serving.server import address_of, bound_socket, make_server

_OVERHEAD = 2**20
"""Bytes of a request beside its images."""
_FONT = ("system-ui", "sans-serif")
_MONOSPACE = ("ui-monospace", "monospace")


def build_app(
    model: Path, limits: Limits, *, training_images: str | None = None, device: str = "auto"
) -> ASGIApp:
    """The page as an ASGI application; reads the model, and what to expect of it.

    Args:
        model: a model directory.
        limits: of uploads.
        training_images: where the training images are, for their pictures.
        device: of the network.

    Raises:
        ValueError: as `hierclf.load`, `read_moves` and `list_images`.
    """
    moves = read_moves(load(model, device=device), model)
    training = dict(list_images(training_images)) if training_images else None
    blocks = build_page(Page(moves, training, limits), "/".join(model.resolve().parts[-2:]))
    app = FastAPI(openapi_url=None)
    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        theme=gr.themes.Default(font=_FONT, font_mono=_MONOSPACE),
        css=style(),
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        max_file_size=limits.max_bytes,
    )
    return app


def serve_page(
    model: Path,
    *,
    host: str,
    port: int,
    limits: Limits,
    training_images: str | None = None,
    device: str = "auto",
) -> None:
    """Show the page until SIGINT or SIGTERM.

    Args:
        model: a model directory.
        host: to listen on.
        port: 0 picks a free one.
        limits: of uploads.
        training_images: where the training images are, for their pictures.
        device: of the network.

    Raises:
        ValueError: as `bound_socket` and `build_app`.
    """
    with (
        tempfile.TemporaryDirectory(prefix="hierclf-app-") as uploads,
        bound_socket(host, port) as bound,
    ):
        os.environ["GRADIO_TEMP_DIR"] = uploads
        app = build_app(model, limits, training_images=training_images, device=device)
        bounded = guarded(app, limits.max_bytes + _OVERHEAD, lambda: server.should_exit)
        server = make_server(bounded, limits)
        # uvicorn raises the signals again that ended it, with these handlers in place.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: setattr(server, "should_exit", True))
        print(f"open {address_of(bound)} (Ctrl-C ends it)", flush=True)
        server.run(sockets=[bound])
    print("stopped")
