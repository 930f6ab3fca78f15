"""Claims about counts as text."""

import pytest

from hierclf.counts import counted


@pytest.mark.parametrize(
    ("n", "words", "text"),
    [
        (0, ("image",), "0 images"),
        (1, ("image",), "1 image"),
        (2000, ("image",), "2,000 images"),
        (1, ("class", "classes"), "1 class"),
        (2, ("class", "classes"), "2 classes"),
    ],
)
def test_a_count_and_its_noun_agree(n: int, words: tuple[str, ...], text: str) -> None:
    assert counted(n, *words) == text
