"""Former names of scores, which configurations and model directories may still hold."""

import re
import warnings
from collections.abc import Iterable

RENAMED = {"prior_kl": "pretrained_kl", "prior_mass": "pretrained_mass"}
FORMER = {new: old for old, new in RENAMED.items()}
_FORMER_NAME = re.compile(rf"\b({'|'.join(RENAMED)})\b")


def current_names(text: str) -> str:
    """Replace former names in a score's name, a weighted sum or a key such as `NAME.ARRAY`."""
    return _FORMER_NAME.sub(lambda found: RENAMED[found[0]], text)


def warn_of_former_names(names: Iterable[str]) -> None:
    """Warn, in one line per former name, which name replaces it."""
    for name in names:
        if name in RENAMED:
            message = f"the score {name!r} is now called {RENAMED[name]!r}"
            warnings.warn(message, FutureWarning, stacklevel=3)
