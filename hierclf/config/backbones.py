"""Several backbones in a configuration: a list for each of their values, kept as one text.

`backbone: [a, b]` with `image_size: [224, 260]` is `a@224:0.875 + b@260:0.875`, as model
directories name it; `hierclf.nets.side_by_side` reads it.
"""

from collections.abc import Mapping
from typing import Any

AND = " + "
ROOT = "+root"  # as `hierclf.nets.root` reads it


def in_one_text(tree: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The section `model` with one text in place of a list of backbones; any other as it is.

    Args:
        tree: as a user wrote it.
        defaults: `weights`, `image_size` and `crop_fraction` where the section names none.

    Raises:
        ValueError: fewer than 2 backbones, or lists of other lengths than theirs.
    """
    names = tree.get("backbone")
    if not isinstance(names, list | tuple):
        return dict(tree)
    if len(names) < 2 or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"a list of backbones must hold 2 names or more, but got {list(names)}")
    each = {
        key: _each(tree.get(key, default), key, len(names)) for key, default in defaults.items()
    }
    texts = [
        f"{name}@{size}:{crop:g}"
        for name, size, crop in zip(names, each["image_size"], each["crop_fraction"], strict=True)
    ]
    whole: dict[str, Any] = {
        "backbone": AND.join(texts),
        "weights": AND.join(map(str, each["weights"])),
    }
    whole |= {"image_size": max(each["image_size"]), "crop_fraction": 1.0}
    return {**tree, **whole}


def _each(value: Any, key: str, count: int) -> list[Any]:
    """A value for each backbone: of a list, or the same for all."""
    values = list(value) if isinstance(value, list | tuple) else [value] * count
    kind: Any = str if key == "weights" else int if key == "image_size" else int | float
    if len(values) != count:
        raise ValueError(
            f"{key} must be one value or one for each of the {count} backbones, but got {values}"
        )
    wrong = [each for each in values if not isinstance(each, kind) or isinstance(each, bool)]
    if wrong:
        raise ValueError(f"{key} of several backbones must not be {wrong[0]!r}")
    return values
