"""Claims about score normalisation across folds, counted by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import percentileofscore

from hierclf.rules.normalisation import (
    NORMALISATIONS,
    normalise_by_fold,
    normalise_to_final,
    without_calibration,
)
from hierclf.rules.score_table import ScoreTable


def two_networks() -> pd.DataFrame:
    """The second fold's network gives every score ten times and a hundred more."""
    rng = np.random.default_rng(0)
    score = rng.normal(size=60)
    rows: dict[str, np.ndarray] = {
        "fold": np.repeat(["a", "b"], 60),
        "split": np.tile(np.repeat(["val", "held_out"], 30), 2),
    }
    for level in ("super", "sub"):
        rows[f"{level}_label"] = rows[f"{level}_pred"] = np.zeros(120, dtype=np.int64)
        rows[f"{level}_known"] = rows["split"] == "val"
        rows[f"{level}_knn"] = np.concatenate([score, 10 * score + 100])
    return pd.DataFrame(rows)


def normalised(frame: pd.DataFrame, how: Any) -> pd.DataFrame:
    return normalise_by_fold(ScoreTable(frame), ["knn"], how).frame


def test_raw_changes_nothing() -> None:
    table = ScoreTable(two_networks())
    assert normalise_by_fold(table, ["knn"], "raw") is table


@pytest.mark.parametrize("how", ["standardised", "rank"])
def test_networks_of_another_scale_agree_in_terms_of_their_own_known_images(how: str) -> None:
    values = normalised(two_networks(), how)["sub_knn"].to_numpy()
    np.testing.assert_allclose(values[:60], values[60:], atol=1e-12)


def test_standardised_is_distance_from_the_median_of_val_images_in_their_spread() -> None:
    table = two_networks()
    val = table["super_knn"][:30]
    expected = (table["super_knn"][:60] - np.median(val)) / val.std(ddof=0)
    values = normalised(table, "standardised")["super_knn"][:60]
    np.testing.assert_allclose(values, expected)


def test_a_rank_is_the_share_of_val_images_below_and_keeps_the_order_beyond_them() -> None:
    table = two_networks()
    val = table["super_knn"][:30].to_numpy()
    before = table["super_knn"][:60].to_numpy()
    after = normalised(table, "rank")["super_knn"][:60].to_numpy()
    inside = before <= val.max()
    shares = [percentileofscore(val, value) / 100 for value in before[inside]]
    np.testing.assert_allclose(after[inside], shares, atol=1 / 29)
    assert (after[~inside] > 1).all()
    above = before >= val.min()
    assert (np.argsort(before[above]) == np.argsort(after[above])).all()


def test_unknown_normalisations_and_folds_without_val_images_are_refused() -> None:
    table = two_networks()
    with pytest.raises(
        ValueError, match=f"must be one of {', '.join(NORMALISATIONS)}, but got 'by luck'"
    ):
        normalised(table, "by luck")
    with pytest.raises(ValueError, match="fold b must have val images"):
        normalised(table[(table["fold"] == "a") | (table["split"] != "val")], "rank")


def three_networks() -> pd.DataFrame:
    """Fold a hides classes; b and c know all. Training on more images lowers a known score by 2."""
    table = two_networks()
    own = table[table["fold"] == "b"]
    smaller = own.assign(fold="c", super_knn=own["super_knn"] + 2, sub_knn=own["sub_knn"] + 2)
    return pd.concat([table, smaller], ignore_index=True)


def test_normalised_to_the_final_network_scores_go_on_by_a_part_of_the_last_step() -> None:
    table = three_networks()
    found = normalise_to_final(ScoreTable(table), ["knn"], "b", "c").frame
    # What the reference scored beside its val images is kept: a user's own novel images.
    assert found.groupby("fold").size().to_dict() == {"a": 60, "b": 30}
    assert (found.loc[found["fold"] == "b", "split"] == "held_out").all()
    assert found.index.tolist() == list(range(90))
    raw = without_calibration(ScoreTable(table), "b", "c").frame
    pd.testing.assert_frame_equal(raw[["fold", "split"]], found[["fold", "split"]])
    # 2 lower from c to b: 0.73 of that again from b to the final network.
    expected = table.loc[table["fold"] == "b", "super_knn"].to_numpy() - 2 * 0.73
    np.testing.assert_allclose(found.loc[found["fold"] == "a", "super_knn"], expected)
    # They are in the reference's own terms already, but for that step.
    np.testing.assert_allclose(found.loc[found["fold"] == "b", "super_knn"], expected[30:])


def test_a_spread_that_shrinks_goes_on_shrinking_within_bounds() -> None:
    for factor, wanted in ((1.25, 1 - 0.73 * 0.2), (100.0, 0.5)):
        table = three_networks()
        less = table["fold"] == "c"
        middle = table.loc[less & (table["split"] == "val"), "sub_knn"].mean()
        table.loc[less, "sub_knn"] = middle + factor * (table.loc[less, "sub_knn"] - middle)
        normal = normalise_to_final(ScoreTable(table), ["knn"], "b", "c").frame
        found = normal.loc[normal["fold"] == "a", "sub_knn"]
        before = table.loc[table["fold"] == "b", "sub_knn"]
        assert found.std() / before.std() == pytest.approx(wanted)


def test_a_threshold_on_normalised_scores_decides_as_one_on_standardised_scores() -> None:
    table = three_networks()
    table.loc[table["fold"] == "c", "sub_knn"] -= 2
    single = normalised(table, "standardised")
    cut = single.loc[table["fold"] == "a", "sub_knn"] > 0.7
    own = table.loc[(table["fold"] == "b") & (table["split"] == "val"), "sub_knn"]
    tau = own.median() + 0.7 * own.std(ddof=0)
    found = normalise_to_final(ScoreTable(table), ["knn"], "b", "c").frame.query("fold == 'a'")
    assert ((found["sub_knn"] > tau) == cut.to_numpy()).all()


def test_a_fold_without_val_images_is_refused_as_target() -> None:
    with pytest.raises(ValueError, match="fold all must have val images to normalise to"):
        normalise_to_final(ScoreTable(three_networks()), ["knn"], "all", "b")
