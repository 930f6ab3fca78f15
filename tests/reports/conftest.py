"""What tests of plots share."""

from typing import Any

import pytest
from matplotlib.axes import Axes


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that is written into panels, as it is drawn."""
    said: list[str] = []
    write = Axes.text

    def spy(self: Axes, x: float, y: float, s: str, **options: Any) -> Any:
        said.append(s)
        return write(self, x, y, s, **options)

    monkeypatch.setattr(Axes, "text", spy)
    return said
