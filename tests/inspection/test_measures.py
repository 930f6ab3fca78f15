"""Claims about the figures of one picture."""

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy.stats import entropy

from hierclf.inspection.measures import blur_of, measure
from tests.inspection.odd_pictures import photo, plain


def test_entropy_is_that_of_the_grey_levels_in_bits() -> None:
    image = photo(0, (64, 48))
    levels = np.bincount(np.asarray(image.convert("L")).ravel())
    assert measure(np.asarray(image)).entropy == pytest.approx(entropy(levels, base=2))


def test_brightness_is_by_percentiles_of_grey() -> None:
    levels = np.arange(101, dtype=np.uint8).reshape(1, 101).repeat(3, axis=0)
    small = measure(np.dstack([levels] * 3)[:, :50])
    assert small.darkest == pytest.approx(np.percentile(np.arange(50), 5) / 255, abs=0.002)
    assert small.brightest == pytest.approx(np.percentile(np.arange(50), 99) / 255, abs=0.002)


def test_more_blur_has_a_higher_figure_whatever_the_size() -> None:
    for side in (64, 300):
        found = [
            measure(np.asarray(photo(3, (side, side)).filter(ImageFilter.GaussianBlur(r)))).blur
            for r in (0, 0.02 * side, 0.05 * side)
        ]
        assert found == sorted(found)
        assert 0 <= found[0] < 0.5 < found[2] <= 1


def test_blur_is_that_of_the_definition_by_loops() -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (1, 9)).astype(np.float64)
    row = np.pad(levels[0], 2, mode="symmetric")
    smooth = [row[i : i + 5].mean() for i in range(9)]
    own = [abs(levels[0][i + 1] - levels[0][i]) for i in range(8)]
    after = [abs(smooth[i + 1] - smooth[i]) for i in range(8)]
    kept = sum(max(0.0, a - b) for a, b in zip(own, after, strict=True))
    assert blur_of(levels) == pytest.approx(1 - kept / sum(own))


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (64, 64)])
def test_a_picture_of_one_colour_has_no_blur_and_no_entropy(size: tuple[int, int]) -> None:
    found = measure(np.asarray(plain(*size)))
    assert np.isnan(found.blur)
    assert found.entropy == 0
    assert (found.width, found.height) == size


def test_a_single_line_of_pixels_is_measured() -> None:
    line = Image.fromarray(np.random.default_rng(0).integers(0, 256, (1, 40, 3), dtype=np.uint8))
    assert 0 <= measure(np.asarray(line)).blur <= 1
