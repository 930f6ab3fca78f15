"""Synthetic images of no known class beside novel ones, as one set of images.

Shape legend: M images.
"""

import hashlib
from dataclasses import replace

import numpy as np

from hierclf.data.novel import NovelSource
from hierclf.data.source import Source
from hierclf.hierarchy import NOVEL, UNLABELLED

MARK = "generated:"
"""What the names of generated images begin with."""


def with_generated(novel: NovelSource | None, generated: NovelSource) -> NovelSource:
    """Novel images, then generated ones, whose classes are apart from those of the novel ones.

    Args:
        novel: images of new classes; None if there are none.
        generated: synthetic ones. Those without a super-label are of none that is known.

    Raises:
        ValueError: a novel image has the name of a generated one.
    """
    own = _marked(generated)
    if novel is None:
        return own
    first, second = novel.source, own.source
    if both := set(first.images).intersection(second.images):
        raise ValueError(
            f"names of novel images must not begin with {MARK!r}, but got {min(both)!r}"
        )
    n_first = len(first.images)
    offset = int(novel.new_supers.max(initial=-1)) + 1
    digest = hashlib.sha256(f"{first.fingerprint} {second.fingerprint}".encode())
    source = Source(
        name=first.name,
        images=[*first.images, *second.images],
        super_labels=np.concatenate([first.super_labels, second.super_labels]),
        sub_labels=np.concatenate([first.sub_labels, second.sub_labels]),
        hierarchy=first.hierarchy,
        read=lambda i: first.read(i) if i < n_first else second.read(i - n_first),
        fingerprint=digest.hexdigest(),
        problems=[*first.problems, *second.problems],
    )
    supers = np.where(own.new_supers >= 0, own.new_supers + offset, -1)
    return NovelSource(
        source,
        np.concatenate([novel.classes, len(novel.class_names) + own.classes]),
        [*novel.class_names, *own.class_names],
        np.concatenate([novel.new_supers, supers]),
    )


def _marked(generated: NovelSource) -> NovelSource:
    source = generated.source
    supers = np.where(source.super_labels == UNLABELLED, NOVEL, source.super_labels)
    source = replace(source, images=[MARK + name for name in source.images], super_labels=supers)
    names = [MARK + name for name in generated.class_names]
    return replace(generated, source=source, class_names=names)
