from itertools import product

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from wsss_lightning.metrics.bsds import (
    boundary_average_precision,
    boundary_counts,
    optimal_dataset_scale,
    optimal_image_scale,
    precedence_matching,
    precision_recall_f,
    region_covering,
)

THRESHOLDS = np.array([0.2, 0.6])


@pytest.mark.parametrize("seed", range(20))
def test_every_first_rows_match_as_many_as_they_can(seed: int) -> None:
    """scipy finds a largest matching of the first n rows alone."""
    adjacent = np.random.default_rng(seed).random((14, 10)) < 0.2
    matched = precedence_matching([np.flatnonzero(row).tolist() for row in adjacent], 10)
    for n in range(1, 15):
        largest = (maximum_bipartite_matching(csr_matrix(adjacent[:n])) >= 0).sum()
        assert matched[:n].sum() == largest


def test_an_earlier_match_is_moved() -> None:
    np.testing.assert_array_equal(precedence_matching([[0, 1], [0], [1], []], 2), [True, True, False, False])


def line(column: int, size: tuple[int, int] = (60, 80), strength: float = 1) -> np.ndarray:
    found = np.zeros(size)
    found[:, column] = strength
    return found


@pytest.mark.parametrize(("distance", "matched"), [(0, 60), (1, 60), (3, 60), (4, 0)])
def test_a_line_matches_within_the_tolerance(distance: int, matched: int) -> None:
    # The diagonal is 100 px, and 3.5 px are allowed.
    counts = boundary_counts(line(40), [line(40 + distance) > 0], THRESHOLDS, tolerance=0.035)
    np.testing.assert_array_equal(counts, [[matched, 60, matched, 60]] * 2)


def test_matching_is_one_to_one() -> None:
    """Two lines beside one true line: half of the pixels are wrong."""
    counts = boundary_counts(np.maximum(line(39), line(41)), [line(40) > 0], THRESHOLDS, tolerance=0.035)
    np.testing.assert_array_equal(counts[0], [60, 60, 60, 120])


def test_thresholds_and_humans_by_hand() -> None:
    strength = np.maximum(line(20, strength=0.5), line(60, strength=0.6))
    counts = boundary_counts(strength, [line(20) > 0, line(60) > 0, line(60) > 0], THRESHOLDS, tolerance=0.01)
    np.testing.assert_array_equal(counts, [[180, 180, 120, 120], [120, 180, 60, 60]])


def test_counts_equal_those_of_each_threshold_alone() -> None:
    rng = np.random.default_rng(3)
    strength = rng.random((30, 40)) * (rng.random((30, 40)) < 0.2)
    truths = [rng.random((30, 40)) < 0.1 for _ in range(3)]
    thresholds = np.array([0.1, 0.4, 0.8])
    counts = boundary_counts(strength, truths, thresholds, tolerance=0.05)
    for row, threshold in zip(counts, thresholds, strict=True):
        predicted, flags = np.argwhere(strength >= threshold), []
        for truth in truths:
            distances = np.linalg.norm(predicted[:, None] - np.argwhere(truth)[None], axis=2)
            flags.append(maximum_bipartite_matching(csr_matrix(distances <= 2.5)) >= 0)
        assert row[0] == sum(found.sum() for found in flags)
        assert row[1] == sum(truth.sum() for truth in truths)
        assert row[2] >= max(found.sum() for found in flags)
        assert row[3] == len(predicted)


@pytest.mark.parametrize("truths", [[], [np.ones((5, 5), bool)]])
def test_humans_of_this_size_are_needed(truths: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="true mask"):
        boundary_counts(np.ones((4, 5)), truths)


def test_an_image_without_predictions() -> None:
    counts = boundary_counts(np.zeros((60, 80)), [line(3) > 0], THRESHOLDS)
    np.testing.assert_array_equal(counts, [[0, 60, 0, 0]] * 2)
    np.testing.assert_array_equal(precision_recall_f(counts), np.zeros((2, 3)))


def test_f_by_hand() -> None:
    np.testing.assert_allclose(precision_recall_f(np.array([30, 40, 10, 20])), [1 / 2, 3 / 4, 3 / 5])


COUNTS = np.array([[[10, 10, 10, 40], [5, 10, 5, 5]], [[8, 10, 8, 10], [2, 10, 2, 2]]])


def test_scales_by_hand() -> None:
    """Over both: F of 18/20 and 18/50, then of 7/20 and 7/7; each at its best: 13/20 and 13/15."""
    index, f = optimal_dataset_scale(COUNTS)
    assert index == 1
    assert f == pytest.approx(2 * 0.35 / 1.35)
    assert optimal_image_scale(COUNTS) == pytest.approx(2 * 13 / 35)


def test_average_precision_by_hand() -> None:
    """Precision 1 up to a recall of 0.35, falling to 0.36 at 0.9, 0 beyond."""
    recalls = np.arange(101) / 100
    expected = np.where(recalls <= 0.35, 1, 1 - 0.64 * (recalls - 0.35) / 0.55) * (recalls <= 0.9)
    assert boundary_average_precision(COUNTS) == pytest.approx(expected.mean())


def test_covering_by_hand() -> None:
    truth = np.array([[0, 0, 1, 1]])
    assert region_covering(np.array([[0, 0, 0, 1]]), [truth]) == pytest.approx(0.5 * 2 / 3 + 0.5 * 1 / 2)
    assert region_covering(truth, [truth, truth * 0]) == pytest.approx((1 + 0.5) / 2)


def test_covering_equals_a_loop_over_regions() -> None:
    rng = np.random.default_rng(0)
    labels, truth = rng.integers(0, 5, (9, 8)), 2 * rng.integers(0, 3, (9, 8))
    best = dict.fromkeys(np.unique(truth), 0.0)
    for a, b in product(best, range(5)):
        best[a] = max(best[a], ((truth == a) & (labels == b)).sum() / ((truth == a) | (labels == b)).sum())
    expected = sum((truth == a).mean() * iou for a, iou in best.items())
    assert region_covering(labels, [truth]) == pytest.approx(expected)
