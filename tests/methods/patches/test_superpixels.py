from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from wsss_lightning.methods.patches.superpixels import majority_vote, superpixels


def by_counting(labels: NDArray[np.integer], segments: NDArray[np.integer]) -> NDArray[np.integer]:
    """The vote, one superpixel after the other; of equally frequent labels the lowest."""
    voted = labels.copy()
    for segment in set(segments.ravel().tolist()):
        counts = Counter(labels[segments == segment].tolist())
        voted[segments == segment] = min(counts, key=lambda label: (-counts[label], label))
    return voted


@pytest.mark.parametrize("labels", [2, 5, 256])
@pytest.mark.parametrize("segments", [1, 7, 60])
def test_the_vote_against_counting(labels: int, segments: int) -> None:
    generator = np.random.default_rng(labels * segments)
    found = generator.integers(labels, size=(13, 17)).astype(np.uint8)
    parts = generator.integers(segments, size=(13, 17))
    voted = majority_vote(found, parts)
    assert voted.dtype == np.uint8 and np.array_equal(voted, by_counting(found, parts))


def test_a_vote_by_hand() -> None:
    labels = np.array([[1, 1, 0], [0, 1, 0]])
    segments = np.array([[4, 4, 2], [4, 2, 2]])  # not all numbers occur
    assert majority_vote(labels, segments).tolist() == [[1, 1, 0], [1, 0, 0]]


def test_a_tie_is_background() -> None:
    assert majority_vote(np.array([[1, 0, 1, 0]]), np.zeros((1, 4), np.intp)).tolist() == [[0, 0, 0, 0]]


def test_pixels_of_their_own_keep_their_labels() -> None:
    labels = np.random.default_rng(0).integers(3, size=(5, 6))
    assert np.array_equal(majority_vote(labels, np.arange(30).reshape(5, 6)), labels)


def test_a_vote_changes_nothing_twice() -> None:
    generator = np.random.default_rng(1)
    labels, segments = generator.integers(2, size=(20, 20)), generator.integers(30, size=(20, 20))
    once = majority_vote(labels, segments)
    assert np.array_equal(majority_vote(once, segments), once)


def test_shapes_have_to_agree() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\), superpixels \(3, 2\)"):
        majority_vote(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.intp))


def picture() -> NDArray[np.uint8]:
    image = np.full((40, 60, 3), (200, 60, 60), np.uint8)
    image[:, 25:] = (60, 60, 200)
    return image


def test_superpixels_follow_colours() -> None:
    found = superpixels(picture(), scale=100, sigma=0.5, min_size=20)
    assert found.shape == (40, 60) and found.min() == 0
    assert not set(found[:, :23].ravel()) & set(found[:, 27:].ravel())
    assert set(found.ravel().tolist()) == set(range(found.max() + 1))


def test_a_larger_scale_joins_superpixels() -> None:
    noisy = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    fine, coarse = (superpixels(noisy, scale=scale, sigma=0, min_size=1).max() for scale in (10.0, 3000.0))
    assert coarse < fine


def test_no_superpixel_is_smaller_than_asked_for() -> None:
    noisy = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    found = superpixels(noisy, scale=10, sigma=0, min_size=30)
    assert np.bincount(found.ravel()).min() >= 30
