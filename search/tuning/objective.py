"""What a trial is judged by: how well known and novel classes can both be right."""

from hierclf.hierarchy import LEVELS
from hierclf.rules.score_table import ScoreTable
from hierclf.rules.trade_off import sweep

EPOCH_SCORES = ("msp", "max_logit", "energy")
"""Looked at after every epoch: scores of logits, which need nothing fitted."""


def epoch_metrics(table: ScoreTable) -> dict[str, float]:
    """The open-set objective of a score table, and what it is made of.

    For each level the best harmonic mean of seen and unseen accuracy that any of `EPOCH_SCORES`
    reaches at any threshold; the objective is the mean over the levels. It is an upper end, chosen
    and measured on the same classes: good for comparing trials, not for reporting.

    Returns:
        objective, super_harmonic, sub_harmonic in [0, 1] (a level without novel rows left out),
        and super_known_accuracy, sub_known_accuracy: closed-set accuracy on val images.
    """
    metrics: dict[str, float] = {}
    harmonics = []
    for level in LEVELS:
        rows = table[level]
        metrics[f"{level}_known_accuracy"] = float(rows.right[table.val].mean())
        if not rows.judged:
            continue
        best = max(
            sweep(table.score(level, score), rows.right, rows.known).best().value
            for score in EPOCH_SCORES
        )
        metrics[f"{level}_harmonic"] = best
        harmonics.append(best)
    return {"objective": sum(harmonics) / len(harmonics), **metrics}
