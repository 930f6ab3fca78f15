"""Claims about features whose computation was interrupted."""

import json
from pathlib import Path

import numpy as np
import pytest

from hierclf.data.cache import ImageCache, open_cache
from hierclf.training.feature_draft import FeatureDraft
from tests.frozen_features import banks, config_of, open_features, stop_after, write_weights
from tests.layouts import make_source


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_weights(tmp_path / "w.safetensors")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageCache:
    """Twelve images; with two augmented views, nine shards of five or two."""
    monkeypatch.setattr("hierclf.training.feature_shards.SHARD_IMAGES", 5)
    return open_cache(make_source(shape=(20, 20)), size=None, directory=tmp_path)


@pytest.mark.parametrize("seen", [1, 6, 14, 20, 27])
def test_an_interrupted_computation_goes_on_to_the_same_bytes(
    tmp_path: Path, cache: ImageCache, weights: Path, seen: int
) -> None:
    expected = np.array(open_features(cache, config_of(weights), tmp_path / "whole"))
    computed = []
    with pytest.raises(KeyboardInterrupt):
        open_features(cache, config_of(weights), tmp_path, stop_after(seen))
    assert banks(tmp_path) == []
    found = open_features(
        cache, config_of(weights), tmp_path, lambda done, total: computed.append(done)
    )
    assert found.tobytes() == expected.tobytes()
    assert computed[0] > seen + 1  # nothing that was written is computed again
    assert computed[-1] == 36
    assert not list(tmp_path.glob("*.part*"))


def test_a_draft_needs_no_second_place_on_the_disk(
    tmp_path: Path, cache: ImageCache, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        open_features(cache, config_of(weights), tmp_path, stop_after(9))

    class Usage:
        free = 4 * 36 * 128 // 10  # the bank takes ten times that

    monkeypatch.setattr("hierclf.training.features.shutil.disk_usage", lambda directory: Usage())
    with pytest.raises(ValueError, match=r"^the features need"):
        open_features(cache, config_of(weights), tmp_path / "elsewhere")
    open_features(cache, config_of(weights), tmp_path)
    assert len(banks(tmp_path)) == 1


def test_a_process_that_is_killed_leaves_the_shards_that_were_written_last_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hierclf.training.feature_draft.KEEP_EVERY_S", 0.0)
    path, shape = tmp_path / "bank.npy", (2, 10, 3)
    first = FeatureDraft(path, shape, 10, {"step": 1})
    for number in (7, 0, 9):  # several processes finish in any order
        first.bank.reshape(10, 2, 3)[number] = number
        first.keep(number)
    again = FeatureDraft(path, shape, 10, {"step": 1})
    assert np.flatnonzero(again.done).tolist() == [0, 7, 9]
    assert again.bank.reshape(10, 2, 3)[[0, 7, 9], 0, 0].tolist() == [0, 7, 9]


def test_a_draft_made_in_other_batches_is_begun_anew(
    tmp_path: Path, cache: ImageCache, weights: Path
) -> None:
    other = config_of(weights, eval_batch_size=4)
    expected = np.array(open_features(cache, other, tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        open_features(cache, config_of(weights), tmp_path, stop_after(14))
    assert open_features(cache, other, tmp_path).tobytes() == expected.tobytes()


@pytest.mark.parametrize("done", [None, 5, "", "zz", "ff", "ffffff"], ids=repr)
def test_a_damaged_journal_begins_the_draft_anew(
    tmp_path: Path, cache: ImageCache, weights: Path, done: object
) -> None:
    expected = np.array(open_features(cache, config_of(weights), tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        open_features(cache, config_of(weights), tmp_path, stop_after(14))
    (journal,) = tmp_path.glob("*.part.json")
    journal.write_text(json.dumps(json.loads(journal.read_text()) | {"done": done}))
    assert open_features(cache, config_of(weights), tmp_path).tobytes() == expected.tobytes()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"view": 1, "row": 5, "state": ""}'])
def test_a_journal_of_another_kind_begins_the_draft_anew(
    tmp_path: Path, cache: ImageCache, weights: Path, content: str
) -> None:
    expected = np.array(open_features(cache, config_of(weights), tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        open_features(cache, config_of(weights), tmp_path, stop_after(14))
    (journal,) = tmp_path.glob("*.part.json")
    journal.write_text(content)
    assert open_features(cache, config_of(weights), tmp_path).tobytes() == expected.tobytes()
