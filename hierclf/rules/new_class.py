"""What the scores of a class drawn anew look like: a random-effects model of held-out classes.

Thresholds serve classes that nobody has seen, and few super-classes can be hidden to learn from. So
the unit is the class: a class c has a location m_c, the mean of its images' scores, and locations
are a sample from N(mu, sigma^2). The prior is the conjugate normal-inverse-chi-squared one (Gelman
et al., "Bayesian Data Analysis", 3rd ed., section 3.3): a new super-class lies anywhere between the
new sub-classes of known super-classes and the hidden super-classes, so mu is half-way between the
two and sigma half their distance. It counts as some observed classes: it decides where three
super-classes could be hidden, and fades where there are thirty.

Shape legend: N images, K held-out classes, Q quantiles of the location, D draws, M new classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hierclf.rules.score_table import Array

CAUTIOUS, PLAIN = 4.0, 1.0
"""How many observed classes the prior is worth: where a threshold is chosen, so that it still works
for a class that lies nearer than those at hand; and where a figure is promised."""
_MIN_GAP = 0.1


@dataclass(frozen=True)
class NewClass:
    """Posterior of the location of a class drawn anew, in units of the score.

    Attributes:
        mean: of the posterior of mu.
        scale: posterior scale of sigma.
        strength: classes that the mean rests on, the prior's among them; > 0.
        freedom: degrees of freedom; > 0.
        residuals: float64 [N], images' scores less their class's location.
    """

    mean: float
    scale: float
    strength: float
    freedom: float
    residuals: Array

    def quantiles(self, n: int) -> Array:
        """Mid-point quantiles [n] of the posterior predictive distribution, Student's t."""
        t = stats.t.ppf((np.arange(n) + 0.5) / n, self.freedom)
        return self.mean + t * self.scale * np.sqrt(1.0 + 1.0 / self.strength)

    def draw(self, rng_chi: Array, rng_mean: Array, rng_class: Array) -> Array:
        """Locations [D, M] of M new classes in D draws of the parameters.

        Args:
            rng_chi: float64 [D], chi-squared variates of `freedom` degrees.
            rng_mean: float64 [D], standard normal. rng_class: float64 [D, M], standard normal.
                Given from outside, so that both levels of one class can share them.
        """
        sigma = self.scale * np.sqrt(self.freedom / rng_chi)
        mu = self.mean + sigma * rng_mean / np.sqrt(self.strength)
        return mu[:, None] + sigma[:, None] * rng_class


def new_class(
    scores: Array,
    classes: NDArray[np.integer],
    *,
    near: float | None,
    prior_classes: float = CAUTIOUS,
) -> NewClass:
    """Fit the posterior on held-out classes.

    Args:
        scores: float64 [N], of images of K >= 1 held-out classes.
        classes: int [N], the class of each image.
        near: mean score of new sub-classes of known super-classes, where the prior begins; None
            takes the mean of known images, 0 in units of their spread.
        prior_classes: >= 0; with 0 and K >= 2 the classical prediction interval, Student's t with
            K - 1 degrees of freedom.

    Returns:
        The posterior, with the images' residuals.

    Raises:
        ValueError: no images, or one class and no prior.
    """
    names, index = np.unique(classes, return_inverse=True)
    if not len(names) or (len(names) < 2 and prior_classes <= 0):
        raise ValueError(
            f"a new class needs 2 held-out classes, or 1 and a prior, but got {len(names)} and "
            f"prior_classes={prior_classes}"
        )
    n = len(names)
    locations = np.bincount(index, scores) / np.bincount(index)
    residuals = scores - locations[index]
    mean = locations.mean()
    within = float(((locations - mean) ** 2).sum())
    if prior_classes <= 0:
        freedom = n - 1.0
        return NewClass(float(mean), float(np.sqrt(within / freedom)), n, freedom, residuals)
    start = 0.0 if near is None else near
    gap = max(float(mean) - start, _MIN_GAP)
    middle = start + gap / 2.0
    strength = prior_classes + n
    freedom = prior_classes + n
    # The prior's middle is estimated from the same mean, which costs the usual degree of freedom.
    freedom -= 1.0
    spread = prior_classes * (gap / 2.0) ** 2 + within
    spread += prior_classes * n / strength * (float(mean) - middle) ** 2
    centre = (prior_classes * middle + n * float(mean)) / strength
    return NewClass(centre, float(np.sqrt(spread / freedom)), strength, freedom, residuals)
