"""Rows of a feature matrix: scaling to length 1, stratified sampling, processing in chunks."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

# Working memory of one chunk: 2**24 floats of 4 bytes are 64 MiB.
CHUNK_CELLS = 2**24


def unit_rows(features: np.ndarray) -> NDArray[np.float32]:
    """Rows scaled to length 1, float32 [N, D]; a row of zeros stays zero."""
    array = np.asarray(features, dtype=np.float32)
    norm = np.linalg.norm(array, axis=1, keepdims=True)
    return array / np.maximum(norm, np.finfo(np.float32).tiny)


def check_width(features: np.ndarray, width: int) -> None:
    """ValueError unless `features` [N, D] have D = width."""
    if features.shape[1] != width:
        raise ValueError(
            f"`features` must have D={width} as in training, but got D={features.shape[1]}"
        )


def chunks(n_rows: int, *, cells: int, most: int | None = None) -> Iterator[tuple[int, int]]:
    """First row and end of chunks that together take all rows.

    Args:
        n_rows: how many rows there are.
        cells: floats per row; a chunk has a row at least.
        most: floats of a chunk; None takes `CHUNK_CELLS`.
    """
    step = max(1, (most or CHUNK_CELLS) // max(1, cells))
    for start in range(0, n_rows, step):
        yield start, min(start + step, n_rows)


def by_chunks(
    function: Callable[..., np.ndarray], *arrays: np.ndarray, cells: int
) -> NDArray[np.float32]:
    """Apply a function chunk by chunk, so that its working memory does not grow with N.

    Args:
        function: takes n rows of each array, returns [n].
        arrays: [N, ...] each.
        cells: floats that the function allocates per row.

    Returns:
        float32 [N].
    """
    result = np.empty(len(arrays[0]), dtype=np.float32)
    for start, stop in chunks(len(result), cells=cells):
        rows = slice(start, stop)
        result[rows] = function(*(array[rows] for array in arrays))
    return result


def stratified_rows(labels: np.ndarray, *, limit: int, seed: int) -> NDArray[np.int64]:
    """A seeded stratified sample of row indices, ascending.

    Args:
        labels: int [M].
        limit: sample size, >= 1; all rows if there are fewer. If it is at least the number of
            classes, every class is in the sample.
        seed: of the sample.

    Returns:
        int64 [min(M, limit)].
    """
    if limit >= len(labels):
        return np.arange(len(labels))
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    _, first, counts = np.unique(labels[order], return_index=True, return_counts=True)
    # Relative position within the class: 0 for each class's first, so that no class is lost.
    position = (np.arange(len(labels)) - np.repeat(first, counts)) / np.repeat(counts, counts)
    return np.sort(order[np.argsort(position, kind="stable")[:limit]])
