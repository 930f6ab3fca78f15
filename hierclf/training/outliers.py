"""Images of no known class that a fold's network trains on, beside those of its known classes.

None of them chooses or judges anything in any fold: that is what other classes do (see
`outlier_split`).

Shape legend: M images of no known class in a batch.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from hierclf.hierarchy import NOVEL, Hierarchy
from hierclf.training.folds import Fold
from hierclf.training.inputs import Inputs
from hierclf.training.novel_images import NovelImages
from hierclf.training.outlier_loss import OutlierBatch
from hierclf.training.samplers import beside

_ORDER, _AUGMENTATION = 1, 2  # of random numbers: apart from those of the known images


def outlier_rows(novel: NovelImages, fold: Fold, hierarchy: Hierarchy) -> NDArray[np.int64]:
    """The images of no known class that a fold's network trains on, int64, ascending.

    An image of a super-class that the fold hides is left out: the network would learn what the
    fold judges it by. So is, where the fold hides a super-class, an image without a super-label.

    Args:
        novel: the images.
        fold: the fold of the network.
        hierarchy: all known classes, of which the fold hides some.
    """
    labels = novel.cache.super_labels
    allowed = np.isin(labels, fold.known_super) | (labels == NOVEL)
    if len(fold.known_super) == hierarchy.n_super:
        allowed[:] = True
    return np.flatnonzero((novel.classes >= novel.n_judging) & allowed)


class Outliers:
    """Draws a fold's batches of images of no known class.

    Args:
        novel: the images.
        rows: int64, those that the fold's network trains on, one or more.
        inputs: what feeds the network with images of `novel`.
        device: where the network is.
        seed: of the configuration.
    """

    def __init__(
        self,
        novel: NovelImages,
        rows: NDArray[np.int64],
        inputs: Inputs,
        device: torch.device,
        *,
        seed: int,
    ) -> None:
        self.rows, self.inputs, self.device, self.seed = rows, inputs, device, seed
        self.new_super = (novel.cache.super_labels == NOVEL).astype(np.float32)

    def batches(
        self, epoch: int, *, steps: int, size: int, rank: int, world: int
    ) -> Iterator[OutlierBatch]:
        """The batches of an epoch.

        Args:
            epoch: its number, from 1.
            steps, size, rank, world: as of `beside`.
        """
        rng = np.random.default_rng([self.seed, epoch, 0, _ORDER])
        drawn = beside(self.rows, rng, steps=steps, size=size, rank=rank, world=world)
        rng = np.random.default_rng([self.seed, epoch, rank, _AUGMENTATION])
        generator = torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))
        for rows, inputs in zip(drawn, self.inputs.train(drawn, generator), strict=True):
            new_super = torch.from_numpy(self.new_super[rows])
            yield OutlierBatch(inputs, new_super.to(self.device, non_blocking=True))
