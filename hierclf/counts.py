"""Counts as text."""


def counted(n: int, one: str, many: str = "") -> str:
    """A count with its noun, such as "1 image" or "2,000 images".

    Args:
        n: the count.
        one: what follows a count of 1: a noun, or more of the sentence ("image is missing").
        many: what follows every other count; by default `one` with an s.
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"
