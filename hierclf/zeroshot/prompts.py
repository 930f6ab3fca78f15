"""From the words of classes to directions in a CLIP model's space.

Shape legend: S super-classes, C sub-classes, K classes of a level, D features.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hierclf.errors import one_line
from hierclf.hierarchy import Hierarchy, Level
from hierclf.nets.clip import library
from hierclf.zeroshot.words import class_words

Floats = NDArray[np.float32]


class Prompts(NamedTuple):
    """The direction of each class; rows are unit vectors.

    Attributes:
        super: float32 [S, D]. sub: float32 [C, D].
    """

    super: Floats
    sub: Floats


def embed_classes(
    model: nn.Module,
    name: str,
    hierarchy: Hierarchy,
    *,
    templates: Sequence[str],
    more: Mapping[str, Sequence[str]],
) -> Prompts:
    """Embed the prompts of all classes: each name in each template, averaged over both.

    Args:
        model: from `hierclf.nets.clip.load_clip`, on the CPU.
        name: of the model, as open_clip names it.
        hierarchy: the classes.
        templates: with `{}` where a name stands.
        more: further names by class.

    Raises:
        ValueError: two classes of a level with the same prompt, or a tokenizer that cannot be had.
    """
    try:
        tokenize = library().get_tokenizer(name)
    except Exception as error:  # some need the package transformers and a download
        raise ValueError(f"the tokenizer of {name} cannot be had: {one_line(error)}") from None
    levels: dict[Level, Sequence[str]] = {
        "super": hierarchy.super_names,
        "sub": hierarchy.sub_names,
    }
    found = {}
    for level, classes in levels.items():
        words = class_words(classes, more)
        _check_differ(tokenize, level, classes, words, templates[0])
        found[level] = _embed(model, tokenize, words, templates)
    return Prompts(**found)


def _check_differ(
    tokenize: Any,
    level: Level,
    classes: Sequence[str],
    words: Sequence[Sequence[str]],
    template: str,
) -> None:
    """Refuse two classes of which a prompt is the same for the model: it has limits of its own.

    Case is lost, as are words beyond the longest text that it takes.
    """
    owner: dict[tuple[int, ...], tuple[str, str]] = {}
    for name, own in zip(classes, words, strict=True):
        for word in own:
            tokens = tuple(tokenize([template.format(word)])[0].tolist())
            other, theirs = owner.setdefault(tokens, (name, word))
            if other != name:
                raise ValueError(
                    f"every {level}-class must have prompts of its own, but {other!r} ({theirs}) "
                    f"and {name!r} ({word}) have the same: rename one in the data"
                )


def _embed(
    model: nn.Module, tokenize: Any, words: Sequence[Sequence[str]], templates: Sequence[str]
) -> Floats:
    """Unit vectors float32 [K, D]: the mean over a class's names of the mean over templates."""
    every = [word for own in words for word in own]
    columns = library().build_zero_shot_classifier(model, tokenize, every, templates)
    parts = columns.T.split([len(own) for own in words])
    means = torch.stack([part.mean(dim=0) for part in parts])
    return nn.functional.normalize(means, dim=1).float().numpy()
