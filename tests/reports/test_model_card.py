"""Claims about model cards."""

import numpy as np

from hierclf.hierarchy import Hierarchy
from hierclf.reports.model_card import Facts, model_card
from hierclf.reports.promise_table import PROMISE_ROWS, promise_notes
from hierclf.rules.figures import Figure, Promise
from hierclf.rules.rule import LevelRule, Rule

RULE = Rule(LevelRule("msp", 0.25), LevelRule("knn", 1.5))
PROMISE: Promise = {
    key: None if key == "super_unseen" else Figure(0.1 * i, 0.05 * i, 0.12 * i)
    for i, key in enumerate(PROMISE_ROWS, start=1)
}


def card(names: tuple[str, ...], promise: Promise | None = PROMISE, data: str = "pets") -> str:
    n = len(names)
    hierarchy = Hierarchy(
        super_ids=tuple(range(n)),
        super_names=names,
        novel_super_id=n,
        sub_ids=tuple(range(2 * n)),
        sub_names=tuple(f"sub {i}" for i in range(2 * n)),
        novel_sub_id=2 * n,
        sub_to_super=tuple(np.repeat(range(n), 2).tolist()),
    )
    notes = promise_notes(3, 40)
    facts = Facts(data, 1234, hierarchy, "net at 64 px", RULE, promise, notes, "predict IMAGES")
    return model_card(facts)


def test_a_card_has_the_promise_with_its_intervals_the_rule_and_the_command() -> None:
    text = card(("bird", "dog"))
    assert "| super-class, known sub-class | 10.0 | 5 to 12 |" in text
    assert "| new super-class: novel | - | - |" in text
    assert "pets, 1,234 images" in text
    assert "2 super-classes (bird, dog), 4 sub-classes" in text
    assert "`msp > 0.25`" in text
    assert "`knn > 1.5`" in text
    assert "\n```\npredict IMAGES\n```\n" in text


def test_a_card_promises_nothing_of_thresholds_that_the_search_did_not_choose() -> None:
    text = card(("bird", "dog"), promise=None)
    assert "| right |" not in text
    assert "hierclf thresholds MODEL --dry-run" in text


def test_names_of_strangers_form_no_markup_in_a_card() -> None:
    hostile = "[x](javascript:alert(1))", "<img src=x>", "a | b", "`code`\x1b[31m"
    text = card(hostile, data="<script>")
    plain = text.replace("\\[", "").replace("\\<", "").replace("\\|", "").replace("\\`", "")
    assert "[x]" not in plain
    assert "<" not in plain
    assert "\x1b" not in text
    classes = next(line for line in plain.splitlines() if line.startswith("- classes"))
    assert not set("|`[<") & set(classes)


def test_a_card_of_a_thousand_long_names_fits_into_mlflows_description() -> None:
    assert len(card(tuple(f"{i} " + "*" * 500 for i in range(1000)))) < 5000
