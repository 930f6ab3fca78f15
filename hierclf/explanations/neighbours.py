"""The training images nearest to an image."""

import numpy as np

from hierclf.bundle.directory import Bundle
from hierclf.explanations.background import BANK, Background
from hierclf.explanations.form import Neighbour
from hierclf.scores.knn import nearest_in_bank

NEAREST = 3
"""How many training images are named."""


def find_neighbours(
    bundle: Bundle, features: np.ndarray, background: Background, *, count: int = NEAREST
) -> list[list[Neighbour]]:
    """The training images nearest to each of B images, nearest first.

    Args:
        bundle: a model with a kNN score.
        features: float32 [B, D].
        background: names the training images; without names the lists are empty.
        count: how many to find.
    """
    images = background.training_images
    if images is None:
        return [[] for _ in features]
    rows, distances = nearest_in_bank({"bank": bundle.states[BANK]}, features, count)
    hierarchy = bundle.hierarchy
    found: list[list[Neighbour]] = []
    for own, apart in zip(rows, distances, strict=True):
        neighbours: list[Neighbour] = []
        for row, distance in zip(own, apart, strict=True):
            label = int(images.sub_labels[row])
            neighbours.append(
                {
                    "image": images.names[row],
                    "superclass": hierarchy.super_names[hierarchy.sub_to_super[label]],
                    "subclass": hierarchy.sub_names[label],
                    "distance": float(distance),
                }
            )
        found.append(neighbours)
    return found
