"""The functions of `hierclf.scores.softmax` against SciPy's."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special

from hierclf.scores import softmax as ours

VALUES = np.random.default_rng(0).normal(scale=30.0, size=(50, 7))
EXTREME = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [7e2, 7e2, -7e2]])


@pytest.mark.parametrize("values", [VALUES, EXTREME, VALUES.astype(np.float32), VALUES[:, :1]])
@pytest.mark.parametrize(
    ("own", "scipys"),
    [
        (ours.softmax, special.softmax),
        (ours.log_softmax, special.log_softmax),
        (ours.logsumexp, special.logsumexp),
    ],
    ids=["softmax", "log_softmax", "logsumexp"],
)
def test_each_gives_what_scipy_gives(
    own: Callable[[np.ndarray], np.ndarray], scipys: Callable[..., np.ndarray], values: np.ndarray
) -> None:
    found, expected = own(values), scipys(values, axis=-1)
    assert found.dtype == values.dtype
    assert_allclose(found, expected, rtol=1e-12 if values.dtype == np.float64 else 1e-5)


def test_sigmoid_neither_overflows_nor_loses_small_values() -> None:
    values = np.array([-1e4, -700.0, -40.0, 0.0, 1.0, 40.0, 1e4])
    with np.errstate(all="raise", under="ignore"):
        assert_allclose(ours.sigmoid(values), special.expit(values), rtol=1e-12)
