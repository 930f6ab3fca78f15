"""Logistic regression whose weights are not negative: no input can lower the output.

Shape legend: N rows, F inputs.
"""

import numpy as np
from numpy.typing import NDArray

from hierclf.scores.softmax import sigmoid

PENALTY = 1e-3


def fit_monotone(
    inputs: np.ndarray, positive: np.ndarray, *, penalty: float = PENALTY
) -> tuple[NDArray[np.float64], float]:
    """Fit non-negative weights and a bias; positive and negative rows weigh the same in total.

    The penalty pulls the weights to 1 / F each, an average of the inputs, which is the result where
    no rows say otherwise.

    Args:
        inputs: float [N, F], standardised; N may be 0.
        positive: bool [N].
        penalty: times the squared distance to equal weights, added to the mean logistic loss; > 0.

    Returns:
        Weights, float64 [F], >= 0, and the bias.
    """
    from scipy.optimize import minimize  # prediction does not need it

    rows = np.asarray(inputs, dtype=np.float64)
    width = rows.shape[1]
    signs = np.where(positive, 1.0, -1.0)
    counts = np.where(positive, positive.sum(), (~positive).sum())
    shares = 0.5 / np.maximum(counts, 1)
    equal = np.full(width, 1.0 / width)

    def loss_and_gradient(variables: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, bias = variables[:-1], variables[-1]
        margins = signs * (rows @ weights + bias)
        slopes = -shares * signs * sigmoid(-margins)
        away = weights - equal
        loss = float((shares * np.logaddexp(0.0, -margins)).sum() + penalty * (away**2).sum())
        return loss, np.append(slopes @ rows + 2 * penalty * away, slopes.sum())

    found = minimize(
        loss_and_gradient,
        np.append(equal, 0.0),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None)] * width + [(None, None)],
        options={"maxiter": 1000, "gtol": 1e-8, "ftol": 1e-14},
    )
    return found.x[:-1], float(found.x[-1])
