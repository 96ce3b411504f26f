import numpy as np
import pytest

from wsss_lightning.methods.coseg.exemplars import background, exemplar_detectors, product_sums, window_covariance
from wsss_lightning.methods.coseg.hog import FEATURES


def levels(seed: int, *sizes: tuple[int, int]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    base = [rng.random((*size, FEATURES)).astype(np.float32) for size in sizes]
    return [level + np.roll(level, 1, axis=1) for level in base]  # so that neighbours are correlated


def test_covariance_is_the_sum_over_all_pairs_of_cells() -> None:
    found = levels(0, (9, 11), (6, 8))
    statistics = background(product_sums(found, 4))
    cells = np.concatenate([level.reshape(-1, FEATURES) for level in found]).astype(float)
    np.testing.assert_allclose(statistics.mean, cells.mean(axis=0), rtol=1e-5)
    for down, across in ((0, 0), (0, 1), (2, -3), (-1, 2)):
        products = np.zeros((FEATURES, FEATURES))
        for level in (each - statistics.mean for each in found):
            for y, x in np.ndindex(*level.shape[:2]):
                if 0 <= y + down < level.shape[0] and 0 <= x + across < level.shape[1]:
                    products += np.outer(level[y, x], level[y + down, x + across])
        np.testing.assert_allclose(statistics.covariance[4 + down, 4 + across], products / len(cells), atol=1e-5)


def test_a_windows_covariance_depends_on_the_offset_of_two_cells() -> None:
    statistics = background(product_sums(levels(1, (12, 12)), 4))
    whole = window_covariance(statistics, (2, 3)).reshape(2, 3, FEATURES, 2, 3, FEATURES)
    np.testing.assert_array_equal(whole[0, 2, :, 1, 1], statistics.covariance[4 + 1, 4 - 1])
    flat = whole.reshape(6 * FEATURES, -1)
    np.testing.assert_allclose(flat, flat.T, atol=1e-6)


def test_few_cells_of_unlike_levels_leave_the_covariance_positive() -> None:
    found = levels(8, (5, 5), (3, 9))
    found[1] += 1
    covariance = window_covariance(background(product_sums(found, 4)), (3, 4))
    assert np.linalg.eigvalsh(covariance)[0] > -1e-5


def test_sums_of_images_add_up() -> None:
    one, other = levels(2, (7, 9)), levels(3, (7, 9))
    both = product_sums(one + other, 4)
    np.testing.assert_allclose(both, product_sums(one, 4) + product_sums(other, 4), atol=1e-3)
    assert both[4, 4, -1, -1] == pytest.approx(2 * 63)


def test_detectors_are_the_dense_formula() -> None:
    statistics = background(product_sums(levels(4, (20, 20), (15, 17)), 4))
    exemplars = np.random.default_rng(5).random((3, 2, 2, FEATURES))
    weights, offsets = exemplar_detectors(exemplars, statistics, regularisation=0.01)
    sigma = window_covariance(statistics, (2, 2)) + 0.01 * np.eye(4 * FEATURES)
    centred = exemplars.reshape(3, -1) - np.tile(statistics.mean, 4)
    for row, x in enumerate(centred):
        w = np.linalg.inv(sigma) @ x
        w /= np.sqrt(w @ sigma @ w)
        np.testing.assert_allclose(weights[row], w, rtol=1e-4, atol=1e-4)
        assert offsets[row] == pytest.approx(w @ np.tile(statistics.mean, 4), rel=1e-4)


def test_the_background_scores_0_with_a_deviation_of_1() -> None:
    # White features, so that the windows of a level are drawn from the statistics themselves.
    level = np.random.default_rng(6).normal(2, 0.5, (90, 90, FEATURES)).astype(np.float32)
    statistics = background(product_sums([level], 1))
    exemplars = np.random.default_rng(7).normal(2, 0.5, (4, 2, 2, FEATURES))
    weights, offsets = exemplar_detectors(exemplars, statistics, regularisation=1e-2)
    windows = np.lib.stride_tricks.sliding_window_view(level, (2, 2), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
    scores = windows.reshape(-1, 4 * FEATURES) @ weights.T - offsets
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(scores.std(axis=0), 1, atol=0.1)
