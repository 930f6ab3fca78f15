"""Socket, start and end of the server."""

import signal
import socket
from functools import partial
from pathlib import Path
from typing import Any, cast

from starlette.types import ASGIApp
from uvicorn import Config, Server

from hierclf.serving.app import build_app
from hierclf.serving.connections import PunctualProtocol
from hierclf.serving.engines import open_engine
from hierclf.serving.limits import Limits

ENDING_S = 5
"""How long the end waits for requests in work."""
_BACKLOG = 2048


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that listens, so that clients wait rather than fail from here on.

    Args:
        host: a name or an address.
        port: 0 picks a free one.

    Raises:
        ValueError: a port that is taken or not allowed, or a host that is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"--host must be an address of this machine, got {host}: {reason}"
        ) from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        reason = error.strerror
        what = f"--host and --port must be free to listen on, but {host} port {port}: {reason}"
        raise ValueError(what) from None
    return bound


def address_of(bound: socket.socket) -> str:
    """The address to type."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_server(app: ASGIApp, limits: Limits) -> Server:
    """A server that is not yet started; `run(sockets=[...])` starts it."""
    protocol = partial(PunctualProtocol, within=limits.timeout)
    return Server(
        Config(
            app,
            http=cast(Any, protocol),
            ws="none",
            interface="asgi3",
            lifespan="on",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=ENDING_S,
        )
    )


def serve(
    model: Path,
    *,
    host: str,
    port: int,
    limits: Limits,
    batch_size: int,
    device: str,
    title: str | None = None,
) -> None:
    """Answer requests until SIGINT or SIGTERM; those in work are finished.

    Args:
        model: a model directory or an exported model.
        host: to listen on.
        port: 0 picks a free one.
        limits: what a client may ask for.
        batch_size: images that pass the network at a time.
        device: of a model directory.
        title: what to call the model; None calls it by its path.

    Raises:
        ValueError: as `bound_socket` and `open_engine`.
    """
    with bound_socket(host, port) as bound:
        app = build_app(open_engine(model, device), limits, batch_size=batch_size)
        server = make_server(app, limits)
        # uvicorn raises the signals again that ended it, with these handlers in place.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: setattr(server, "should_exit", True))
        address = address_of(bound)
        print(f"serving {title or model} on {address} (Ctrl-C ends it)\nnext:", flush=True)
        print(f"  curl -F image=@photo.jpg {address}/predict", flush=True)
        server.run(sockets=[bound])
    print("stopped")
