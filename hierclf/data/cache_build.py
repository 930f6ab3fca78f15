"""Write the files of an image cache: all of them or none.

images.u8 holds the raw pixels, image after image; super_labels.npy and sub_labels.npy the labels;
groups.npy and is_val.npy the content of a table's columns `group` and `split`, if it has them;
digests.npy the hashes of the images' pixels; quarantine.csv the unreadable images; repeats.csv the
images with the same pixels as an earlier one; meta.json the rest. The files are written into a
temporary folder and flushed to disk before the folder is renamed: a folder of the final name is
complete. An interrupted build leaves images and progress.json in the temporary folder, and the next
build continues from the last state on disk.

Shape legend: N readable images, H height, W width.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hierclf.counts import counted
from hierclf.data.images import fit_square, map_ordered, pixel_digest, read_rgb, repeated_rows
from hierclf.data.source import Source
from hierclf.io.atomic import sync
from hierclf.progress import Progress

QUARANTINE = ["image", "reason"]
REPEATS = ["image", "same_as"]
DIGESTS = "digests.npy"
# Side of the squares if a source's images differ in size and no size is set.
MIXED_SIZE = 256
# The least data.size that a configuration may have.
MIN_SIZE = 16
# The most work that a killed build loses. Each saved state waits for the disk.
SAVE_EVERY_S = 5.0
_PROGRESS = "progress.json"


def build_cache(
    source: Source,
    size: int | None,
    path: Path,
    fingerprint: str,
    progress: Progress | None,
) -> None:
    """Write the cache folder `path`; the caller holds its lock."""
    temporary, replaced = path.with_name(f"{path.name}.tmp"), path.with_name(f"{path.name}.old")
    shutil.rmtree(replaced, ignore_errors=True)
    begun = _begun(temporary, fingerprint) or _Written(fingerprint, size)
    if not begun.done:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
    _check_space(path.parent, len(source.images), begun)  # if it raises, decoded images are kept
    try:
        if not _write_images(source, begun, temporary, progress):
            begun = _Written(fingerprint, MIXED_SIZE)
            whole = _write_images(source, begun, temporary, progress)
            assert whole
        write_tables(
            source,
            temporary,
            fingerprint=fingerprint,
            shape=begun.shape,
            bad=begun.quarantine,
            digests=_digests(temporary / "images.u8", begun),
        )
        (temporary / _PROGRESS).unlink(missing_ok=True)
        sync(temporary)
        if path.exists():
            path.rename(replaced)
        temporary.rename(path)
        sync(path.parent)
    except Exception:  # it would be raised again; an interruption keeps the decoded images
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(replaced, ignore_errors=True)


def _begun(folder: Path, fingerprint: str) -> _Written | None:
    """The state that an interrupted build of the same cache left, if it can be resumed."""
    try:
        written = _Written(**json.loads((folder / _PROGRESS).read_text(encoding="utf-8")))
        whole = (folder / "images.u8").stat().st_size >= written.n_bytes
    except (OSError, TypeError, ValueError):
        return None
    return written if whole and written.fingerprint == fingerprint else None


def _write_images(
    source: Source, written: _Written, folder: Path, progress: Progress | None
) -> bool:
    """Decode the missing images into images.u8, and keep `written` up to date.

    Returns:
        Whether all were written; False if the images differ in size and no size is set.
    """
    size, start = written.size, written.done

    def attempt(index: int) -> NDArray[np.uint8] | str:
        try:
            image = read_rgb(source.read, index)
        except ValueError as error:
            return str(error)
        return image if size is None else fit_square(image, size)

    total = len(source.images)
    need = _check_space(folder.parent, total, written)
    saved = time.monotonic()
    try:
        with (folder / "images.u8").open("r+b" if start else "wb") as file:
            file.truncate(written.n_bytes)
            file.seek(written.n_bytes)
            for result in map_ordered(lambda i: attempt(start + i), total - start):
                if isinstance(result, str):
                    written.quarantine.append((written.done, result))
                else:
                    if written.shape is None:
                        written.shape = list(result.shape)
                        need = _check_space(folder.parent, total, written)
                    elif written.shape != list(result.shape):
                        return False
                    # Written, not mapped: a full disk then raises an error and kills no process.
                    file.write(np.ascontiguousarray(result).data)
                written.done += 1
                if progress is not None:
                    progress(written.done, total)
                if time.monotonic() - saved > SAVE_EVERY_S:
                    _flush(file)
                    _save_progress(written, folder)
                    saved = time.monotonic()
            _flush(file)
    except OSError as error:  # raised by writing: an unreadable image is returned as its reason
        raise ValueError(f"{need}, but: {error.strerror or error}") from error
    return True


def _digests(path: Path, written: _Written) -> Iterator[bytes]:
    assert written.shape is not None  # the iterator is used only if there are images
    n_images = written.done - len(written.quarantine)
    yield from map(pixel_digest, np.memmap(path, mode="r", shape=(n_images, *written.shape)))


def _save_progress(written: _Written, folder: Path) -> None:
    """Write progress.json under a temporary name and rename it, so that it is always complete."""
    draft = folder / f"{_PROGRESS}.new"
    with draft.open("wb") as file:
        file.write(json.dumps(asdict(written)).encode())
        _flush(file)
    draft.replace(folder / _PROGRESS)


def write_tables(
    source: Source,
    folder: Path,
    *,
    fingerprint: str,
    shape: list[int] | None,
    bad: list[tuple[int, str]],
    digests: Iterable[bytes],
) -> None:
    """Write all files except the images into an existing folder.

    Args:
        source: the images and labels.
        folder: the folder of the cache.
        fingerprint: the cache's key; see `cache.cache_key`.
        shape: H, W, 3 of every image; None if no image can be read.
        bad: (position in the source, reason) of each unreadable image, in order.
        digests: hashes of the pixels of all readable images, in order.

    Raises:
        ValueError: no image can be read.
    """
    quarantine = pd.DataFrame([(source.images[i], why) for i, why in bad], columns=QUARANTINE)
    if shape is None:
        raise ValueError(
            f"none of the {len(source.images)} images can be read; "
            f"first: {quarantine.image[0]}: {quarantine.reason[0]}"
        )
    kept = np.delete(np.arange(len(source.images)), [index for index, _ in bad])
    arrays = {
        "super_labels": source.super_labels,
        "sub_labels": source.sub_labels,
        "groups": source.groups,
        "is_val": source.is_val,
    }
    for name, array in arrays.items():
        if array is not None:
            with (folder / f"{name}.npy").open("wb") as file:
                np.save(file, array[kept], allow_pickle=False)
                _flush(file)
    digests = [digest.ljust(32, b"\0") for digest in digests]  # NumPy's S32 drops trailing zeros
    with (folder / DIGESTS).open("wb") as file:
        np.save(file, np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32))
        _flush(file)
    names = [source.images[i] for i in kept]
    pairs = [(names[row], names[earlier]) for row, earlier in repeated_rows(digests)]
    repeats = pd.DataFrame(pairs, columns=REPEATS)
    meta: dict[str, Any] = {
        "fingerprint": fingerprint,
        "source": source.name,
        "shape": [len(kept), *shape],
        "quarantined": len(quarantine),
        "repeated": len(repeats),
        "hierarchy": source.hierarchy.to_dict(),
        "names": names,
    }
    texts = {
        "meta.json": json.dumps(meta),
        "quarantine.csv": quarantine.to_csv(index=False),
        "repeats.csv": repeats.to_csv(index=False),
    }
    for name, text in texts.items():
        with (folder / name).open("wb") as file:
            file.write(text.encode("utf-8"))
            _flush(file)


def _check_space(directory: Path, total: int, written: _Written) -> str:
    """Refuse a cache that does not fit; return a sentence on what it needs, empty until known."""
    if written.shape is None:
        return ""
    height, width, _ = written.shape
    need = total * math.prod(written.shape)
    free = shutil.disk_usage(directory).free + written.n_bytes
    words = (
        f"the image cache in {directory} needs {need / 1e9:.2f} GB for {counted(total, 'image')} "
        f"of {width} x {height} (a smaller size needs less; HIERCLF_CACHE names another folder)"
    )
    if need > free:
        side = math.isqrt(int(0.95 * free) // (3 * total))
        fits = f"; data.size={side} would fit" if side >= MIN_SIZE else ""
        raise ValueError(f"{words}, but {free / 1e9:.2f} GB are free{fits}")
    return words


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


@dataclass
class _Written:
    """The progress of a pass over the images, as progress.json stores it."""

    fingerprint: str
    size: int | None  # side of the squares; None keeps the images' size
    done: int = 0  # images of the source that were decoded or found unreadable
    shape: list[int] | None = None  # H, W, 3; None until an image could be read
    quarantine: list[tuple[int, str]] = field(default_factory=list)  # (position, reason)

    @property
    def n_bytes(self) -> int:
        """Size of images.u8 in bytes."""
        return (self.done - len(self.quarantine)) * math.prod(self.shape or [0])
