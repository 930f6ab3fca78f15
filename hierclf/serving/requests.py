"""From the body of a request to images: multipart files, one image as it is, or base64 in JSON.

A body is bytes and nothing else. An address or a path in it is text that is no base64: nothing is
fetched or opened.
"""

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any, NamedTuple

from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from hierclf.errors import one_line
from hierclf.serving.limits import Limits

JSON_FORM = '{"images": [ITEM, ...]}, an ITEM being base64 text or {"name": TEXT, "data": base64}'


class Sent(NamedTuple):
    """An image as it was sent.

    Attributes:
        name: the client's own, or the position in the request; only ever sent back.
        data: gives the encoded image, or raises ValueError; called in another thread.
    """

    name: str
    data: Callable[[], bytes]


async def read_images(request: Request, limits: Limits, pool: Executor) -> list[Sent]:
    """Receive a request's images, within the limits.

    Args:
        request: whose body was not read.
        limits: of bytes, images and seconds.
        pool: where JSON is parsed.

    Returns:
        At least one image, in the order of the request.

    Raises:
        HTTPException: 400 for a body of another form, 408 for one that comes too slowly, 413 for
            one that is too large.
    """
    _check_length(request, limits)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    read = {"multipart/form-data": _multipart, "application/json": _json}.get(kind, _raw)
    try:
        images = await asyncio.wait_for(read(request, limits, pool), limits.timeout)
    except asyncio.TimeoutError:
        what = f"a request must arrive within {limits.timeout:g} s (--timeout), but did not"
        raise HTTPException(408, what, headers={"Connection": "close"}) from None
    if not images:
        raise HTTPException(400, "a request must hold an image, but holds none")
    if len(images) > limits.max_images:
        raise HTTPException(400, _too_many(limits, f"{len(images)}"))
    return images


def _too_many(limits: Limits, got: str) -> str:
    return f"a request must hold at most {limits.max_images} images (--max-images), but holds {got}"


def _too_large(limits: Limits) -> HTTPException:
    most = f"at most {limits.max_bytes} bytes (--max-bytes)"
    return HTTPException(413, f"the body of a request must have {most}, but has more")


def _check_length(request: Request, limits: Limits) -> None:
    """Refuse what says itself that it is too large, before it is sent."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > limits.max_bytes:
        raise _too_large(limits)


async def _counted(request: Request, limits: Limits) -> AsyncGenerator[bytes, None]:
    """The body in pieces; what a header says of its length does not matter."""
    received = 0
    async for piece in request.stream():
        received += len(piece)
        if received > limits.max_bytes:
            raise _too_large(limits)
        yield piece


async def _body(request: Request, limits: Limits) -> bytes:
    return b"".join([piece async for piece in _counted(request, limits)])


async def _raw(request: Request, limits: Limits, pool: Executor) -> list[Sent]:
    """One image; any type, as `curl --data-binary` says that it sends a form."""
    body = await _body(request, limits)
    return [Sent("0", lambda: body)] if body else []


async def _multipart(request: Request, limits: Limits, pool: Executor) -> list[Sent]:
    parser = MultiPartParser(
        request.headers, _counted(request, limits), max_files=limits.max_images, max_fields=0
    )
    parser.spool_max_size = limits.max_bytes + 1  # in memory: a server may have no disk to write to
    try:
        form = await parser.parse()
    except (MultiPartException, FormParserError) as error:
        reason = error.message if isinstance(error, MultiPartException) else one_line(error)
        if reason.startswith("Too many files"):
            raise HTTPException(400, _too_many(limits, "more")) from None
        if reason.startswith("Too many fields"):
            what = "every part of a multipart body must be a file, as of curl -F image=@photo.jpg"
            raise HTTPException(400, what) from None
        what = f"a multipart body must be well formed, but: {reason}"
        raise HTTPException(400, what) from None
    images = []
    for position, (_, part) in enumerate(form.multi_items()):
        assert isinstance(part, UploadFile)  # there are no fields
        images.append(Sent(part.filename or str(position), partial(bytes, await part.read())))
    await form.close()
    return images


async def _json(request: Request, limits: Limits, pool: Executor) -> list[Sent]:
    body = await _body(request, limits)
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, _json_images, body)
    except (ValueError, RecursionError) as error:
        what = f"the body must be {JSON_FORM}, but: {one_line(error)[:200]}"
        raise HTTPException(400, what) from None


def _json_images(body: bytes) -> list[Sent]:
    document = json.loads(body)
    if not isinstance(document, dict) or list(document) != ["images"]:
        raise ValueError("it is no object with the one key images")
    items = document["images"]
    if not isinstance(items, list):
        raise ValueError("images is no list")
    return [_json_image(position, item) for position, item in enumerate(items)]


def _json_image(position: int, item: Any) -> Sent:
    if isinstance(item, str):
        return Sent(str(position), partial(_from_base64, item))
    if isinstance(item, dict) and set(item) <= {"name", "data"} and "data" in item:
        name, data = item.get("name", str(position)), item["data"]
        if isinstance(name, str) and isinstance(data, str):
            return Sent(name, partial(_from_base64, data))
    raise ValueError(f"image {position} is neither text nor an object of a name and data")


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"must be base64 text: {one_line(error)}") from None
