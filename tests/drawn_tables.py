"""Score tables drawn at random, shaped like those of real class-holdout folds."""

import numpy as np
import pandas as pd

N_SUPER, N_SUB, N_SUB_FOLDS = 3, 24, 4
SUB_TO_SUPER = np.arange(N_SUB) % N_SUPER
# The sub fold that hides each sub-class: every fold hides two sub-classes of every super-class.
PARTS = np.arange(N_SUB) // N_SUPER % N_SUB_FOLDS
# How noisy each score is: `knn` is the best one, and the scales and directions of spread differ.
NOISE = {"msp": 1.2, "max_logit": 0.9, "energy": 0.8, "knn": 0.4}


def draw_table(
    n: int,
    *,
    seed: int = 0,
    decimals: int | None = None,
    n_super: int = N_SUPER,
    n_sub: int = N_SUB,
    n_super_folds: int = N_SUPER,
) -> pd.DataFrame:
    """A table of n rows over four sub folds and three super folds, or as many as are asked for.

    Known classes are mostly right (98 % and 92 %); novelty and mistakes both raise the scores.
    `decimals` rounds the scores so that many are equal. Sub-class i is of super-class i % n_super.
    """
    rng = np.random.default_rng(seed)
    fold = rng.integers(0, N_SUB_FOLDS + n_super_folds, n)
    sub = rng.integers(0, n_sub, n)
    sup = sub % n_super
    super_known = sup != fold - N_SUB_FOLDS
    sub_known = super_known & (sub // n_super % N_SUB_FOLDS != fold)
    super_right = super_known & (rng.random(n) < 0.98)
    sub_right = sub_known & super_right & (rng.random(n) < 0.92)
    names = [f"sub{i}" for i in range(N_SUB_FOLDS)] + [f"super{i}" for i in range(n_super_folds)]
    columns: dict[str, np.ndarray] = {
        "fold": np.array(names)[fold],
        "super_label": sup,
        "sub_label": sub,
        "super_known": super_known,
        "sub_known": sub_known,
        "super_pred": np.where(super_right, sup, (sup + 1) % n_super),
        "sub_pred": np.where(sub_right, sub, (sub + n_super) % n_sub),
    }
    novelty = {
        "super": 2.0 * ~super_known + 0.7 * ~sub_known + 0.8 * ~super_right,
        "sub": 1.8 * ~sub_known + 1.0 * ~super_known + 0.8 * ~sub_right,
    }
    for level, shift in novelty.items():
        base = rng.normal(size=n) + shift
        for name, noise in NOISE.items():
            z = base + noise * rng.normal(size=n)
            value = {"msp": 1 / (1 + np.exp(4 - 2 * z)), "knn": np.exp(z / 4 - 2)}.get(name, 5 * z)
            rounded = value if decimals is None else np.round(value, decimals)
            columns[f"{level}_{name}"] = rounded.astype(np.float32)
    return pd.DataFrame(columns)
