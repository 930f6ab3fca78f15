"""Open a Parquet source as a stream: decode every image once, and keep tables but no pixels.

The tables are those of an image cache, in a folder without images.u8: a source has the same
readable images and the same folds, whether it is streamed or not.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hierclf.data.cache import ImageCache, cache_key, check_quarantine, read_tables
from hierclf.data.cache_build import DIGESTS, MIXED_SIZE, write_tables
from hierclf.data.images import fit_square, pixel_digest, read_rgb
from hierclf.data.parquet_images import ParquetImages
from hierclf.data.source import Source
from hierclf.data.stream import Group, ImageStream, MapGroups, Part, group_reader, groups_of
from hierclf.io.atomic import draft_of
from hierclf.io.locks import locked
from hierclf.progress import Progress


def open_stream(
    source: Source,
    *,
    size: int | None,
    directory: Path,
    over: MapGroups,
    max_bad_share: float = 0.01,
    progress: Progress | None = None,
) -> ImageCache:
    """Open a Parquet source as `open_cache` does, with a stream in place of the pixels.

    Several processes may call this at once: one decodes the images, the others wait for it.

    Args:
        source: what to stream.
        size, max_bad_share, progress: as for `open_cache`.
        directory: the folder for the tables. If processes on several machines open the same
            stream, it must be on storage that they share.
        over: runs the decoding of row groups, now and when the stream is read.

    Raises:
        ValueError: the source is not Parquet, too many images are unreadable, a sub-class has
            fewer than 2 readable ones, or the tables cannot be written.
    """
    parquet = parquet_of(source)
    fingerprint = cache_key(source, size)
    path = directory / f"stream-{fingerprint[:24]}"
    try:
        with locked(directory / f"{path.name}.lock"):
            if not (path / DIGESTS).is_file():
                with draft_of(path) as draft:
                    draft.mkdir()
                    _look_at_all(source, parquet, size, draft, fingerprint, over, progress)
        number = {name: i for i, name in enumerate(source.images)}

        def stream(meta: dict[str, Any]) -> ImageStream:
            places = parquet.places[[number[name] for name in meta["names"]]]
            return ImageStream(tuple(meta["shape"]), parquet._replace(places=places), over)

        images = read_tables(path, stream)
    except (OSError, KeyError) as error:
        raise ValueError(f"{path} must hold the tables of the stream, but: {error}") from error
    check_quarantine(source, images.quarantine, max_bad_share)
    return images


def parquet_of(source: Source) -> ParquetImages:
    """Where the source's images are; raises ValueError if they are not in Parquet files."""
    if source.parquet is None:
        raise ValueError(
            f"data.stream=true takes a Parquet file or a folder of them, but got {source.name}"
        )
    return source.parquet


def _look_at_all(
    source: Source,
    parquet: ParquetImages,
    size: int | None,
    folder: Path,
    fingerprint: str,
    over: MapGroups,
    progress: Progress | None,
) -> None:
    total, done = len(source.images), 0
    shapes: set[tuple[int, int]] = set()
    bad: list[tuple[int, str]] = []
    digests = np.empty(total, dtype="S32")
    for part in over(partial(_look_at, size=size), groups_of(parquet, np.arange(total))):
        rows, reasons = part["row"], part["reason"]
        bad += [(int(row), str(why)) for row, why in zip(rows, reasons, strict=True) if why]
        shapes |= {tuple(shape) for shape in part["shape"].tolist()} - {(0, 0)}
        digests[rows] = np.ascontiguousarray(part["digest"]).view("S32")[:, 0]
        done += len(rows)
        if progress is not None:
            progress(done, total)
    side = [MIXED_SIZE, MIXED_SIZE] if len(shapes) > 1 else [*next(iter(shapes), ())]
    write_tables(
        source,
        folder,
        fingerprint=fingerprint,
        shape=[*side, 3] if shapes else None,
        bad=sorted(bad),
        digests=np.delete(digests, [row for row, _ in bad]),
    )


def _look_at(group: Group, *, size: int | None) -> Iterator[Part]:
    """Decode the images of a group, and describe each without keeping its pixels.

    Yields:
        A part with `row`; `shape`, int64 [n, 2], height and width, 0 for an unreadable image;
        `reason`, why an image is unreadable, or empty; `digest`, uint8 [n, 32], of its pixels.
    """
    read = group_reader(group)
    shapes, reasons, digests = [], [], []
    for place in group.places.tolist():
        try:
            image = read_rgb(read, place)
        except ValueError as error:
            shapes.append((0, 0))
            reasons.append(str(error))
            digests.append(bytes(32))
            continue
        image = image if size is None else fit_square(image, size)
        shapes.append(image.shape[:2])
        reasons.append("")
        digests.append(pixel_digest(image))
    yield {
        "row": group.rows,
        "shape": np.array(shapes),
        "reason": np.array(reasons, dtype=object),
        "digest": np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32),
    }
