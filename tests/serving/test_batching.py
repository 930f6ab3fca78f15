"""Images that wait together pass together, and none sees the fate of another."""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from hierclf.serving.batching import Batcher, Row


async def decoded(number: int, seconds: float = 0) -> int:
    await asyncio.sleep(seconds)
    return number


class Network:
    """Answers with the number of an image, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, images: Sequence[int]) -> list[Row]:
        numbers = list(images)
        self.batches.append(numbers)
        assert self.go.wait(10)
        if 13 in numbers:
            raise ValueError("thirteen is not finite")
        return [{"number": number} for number in numbers]


def worked(network: Network, batch_size: int, calls: Any) -> Any:
    """The result of `calls(batcher)` beside a running batcher."""

    async def main() -> Any:
        batcher = Batcher(network, batch_size=batch_size)
        task = asyncio.create_task(batcher.run())
        try:
            return await calls(batcher)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    return asyncio.run(main())


def test_what_arrives_while_the_network_works_is_the_next_batch_up_to_its_size() -> None:
    network = Network()
    network.go.clear()

    async def calls(batcher: Batcher) -> list[Row]:
        first = asyncio.create_task(batcher.predict(decoded(0)))
        while not network.batches:
            await asyncio.sleep(0.001)
        others = [asyncio.create_task(batcher.predict(decoded(n))) for n in range(1, 8)]
        await asyncio.sleep(0.02)
        network.go.set()
        return [await task for task in (first, *others)]

    rows = worked(network, 4, calls)
    assert rows == [{"number": number} for number in range(8)]
    assert network.batches == [[0], [1, 2, 3, 4], [5, 6, 7]]


def test_a_batch_waits_a_moment_for_what_is_being_decoded_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = Network()
    moment = 0.5  # long enough for a busy machine to be in time
    monkeypatch.setattr("hierclf.serving.batching.WAIT_S", moment)

    async def calls(batcher: Batcher) -> list[Row]:
        soon, late = moment / 20, moment * 3
        tasks = [batcher.predict(decoded(n, after)) for n, after in enumerate((0, soon, late))]
        return list(await asyncio.gather(*tasks))

    assert worked(network, 4, calls) == [{"number": number} for number in range(3)]
    assert network.batches == [[0, 1], [2]]


def test_an_image_without_a_finite_answer_fails_alone() -> None:
    network = Network()

    async def calls(batcher: Batcher) -> list[Any]:
        tasks = [batcher.predict(decoded(n)) for n in (12, 13, 14)]
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    twelve, thirteen, fourteen = worked(network, 4, calls)
    assert (twelve, fourteen) == ({"number": 12}, {"number": 14})
    assert isinstance(thirteen, ValueError)


def test_a_request_that_was_cancelled_leaves_the_others_their_answers() -> None:
    network = Network()
    network.go.clear()

    async def calls(batcher: Batcher) -> Row:
        gone = asyncio.create_task(batcher.predict(decoded(0)))
        while not network.batches:
            await asyncio.sleep(0.001)
        gone.cancel()
        stays = asyncio.create_task(batcher.predict(decoded(1)))
        await asyncio.sleep(0)
        network.go.set()
        return await stays

    assert worked(network, 4, calls) == {"number": 1}


def test_a_batch_holds_an_image_at_least() -> None:
    with pytest.raises(ValueError, match="--batch-size must be above 0, but got 0"):
        Batcher(Network(), batch_size=0)
