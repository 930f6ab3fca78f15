"""Claims about sets that torchvision downloads, in the sets' own forms on disk."""

import functools
import hashlib
import http.server
import json
import tarfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets
from PIL import Image
from scipy.io import savemat

from hierclf.data.layouts import TableOptions
from hierclf.data.sources import inspect_source, open_source
from hierclf.data.torchvision_sets import TABLE, write_table
from hierclf.data.truth import read_truth
from tests.layouts import write_csv

BREEDS = {"Abyssinian": 1, "yorkshire_terrier": 2, "Bengal": 1, "pug": 2}


def pictures(folder: Path, names: Sequence[str]) -> None:
    for i, name in enumerate(names):
        path = folder / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (i, 0, 0)).save(path)


def lines(path: Path, content: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in content), encoding="utf-8")


def pets(root: Path) -> Path:
    base = root / "oxford-iiit-pet"
    for part, numbers in (("trainval", (1, 2)), ("test", (3,))):
        rows = [(f"{breed}_{i}", i, species) for breed, species in BREEDS.items() for i in numbers]
        pictures(base / "images", [name for name, _, _ in rows])
        listed = [f"{name} {i} {species} 1" for name, i, species in rows]
        lines(base / f"annotations/{part}.txt", listed)
    return root


def aircraft(root: Path) -> Path:
    data = root / "fgvc-aircraft-2013b/data"
    lines(data / "variants.txt", ["707-320", "A320", "MD-11 F"])
    for number, split in enumerate(("train", "val", "trainval", "test")):
        rows = [(f"00{number}{i}", ("707-320", "A320", "MD-11 F")[i % 3]) for i in range(6)]
        makers = {"707-320": "Boeing", "A320": "Airbus", "MD-11 F": "McDonnell Douglas"}
        pictures(data / "images", [name for name, _ in rows])
        lines(data / f"images_variant_{split}.txt", [" ".join(row) for row in rows])
        found = [f"{name} {makers[variant]}" for name, variant in rows]
        lines(data / f"images_manufacturer_{split}.txt", found)
    return root


def food(root: Path) -> Path:
    for split, numbers in (("train", (1, 2)), ("test", (3,))):
        dishes = {
            dish: [f"{dish}/{i}" for i in numbers] for dish in ("apple_pie", "sushi", "ramen")
        }
        for images in dishes.values():
            pictures(root / "food-101/images", images)
        lines(root / f"food-101/meta/{split}.json", [json.dumps(dishes)])
    return root


def flowers(root: Path) -> Path:
    base = root / "flowers-102"
    pictures(base / "jpg", [f"image_{i:05d}" for i in range(1, 9)])
    savemat(base / "imagelabels.mat", {"labels": np.array([[3, 3, 3, 3, 74, 74, 74, 74]])})
    parts = {"trnid": [[1, 2, 5, 6]], "valid": [[3, 7]], "tstid": [[4, 8]]}
    savemat(base / "setid.mat", {name: np.array(ids) for name, ids in parts.items()})
    return root


def textures(root: Path) -> Path:
    base = root / "dtd/dtd"
    for split, number in (("train", 1), ("val", 2), ("test", 3)):
        names = [f"{name}/{name}_{number}{i}" for name in ("banded", "dotted") for i in range(2)]
        pictures(base / "images", names)
        lines(base / f"labels/{split}1.txt", [f"{name}.jpg" for name in names])
    return root


@pytest.mark.parametrize(
    ("title", "write", "subs", "n_train", "n_val"),
    [
        ("OxfordIIITPet", pets, ("abyssinian", "bengal", "pug", "yorkshire terrier"), 8, None),
        ("FGVCAircraft", aircraft, ("707-320", "A320", "MD-11 F"), 12, 6),
        ("Food101", food, ("apple_pie", "ramen", "sushi"), 6, None),
        ("Flowers102", flowers, ("canterbury bells", "rose"), 6, 2),
        ("DTD", textures, ("banded", "dotted"), 8, 4),
    ],
)
def test_every_set_becomes_a_table_with_its_own_split(
    tmp_path: Path, title: str, write: Any, subs: tuple[str, ...], n_train: int, n_val: int | None
) -> None:
    write_table(title, write(tmp_path))
    if title not in ("OxfordIIITPet", "FGVCAircraft"):
        tops = [(sub, f"top {i % 2}") for i, sub in enumerate(subs)]
        write_csv(tmp_path / "hierarchy.csv", ("sub", "super"), tops)
    source = open_source(str(tmp_path / TABLE))
    assert source.hierarchy.sub_names == subs
    assert len(source.images) == n_train
    assert (None if source.is_val is None else source.is_val.sum()) == n_val
    assert not source.missing
    test, _ = read_truth(tmp_path / TABLE, [], TableOptions())
    # torchvision's own list of the same split.
    split = "test"
    if title == "Flowers102":  # it checks the real files' digests
        assert [image.image for image in test] == [
            "flowers-102/jpg/image_00004.jpg",
            "flowers-102/jpg/image_00008.jpg",
        ]
        return
    theirs = getattr(torchvision.datasets, title)(tmp_path, split=split)
    own = theirs._images if title == "OxfordIIITPet" else theirs._image_files
    assert [tmp_path / image.image for image in test] == [Path(path) for path in own]


def test_species_and_makers_are_super_classes(tmp_path: Path) -> None:
    write_table("OxfordIIITPet", pets(tmp_path / "pets"))
    source = open_source(str(tmp_path / "pets" / TABLE))
    assert source.hierarchy.super_names == ("cat", "dog")
    assert source.hierarchy.sub_to_super == (0, 0, 1, 1)
    write_table("FGVCAircraft", aircraft(tmp_path / "aircraft"))
    found = open_source(str(tmp_path / "aircraft" / TABLE)).hierarchy
    assert found.super_names == ("Airbus", "Boeing", "McDonnell Douglas")
    assert found.sub_to_super == (1, 0, 2)


def test_a_set_of_one_level_says_what_it_lacks(tmp_path: Path) -> None:
    write_table("Food101", food(tmp_path))
    _, problems = inspect_source(str(tmp_path / TABLE))
    assert "give each sub-class its super-class in a file hierarchy.csv" in problems[-1].what


@pytest.mark.parametrize("content", ["Abyssinian_1 1", "Abyssinian_1 1 9 1", None])
def test_a_list_of_another_form_is_refused_in_one_line(tmp_path: Path, content: str | None) -> None:
    pets(tmp_path)
    path = tmp_path / "oxford-iiit-pet/annotations/test.txt"
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(ValueError, match="own list of images is not as expected") as caught:
        write_table("OxfordIIITPet", tmp_path)
    assert "\n" not in str(caught.value)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A server of the pets' archives in place of the real one."""
    folder = tmp_path / "mirror"
    base = pets(tmp_path / "made") / "oxford-iiit-pet"
    folder.mkdir()
    for name in ("images", "annotations"):
        with tarfile.open(folder / f"{name}.tar.gz", "w:gz") as tar:
            tar.add(base / name, name)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        resources = tuple(
            (
                f"http://127.0.0.1:{server.server_address[1]}/{file.name}",
                hashlib.md5(file.read_bytes()).hexdigest(),
            )
            for file in sorted(folder.iterdir(), reverse=True)
        )
        monkeypatch.setattr(torchvision.datasets.OxfordIIITPet, "_RESOURCES", resources)
        monkeypatch.setenv("HIERCLF_CACHE", str(tmp_path / "cache"))
        yield folder
        server.shutdown()
        thread.join()


def test_a_set_is_downloaded_once(mirror: Path) -> None:
    first = open_source("torchvision:OxfordIIITPet")
    assert len(first.images) == 8
    for file in mirror.iterdir():
        file.unlink()
    again = open_source("torchvision:OxfordIIITPet")
    assert again.fingerprint == first.fingerprint


def test_a_download_that_fails_leaves_no_set(mirror: Path, tmp_path: Path) -> None:
    whole = (mirror / "images.tar.gz").read_bytes()
    (mirror / "images.tar.gz").write_bytes(whole[:-20])
    for name, reason in (("images", "File not found or corrupted"), ("annotations", "HTTP Error")):
        source, problems = inspect_source("torchvision:OxfordIIITPet")
        assert source is None
        ((where, what, _),) = problems
        assert where == "torchvision:OxfordIIITPet"
        assert what.startswith("torchvision cannot download OxfordIIITPet: ")
        assert reason in what
        (mirror / "images.tar.gz").write_bytes(whole)
        if name == "images":
            (mirror / "annotations.tar.gz").rename(mirror / "away")
    (mirror / "away").rename(mirror / "annotations.tar.gz")
    assert len(open_source("torchvision:OxfordIIITPet").images) == 8
    left = [path.name for path in (tmp_path / "cache/sets/torchvision").iterdir()]
    assert sorted(left) == ["OxfordIIITPet", "OxfordIIITPet.lock"]


@pytest.mark.parametrize("title", ["", "CUB", "CIFAR100", "../x", "os"])
def test_an_unknown_set_is_refused_with_the_known_ones(title: str) -> None:
    _, ((_, what, _),) = inspect_source(f"torchvision:{title}")
    known = "OxfordIIITPet, FGVCAircraft, Food101, Flowers102, DTD"
    assert what.startswith(f"the set must be one of {known}, but got {title!r}")
    assert ("take hf://uoft-cs/cifar100" in what) == (title == "CIFAR100")
