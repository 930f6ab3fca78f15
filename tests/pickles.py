"""A pickle that runs code, for tests that nothing is unpickled."""

import os
from pathlib import Path
from typing import Any


class Bomb:
    """Runs code when it is unpickled: it makes the folder it names."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)
