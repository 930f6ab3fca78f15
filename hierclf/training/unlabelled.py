"""Images without labels, which only the first epochs of a network see (see `self_supervised`).

Shape legend: M images.
"""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hierclf.config import Config
from hierclf.counts import counted
from hierclf.data.cache import ImageCache, open_cache
from hierclf.data.image_files import list_images
from hierclf.data.images import fit_to, read_rgb
from hierclf.data.near_copies import near_copies, open_hashes
from hierclf.data.source import Source
from hierclf.hierarchy import NOVEL, UNLABELLED, Hierarchy
from hierclf.progress import Progress


class UnlabelledImages(NamedTuple):
    """Images without labels.

    Attributes:
        cache: M images of the known images' size.
        rows: int64, those that train: near-copies of labelled images do not.
    """

    cache: ImageCache
    rows: NDArray[np.int64]


def check_unlabelled(config: Config) -> None:
    """Refuse images without labels that would do nothing.

    Raises:
        ValueError: one line.
    """
    if config.data.unlabelled is not None and not max(config.tried("train.self_supervised")):
        raise ValueError(
            "data.unlabelled only trains in the first epochs of train.self_supervised, but got "
            f"data.unlabelled={config.data.unlabelled} with train.self_supervised=0"
        )


def prepare_unlabelled(
    config: Config,
    labelled: list[ImageCache],
    *,
    directory: Path,
    report: Callable[[str], Progress | None],
) -> UnlabelledImages | None:
    """Decode what `data.unlabelled` names; None where it names nothing.

    Args:
        labelled: the images of the known classes, then the others that have a say.
        directory: where decoded images are kept.
        report: from what is done to the progress callback for it.

    Raises:
        ValueError: no images, or anything else that is wrong, in one line.
    """
    if config.data.unlabelled is None:
        return None
    _, height, width, _ = labelled[0].images.shape
    cache = open_cache(
        _source(config, labelled[0].hierarchy, height, width),
        size=None,
        directory=directory,
        max_bad_share=config.data.max_bad_share,
        progress=report("decoding images without labels"),
    )
    copies = _copies(cache, labelled)
    if len(copies) == len(cache.names):
        raise ValueError(
            f"data.unlabelled={config.data.unlabelled} must hold other images than the data, but "
            "all are near-copies of labelled ones"
        )
    if len(copies):
        images = counted(len(copies), "image is a near-copy", "images are near-copies")
        warnings.warn(
            f"{images} of labelled ones and left out of data.unlabelled (first: "
            f"{cache.names[copies[0]]})",
            stacklevel=3,
        )
    return UnlabelledImages(cache, np.setdiff1d(np.arange(len(cache.names)), copies))


def _source(config: Config, hierarchy: Hierarchy, height: int, width: int) -> Source:
    place = config.data.unlabelled
    assert place is not None
    keep = config.data.truncated == "keep"
    files = list_images(place, zip_encoding=config.data.zip_encoding, keep_truncated=keep)
    digest = hashlib.sha256(repr((height, width, keep)).encode())
    for i, name in enumerate(files.names):
        try:
            content = hashlib.sha256(files.read(i)).hexdigest()
        except (ValueError, OSError) as error:
            content = str(error)
        digest.update(repr((name, content)).encode())
    return Source(
        name=Path(place).name,
        images=list(files.names),
        super_labels=np.full(len(files.names), UNLABELLED),
        sub_labels=np.full(len(files.names), NOVEL),
        hierarchy=hierarchy,
        read=lambda i: fit_to(read_rgb(files.read, i), height, width),
        fingerprint=digest.hexdigest(),
        problems=[],
    )


def _copies(cache: ImageCache, labelled: list[ImageCache]) -> NDArray[np.int64]:
    """The rows that are near-copies of labelled images, int64, ascending."""
    hashes = [open_hashes(each) for each in (*labelled, cache)]
    found = [each for each in hashes if each is not None]
    assert len(found) == len(hashes)  # a stream has none, and is refused
    n_labelled = sum(map(len, found[:-1]))
    pairs = near_copies(np.concatenate(found))
    pairs = pairs[(pairs[:, 0] < n_labelled) & (pairs[:, 1] >= n_labelled)]
    return np.unique(pairs[:, 1]) - n_labelled
