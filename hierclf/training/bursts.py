"""Images of one scene, found among a class's features: bursts, visits, frames of a film.

The deviations of a class's images from their mean are compared by cosine. Independent images
deviate in directions of their own; those of one scene share a background and a light, and form
clusters. Average linkage clusters them, the silhouette picks the cut, and its height tells whether
the class has scenes at all: independent images give 0.1 or so, whatever the features.

Tried beside it: cosines of the features themselves, and single linkage, which chain a class into
one group before half of its scenes are found; one cut for all data, which groups most images of a
class without scenes; whitened features, which tell the two no better. What the groups are for, that
validation images are as hard as those of a later visit, `tests.benchmarks.later_visit` measures.

Source: Rousseeuw, "Silhouettes", 1987.

Shape legend: N images, D features.
"""

import numpy as np
from numpy.typing import NDArray

_FEWEST = 8  # images of a class; clusters of fewer are chance
_MOST = 2000  # images compared with each other at once
_CUTS = np.arange(0.2, 1.0, 0.05)  # distances, 1 - cosine
_SILHOUETTE = 0.2
_LARGEST = 0.5  # fraction of its class that one group may hold
_JUDGED, _ASKED, _BATCH = 20_000, 2000, 256


def find_bursts(features: NDArray[np.float32], sub_labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Group the images of one scene, class by class.

    A class has scenes where the mean of its silhouette and that of the median class reaches 0.2, so
    that the classes of one data set support each other.

    Args:
        features: float32 [N, D], of images as they are, without augmentation.
        sub_labels: int64 [N].

    Returns:
        int64 [N], the same number for images of one scene.
    """
    found = []
    order = np.argsort(sub_labels, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(sub_labels[order])) + 1):
        if len(rows) >= _FEWEST:
            found += [(part, *_clusters(features[part])) for part in _parts(features, rows)]
    groups = np.arange(len(sub_labels))
    typical = np.median([height for _, height, _ in found]) if found else 0.0
    for rows, height, clusters in found:
        if (height + typical) / 2 >= _SILHOUETTE:
            _, first, number = np.unique(clusters, return_index=True, return_inverse=True)
            groups[rows] = rows[first[number]]
    return groups


def neighbour_accuracies(
    features: NDArray[np.float32],
    sub_labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    *,
    seed: int,
) -> tuple[float, float]:
    """How often an image's nearest neighbour is of its sub-class: among all, and of other groups.

    The first is what a random split promises, the second what groups kept together leave. Sets of
    more than 20,000 images are judged by some of their sub-classes, drawn at random.

    Args:
        features: float32 [N, D].
        sub_labels, groups: int64 [N].
        seed: draws the sub-classes, and 2,000 images to ask about.
    """
    rng = np.random.default_rng(seed)
    subs, counts = np.unique(sub_labels, return_counts=True)
    order = rng.permutation(len(subs))
    n_subs = max(2, int(np.searchsorted(np.cumsum(counts[order]), _JUDGED, side="right")))
    rows = np.flatnonzero(np.isin(sub_labels, subs[order[:n_subs]]))
    labels, group = sub_labels[rows], groups[rows]
    unit = features[rows] / np.maximum(np.linalg.norm(features[rows], axis=1, keepdims=True), 1e-12)
    right: tuple[list[NDArray[np.bool_]], list[NDArray[np.bool_]]] = [], []
    asked = rng.permutation(len(rows))[:_ASKED]
    for part in np.split(asked, range(_BATCH, len(asked), _BATCH)):
        near = unit[part] @ unit.T
        for found, own in zip(right, (np.arange(len(rows)), group), strict=True):
            best = np.where(own[part, None] == own, -np.inf, near).argmax(axis=1)
            found.append(labels[best] == labels[part])
    among_all, of_others = (float(np.concatenate(found).mean()) for found in right)
    return among_all, of_others


def _parts(features: NDArray[np.float32], rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """A class's rows in parts that can be compared as a whole; like images are in one part."""
    if len(rows) <= _MOST:
        return [rows]
    from sklearn.decomposition import PCA  # few classes are as large as this

    line = PCA(n_components=1, svd_solver="randomized", random_state=0)
    order = np.argsort(line.fit_transform(features[rows])[:, 0], kind="stable")
    return np.array_split(rows[order], -(-len(rows) // _MOST))


def _clusters(features: NDArray[np.float32]) -> tuple[float, NDArray[np.int64]]:
    """The highest silhouette of a cut, and each image's cluster; (-1, all apart) without one."""
    # Half of a second to import, and the processes that train never group images.
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform
    from sklearn.metrics import silhouette_score

    deviation = features - features.mean(axis=0)
    deviation /= np.maximum(np.linalg.norm(deviation, axis=1, keepdims=True), 1e-12)
    distances = np.clip(1 - deviation @ deviation.T, 0, 2).astype(np.float64)
    np.fill_diagonal(distances, 0)
    tree = linkage(squareform(distances, checks=False), "average")
    height, best = -1.0, np.arange(len(features))
    for cut in _CUTS:
        clusters = fcluster(tree, cut, "distance").astype(np.int64)
        counts = np.bincount(clusters)
        if counts.max() > 1 and counts.max() <= _LARGEST * len(clusters):
            found = float(silhouette_score(distances, clusters, metric="precomputed"))
            height, best = max((height, best), (found, clusters), key=lambda pair: pair[0])
    return height, best
