"""Which scores a search leaves out before its first trial."""

from dataclasses import replace

import numpy as np
import pytest

from hierclf.config import parse_config
from hierclf.training.prepare import Prepared
from search.pipeline.preparation import with_fittable_scores
from tests.fold_runs import CACHE, FOLDS


@pytest.mark.parametrize("copies", [False, True])
def test_scores_that_classes_of_one_picture_cannot_fit_are_left_out_with_one_line(
    copies: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    digests = np.zeros((len(CACHE.names), 32), dtype=np.uint8)
    digests[:, 0] = CACHE.sub_labels if copies else np.arange(len(CACHE.names))
    cache = replace(CACHE, digests=digests)
    config = parse_config({"thresholds": {"scores": ["msp", "mahalanobis", "within", "vim"]}})
    found = with_fittable_scores(config, Prepared(cache, FOLDS, None, None))
    printed = capsys.readouterr().out.splitlines()
    if copies:
        assert found.thresholds.scores == ("msp", "vim")
        assert printed == [
            "  scores left out: mahalanobis, within (needs 2 different training images of a "
            "sub-class, which fold sub0 lacks)"
        ]
    else:
        assert (found, printed) == (config, [])
