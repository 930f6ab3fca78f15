"""Images that wait together pass the network together.

A single client never waits: while nothing else is being decoded, an image passes at once. While
the network works, those that arrive gather, and are the next batch.

Shape legend: B images of a batch.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, NamedTuple, TypeVar

Row = dict[str, Any]
Item = TypeVar("Item")
"""An image that was decoded, and what is asked about it."""
WAIT_S = 0.005
"""The longest time for which a batch waits for images that are being decoded."""


class _Waiting(NamedTuple):
    item: Any
    row: asyncio.Future[Row]


class Batcher(Generic[Item]):
    """Turns calls for one image each into calls for batches. Used in one event loop.

    Args:
        answer: from B items to B rows; called in a thread of its own, one batch at a time. An
            error is about a single one.
        batch_size: the largest B.
        on_batch: told of the size of each batch.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Item]], list[Row]],
        *,
        batch_size: int,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"--batch-size must be above 0, but got {batch_size}")
        self._answer, self._batch_size, self._on_batch = answer, batch_size, on_batch
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._decoding = 0

    async def predict(self, decoded: Awaitable[Item]) -> Row:
        """The row of one image.

        Args:
            decoded: gives it once it is decoded.

        Raises:
            ValueError: the image could not be decoded, or has no finite answer.
        """
        self._decoding += 1
        try:
            item = await decoded
        finally:
            self._decoding -= 1
        waiting = _Waiting(item, asyncio.get_running_loop().create_future())
        self._queue.put_nowait(waiting)
        return await waiting.row

    async def run(self) -> None:
        """Work until this is cancelled."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="network") as thread:
            while True:
                batch = await self._gathered()
                self._on_batch(len(batch))
                results = await loop.run_in_executor(thread, self._rows, [w.item for w in batch])
                for waiting, result in zip(batch, results, strict=True):
                    if waiting.row.done():  # its request was cancelled
                        continue
                    if isinstance(result, Exception):
                        waiting.row.set_exception(result)
                    else:
                        waiting.row.set_result(result)

    async def _gathered(self) -> list[_Waiting]:
        loop = asyncio.get_running_loop()
        batch = [await self._queue.get()]
        until = loop.time() + WAIT_S
        while len(batch) < self._batch_size:
            if not self._queue.empty():
                batch.append(self._queue.get_nowait())
                continue
            left = until - loop.time()
            if not self._decoding or left <= 0:
                break
            try:
                batch.append(await asyncio.wait_for(self._queue.get(), left))
            except asyncio.TimeoutError:
                break
        return batch

    def _rows(self, items: list[Item]) -> list[Row | Exception]:
        """One result per image: an error of one image must not become that of others."""
        try:
            return list(self._answer(items))
        except Exception as error:
            if len(items) == 1:
                return [error]
            return [row for item in items for row in self._rows([item])]
