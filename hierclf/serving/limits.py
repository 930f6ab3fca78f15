"""How much a client may ask for, and the refusal of more."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

from starlette.exceptions import HTTPException

RETRY_AFTER_S = 1


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the server takes.

    Attributes:
        max_images: images in a request.
        max_bytes: bytes of a request's body.
        max_requests: requests for predictions that are received or worked on at a time.
        timeout: seconds within which a request must have arrived.

    Raises:
        ValueError: a limit that is not above 0.
    """

    max_images: int = 64
    max_bytes: int = 32 * 2**20
    max_requests: int = 64
    timeout: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                option = "--" + field.name.replace("_", "-")
                raise ValueError(f"{option} must be above 0, but got {value}")


class Admission:
    """Counts the requests in work; each may hold `max_bytes` of memory."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.now = 0

    @property
    def is_full(self) -> bool:
        return self.now >= self.most

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """One more request in work.

        Raises:
            HTTPException: 503, with Retry-After, where as many as allowed are in work.
        """
        if self.is_full:
            raise HTTPException(
                503,
                f"at most {self.most} requests are worked on at a time (--max-requests), "
                "and as many are: try again",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        self.now += 1
        try:
            yield
        finally:
            self.now -= 1
