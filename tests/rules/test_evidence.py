"""Claims about the kinds and weights of a score table's rows, counted by hand."""

import numpy as np
import pandas as pd

from hierclf.rules.evidence import FAR, KNOWN, NEAR, Evidence
from hierclf.rules.score_table import ScoreTable


def test_kinds_units_and_weights_of_six_rows() -> None:
    table = ScoreTable(
        pd.DataFrame(
            {
                "super_label": [0, 0, 0, 0, 1, 2],
                "sub_label": [0, 1, 2, 2, 5, 8],
                "super_known": [True, True, True, True, False, False],
                "sub_known": [True, True, False, False, False, False],
                "super_pred": [0, 1, 0, 0, 0, 0],
                "sub_pred": [0, 1, 0, 1, 0, 0],
            }
        )
    )
    evidence = Evidence.of(table)
    assert evidence.kind.tolist() == [KNOWN, KNOWN, NEAR, NEAR, FAR, FAR]
    # Known and near rows speak for their sub-class, far ones for their super-class.
    assert evidence.unit.tolist() == [0, 1, 2, 2, 1, 2]
    np.testing.assert_allclose(evidence.weight, [0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    assert evidence.super_right.tolist() == [True, False, True, True, False, False]
    assert evidence.sub_right.tolist() == [True, True, False, False, False, False]
    assert [evidence.n_classes(kind) for kind in (KNOWN, NEAR, FAR)] == [2, 1, 2]


def test_every_held_out_class_weighs_the_same_however_many_images_it_has() -> None:
    n = 10
    table = ScoreTable(
        pd.DataFrame(
            {
                "super_label": 0,
                "sub_label": [3] * 9 + [4],
                "super_known": True,
                "sub_known": False,
                "super_pred": 0,
                "sub_pred": 0,
            },
            index=range(n),
        )
    )
    weight = Evidence.of(table).weight
    assert weight[:9].sum() == weight[9] == 0.5
    assert not Evidence.of(table).has(FAR)
