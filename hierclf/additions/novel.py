"""A user's own novel images, once some of their classes are known.

Shape legend: M novel images.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hierclf.data.cache import ImageCache
from hierclf.hierarchy import Hierarchy
from hierclf.training.novel_images import NovelImages


def still_novel(
    novel: NovelImages, hierarchy: Hierarchy, added: Sequence[ImageCache]
) -> NovelImages | None:
    """The novel images without those of known classes; None if none is left.

    Args:
        novel: as the search read them.
        hierarchy: all known classes.
        added: images of classes that were added. A novel image that shows the same pixels is known,
            whatever it was called.
    """
    parents = [hierarchy.super_names[parent] for parent in hierarchy.sub_to_super]
    titles = {f"{above}/{sub}" for above, sub in zip(parents, hierarchy.sub_names, strict=True)}
    titles |= {f"?/{sub}" for sub in hierarchy.sub_names}
    known = np.array([name in titles for name in novel.class_names])
    pixels = {bytes(d) for cache in added if cache.digests is not None for d in cache.digests}
    cache = novel.cache
    assert cache.digests is not None
    assert novel.features is not None
    same = np.array([bytes(digest) in pixels for digest in cache.digests])
    kept = np.flatnonzero(~(known[novel.classes] | same))
    if not len(kept):
        return None
    new_supers, super_labels = novel.new_supers.copy(), cache.super_labels.copy()
    for number, name in enumerate(novel.class_names):
        above = name.rpartition("/")[0]
        if new_supers[number] >= 0 and above in hierarchy.super_names:
            new_supers[number] = -1
            super_labels[novel.classes == number] = hierarchy.super_names.index(above)
    assert isinstance(cache.images, np.ndarray)
    rest = replace(
        cache,
        images=np.broadcast_to(cache.images[:1], (len(kept), *cache.images.shape[1:])),
        names=[cache.names[row] for row in kept],
        super_labels=super_labels[kept],
        sub_labels=cache.sub_labels[kept],
        digests=cache.digests[kept],
        hierarchy=hierarchy,
        path=None,
    )
    return novel._replace(
        cache=rest,
        classes=novel.classes[kept],
        new_supers=new_supers,
        features=novel.features[:, kept],
    )
