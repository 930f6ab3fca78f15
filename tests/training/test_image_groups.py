"""Claims about groups found in a set of images: what is linked, what is said, what is kept."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hierclf.data.cache import ImageCache, open_cache
from hierclf.training.image_groups import find_groups, with_found_groups, with_named_groups
from tests.layouts import HIERARCHY, make_source

NO_PAIRS = np.empty((0, 2), dtype=np.int64)


def pairs(*rows: tuple[int, int]) -> np.ndarray:
    return np.array(rows, dtype=np.int64)


def test_chains_of_copies_within_a_class_are_one_group() -> None:
    sub = np.repeat([0, 1], 10)
    groups = find_groups(sub, None, pairs((0, 3), (3, 7), (12, 15), (5, 16)))
    assert groups.tolist() == [0, 1, 2, 0, 4, 5, 6, 0, 8, 9, 10, 11, 12, 13, 14, 12, 16, 17, 18, 19]


@pytest.mark.parametrize(("n_images", "n_linked"), [(2, 2), (4, 4), (10, 6)])
def test_copies_that_link_most_of_a_class_are_left_alone(n_images: int, n_linked: int) -> None:
    sub = np.repeat([0, 1], [n_images, 9])
    chain = [(i, i + 1) for i in range(n_linked - 1)]
    groups = find_groups(sub, None, pairs(*chain, (n_images, n_images + 1)))
    assert groups[:n_images].tolist() == list(range(n_images))
    assert groups[n_images + 1] == groups[n_images]


def test_a_copy_joins_the_scene_of_its_original() -> None:
    rng = np.random.default_rng(0)
    scene = np.repeat(np.arange(8), 5)
    features = (2.0 * rng.normal(size=(8, 64))[scene] + rng.normal(size=(40, 64))).astype(
        np.float32
    )
    sub = np.zeros(40, dtype=int)
    assert len(set(find_groups(sub, features, NO_PAIRS).tolist())) == 8
    joined = find_groups(sub, features, pairs((0, 39)))
    assert joined[0] == joined[39] == joined[35]
    assert len(set(joined.tolist())) == 7


def cache_with_copies(directory: Path) -> ImageCache:
    """Images of sub-classes 0, 1, 2 in turn; 30 copies 0 and 31 copies 5, with other light."""
    rng = np.random.default_rng(0)
    pixels = []
    for _ in range(30):
        coarse = Image.fromarray(rng.integers(0, 200, (12, 12, 3), dtype=np.uint8))
        pixels.append(np.asarray(coarse.resize((40, 40), Image.Resampling.BICUBIC)))
    sub = np.append(np.arange(30) % 3, [0, 0])
    pixels += [pixels[0] + np.uint8(3), pixels[5] + np.uint8(3)]
    source = make_source(
        images=[f"{i}.png" for i in range(32)],
        super_labels=np.array(HIERARCHY.sub_to_super)[sub],
        sub_labels=sub,
        read=pixels.__getitem__,
    )
    return open_cache(source, size=None, directory=directory)


def test_what_is_found_is_said_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = cache_with_copies(tmp_path)
    for _ in range(2):
        with pytest.warns(UserWarning, match="sub-class") as caught:
            found = with_found_groups(cache, None, directory=tmp_path)
        doubt, told = (str(warning.message) for warning in caught)
        assert doubt.startswith("1 pair of near-copies has different sub-classes")
        assert "(first: 5.png and 31.png)" in doubt
        assert told.startswith("2 of 32 images are like others of their sub-class and form 1 group")
        assert found.groups is not None
        expected = list(range(32))
        expected[30] = 0
        assert found.groups.tolist() == expected
        # The second time nothing is computed.
        monkeypatch.setattr("hierclf.training.image_groups.find_groups", lambda *a: 1 / 0)
    (table,) = tmp_path.glob("groups-*.csv")
    assert pd.read_csv(table).to_dict("list") == {
        "group": [0, 0],
        "row": [0, 30],
        "image": ["0.png", "30.png"],
    }
    (doubts,) = tmp_path.glob("label-doubts-*.csv")
    assert pd.read_csv(doubts).to_numpy().tolist() == [["5.png", "pug", "31.png", "owl"]]


def test_a_set_of_images_on_their_own_is_as_it_was_and_nothing_is_said(tmp_path: Path) -> None:
    cache = open_cache(make_source(per_class=9), size=None, directory=tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert with_found_groups(cache, None, directory=tmp_path) is cache


def test_other_features_are_other_groups(tmp_path: Path) -> None:
    cache = open_cache(make_source(per_class=20), size=None, directory=tmp_path)
    rng = np.random.default_rng(0)
    scene = np.arange(60) % 12
    scenes = 3 * rng.normal(size=(12, 32))[scene] + rng.normal(size=(60, 32))
    with pytest.warns(
        UserWarning, match="60 of 60 images .* form 12 groups; .* a random split would"
    ):
        found = with_found_groups(cache, scenes.astype(np.float32), directory=tmp_path)
    assert found.groups is not None
    alone = rng.normal(size=(60, 32)).astype(np.float32)
    assert with_found_groups(cache, alone, directory=tmp_path).groups is None


def test_a_pattern_replaces_the_groups_of_the_data(tmp_path: Path) -> None:
    cache = open_cache(make_source(per_class=9), size=None, directory=tmp_path)
    named = replace(cache, groups=np.arange(27) // 2)
    assert with_named_groups(named, None, path="here") is named
    found = with_named_groups(named, r"\d(?=\.)", path="here")
    assert found.groups is not None
    assert len(set(found.groups.tolist())) == 10


def test_unreadable_images_may_leave_a_class_with_one_group(tmp_path: Path) -> None:
    cache = open_cache(make_source(per_class=9), size=None, directory=tmp_path)
    with pytest.raises(ValueError, match="here: sub-class 'hen': all its images are in one group"):
        with_named_groups(
            replace(cache, groups=(cache.sub_labels != 1) * np.arange(27)), None, path="here"
        )
