"""Claims about which levels can be judged: as the promise of a drawn score table says later."""

import numpy as np
import pandas as pd
import pytest

from hierclf.data.cache import ImageCache
from hierclf.hierarchy import Hierarchy
from hierclf.rules.promise import promise
from hierclf.rules.score_table import ScoreTable
from hierclf.training.hidden_classes import sub_parts
from search.pipeline.confirmation import comparable
from search.pipeline.judged import unjudged_levels
from tests.planned_folds import plan_folds


def images_of(n_super: int, subs_each: int, *, per_class: int = 8) -> ImageCache:
    n_sub = n_super * subs_each
    parents = tuple(i // subs_each for i in range(n_sub))
    subs = np.repeat(np.arange(n_sub), per_class)
    hierarchy = Hierarchy(
        super_names=tuple(f"s{i}" for i in range(n_super)),
        sub_names=tuple(f"c{i}" for i in range(n_sub)),
        sub_to_super=parents,
        super_ids=tuple(range(n_super)),
        sub_ids=tuple(range(n_sub)),
        novel_super_id=n_super,
        novel_sub_id=n_sub,
    )
    return ImageCache(
        images=np.zeros((len(subs), 2, 2, 3), dtype=np.uint8),
        names=[str(i) for i in range(len(subs))],
        super_labels=np.array(parents)[subs],
        sub_labels=subs,
        hierarchy=hierarchy,
        fingerprint="",
        quarantine=pd.DataFrame(columns=["image", "reason"]),
    )


@pytest.mark.parametrize(
    ("shape", "folds", "unjudged"),
    [
        ((3, 3), (3, 3), set()),
        ((3, 3), (2, 3), set()),
        ((2, 4), (4, 3), {"super"}),
        ((2, 2), (3, 3), {"super", "sub"}),
        ((4, 3), (3, 0), {"super"}),
        ((4, 3), (2, 0), {"super", "sub"}),
        ((4, 3), (3, 1), {"super"}),
        ((4, 3), (2, 2), set()),
    ],
)
def test_a_level_is_unjudged_exactly_where_the_promise_has_no_figure_for_it(
    shape: tuple[int, int], folds: tuple[int, int], unjudged: set[str]
) -> None:
    cache = images_of(*shape)
    planned = {
        fold.name: fold
        for fold in plan_folds(
            cache.super_labels,
            cache.sub_labels,
            cache.hierarchy,
            sub_folds=folds[0],
            super_folds=folds[1],
            val_fraction=0.25,
            seed=0,
        )
    }
    parts = sub_parts(cache.hierarchy, sub_folds=folds[0], seed=0)
    found = unjudged_levels(cache, planned, parts, chosen_on=("sub0", "super0"))
    assert set(found) == unjudged
    frames = []
    for name, fold in planned.items():
        rows = np.concatenate([fold.val, fold.held_out])
        rows = rows[parts[cache.sub_labels[rows]] != 0]
        if name in ("sub0", "super0") or not len(rows):
            continue
        supers, subs = cache.super_labels[rows], cache.sub_labels[rows]
        columns = {
            "image": rows.astype(str),
            "fold": name,
            "split": "val",
            "super_label": supers,
            "sub_label": subs,
            "super_known": np.isin(supers, fold.known_super),
            "sub_known": np.isin(subs, fold.known_sub),
            "super_pred": supers,
            "sub_pred": subs,
        }
        frames.append(pd.DataFrame(columns))
    table = ScoreTable(pd.concat(frames, ignore_index=True))
    margins = pd.DataFrame(np.zeros((len(table), 2)), columns=["super_margin", "sub_margin"])
    figures = promise(table, margins)
    assert comparable(table) == (len(unjudged) < 2)
    assert {level for level in ("super", "sub") if figures[f"{level}_harmonic"] is None} == unjudged
