"""Sets by name, of the Hugging Face Hub and of torchvision: a layout like any other.

A set is downloaded once, into the cache; later starts, and those without a network, find it there.
"""

from pathlib import Path

from hierclf.data.cache import default_cache_dir
from hierclf.data.hub_sets import HUB, hub_folder
from hierclf.data.torchvision_sets import TORCHVISION, torchvision_table


def is_named_set(path: str) -> bool:
    """Whether a path is the name of a set: `hf://OWNER/NAME` or `torchvision:NAME`."""
    return path.startswith((HUB, TORCHVISION))


def named_set(name: str) -> Path:
    """The folder or table of a set by name, downloaded where it is not there yet.

    Raises:
        ValueError: no such set, a package is missing, or it cannot be downloaded; one line.
        OSError: the cache cannot be written.
    """
    sets = default_cache_dir() / "sets"
    if name.startswith(HUB):
        return hub_folder(name, sets / "hub")
    return torchvision_table(name, sets / "torchvision")
