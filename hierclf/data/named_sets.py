"""Sets by name and sets in object stores, brought into the cache: a layout like any other.

A set by name is downloaded once; later starts, and those without a network, find it there. Of a set
in an object store, each start fetches what has changed.
"""

from pathlib import Path

from hierclf.data.bucket_sets import BucketSet, bucket_images, bucket_set
from hierclf.data.cache import default_cache_dir
from hierclf.data.hub_sets import HUB, hub_folder
from hierclf.data.torchvision_sets import TORCHVISION, torchvision_table
from hierclf.storage.address import is_address


def is_elsewhere(path: str) -> bool:
    """Whether a path is a name or an address: `hf://...`, `torchvision:NAME`, `s3://...`."""
    return path.startswith((HUB, TORCHVISION)) or is_address(path)


def local_set(name: str) -> BucketSet:
    """The folder, table or pattern of tars of a set elsewhere, fetched where it is not there yet.

    Raises:
        ValueError: no such set, a package is missing, or it cannot be downloaded; one line.
        OSError: the cache cannot be written.
    """
    sets = default_cache_dir() / "sets"
    if is_address(name):
        return bucket_set(name, sets / "buckets")
    return BucketSet(str(_named_set(name, sets)), "")


def local_labels(where: str) -> Path:
    """The same of labels: the path or pattern as it is, or of what was fetched."""
    return Path(local_set(where).place if is_elsewhere(where) else where)


def local_images(where: str) -> str:
    """The same of images to predict: the path or pattern as it is, or of what was fetched.

    Raises:
        ValueError: an address where nothing is, or that cannot be read; one line.
        OSError: the cache cannot be written.
    """
    if not is_address(where):
        return where
    return bucket_images(where, default_cache_dir() / "sets" / "buckets")


def _named_set(name: str, sets: Path) -> Path:
    if name.startswith(HUB):
        return hub_folder(name, sets / "hub")
    return torchvision_table(name, sets / "torchvision")
