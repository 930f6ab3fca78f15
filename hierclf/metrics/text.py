"""Figures as text."""

import math


def percent(fraction: float | None, digits: int = 1) -> str:
    """A fraction in per cent, such as "96.5"; "-" for None and NaN.

    Args:
        fraction: usually in [0, 1].
        digits: decimal places.
    """
    if fraction is None or math.isnan(fraction):
        return "-"
    return f"{100 * fraction:.{digits}f}"
