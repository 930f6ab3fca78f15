"""What a rule answers for each image: a class at each level.

Shape legend: N images.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class Classes(NamedTuple):
    """A class per image and level: int64 [N] each, model indices or `NOVEL`."""

    super: Ints
    sub: Ints
