from itertools import product

import numpy as np
import pytest

from wsss_lightning.ops.pmi import (
    affinity_rows,
    affinity_table,
    pixel_features,
    pmi_affinity,
    quantise,
    sample_pairs,
)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("scale", "shape"), [(1, (11, 14, 3)), (2, (6, 7, 3))])
def test_features_are_decorrelated_and_span_the_unit_interval(scale: int, shape: tuple[int, int, int]) -> None:
    for features in pixel_features(noise(11, 14), scale):
        assert features.shape == shape and features.dtype == np.float32
        assert features.min() == 0 and features.max() == 1
        covariance = np.cov(features.reshape(-1, 3).T)
        assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-6


def test_texture_is_where_the_image_varies() -> None:
    image = noise(30, 60)
    image[:, :30] = 128
    texture = pixel_features(image, 1)[1]
    plain, varied = texture[5:-5, 5:25], texture[5:-5, 35:-5]
    assert np.ptp(plain.reshape(-1, 3), axis=0).max() < 1e-3
    assert np.abs(plain.mean(axis=(0, 1)) - varied.mean(axis=(0, 1))).max() > 0.3


def test_a_blank_image_has_blank_features() -> None:
    for features in pixel_features(np.full((8, 8, 3), 7, np.uint8), 2):
        np.testing.assert_array_equal(features, np.zeros_like(features))


def test_codes_are_the_means_of_their_pixels() -> None:
    features = pixel_features(noise(20, 25), 1)[0]
    means, indices = quantise(features, 8, np.random.default_rng(0))
    assert means.shape == (8, 3) and indices.shape == (20, 25)
    expected = [features[indices == code].mean(axis=0) for code in range(8)]
    np.testing.assert_allclose(means, expected, atol=1e-5)


def test_few_distinct_features_are_told_apart_exactly() -> None:
    values = np.array([[0, 0, 0], [1, 0, 0], [0, 0.5, 1]], np.float32)
    features = values[np.random.default_rng(0).integers(0, 3, (9, 9))]
    means, indices = quantise(features, 512, np.random.default_rng(0))
    np.testing.assert_array_equal(means[indices], features)


def test_pairs_are_near_and_ordered() -> None:
    y, x = np.indices((40, 50), np.float32)
    features = np.stack([y, x, x], axis=2)
    first, second = sample_pairs(features, 3000, np.random.default_rng(0))
    distances = np.abs(first - second)
    assert len(first) > 1000
    assert (first[:, 0] >= second[:, 0]).all() and (first[:, 0] > second[:, 0]).any()
    assert 0 < distances.max() <= 4
    # Half the offset is a unit vector plus noise of half a pixel in its direction: 1.6 on average.
    assert 2.5 < np.hypot(distances[:, 0], distances[:, 1]).mean() < 4


def kernel(distance: float, bandwidth: float) -> float:
    return 0.75 / bandwidth * max(0.0, 1 - (distance / bandwidth) ** 2)


def test_the_table_is_the_papers_equation() -> None:
    """A loop over codes and samples, in float64."""
    rng, bandwidth = np.random.default_rng(1), 0.4
    codes, first, second = (rng.random((n, 2)).astype(np.float32) for n in (5, 30, 30))
    found = affinity_table(codes, first, second, bandwidth)

    def density(samples: np.ndarray, code: np.ndarray) -> np.ndarray:
        return np.array(
            [np.prod([kernel(c - s, bandwidth) for c, s in zip(code, row, strict=True)]) for row in samples]
        )

    single = [(density(first, code).mean() + density(second, code).mean()) / 2 for code in codes]
    for i, j in product(range(5), repeat=2):
        large, small = (i, j) if codes[i, 0] >= codes[j, 0] else (j, i)
        joint = (density(first, codes[large]) * density(second, codes[small])).mean()
        expected = (100 + joint / 2) ** 1.25 / (single[i] * single[j] + 100)
        assert found[i, j] == pytest.approx(expected, rel=1e-4)
    np.testing.assert_array_equal(found, found.T)


def test_rows_equal_a_loop_over_pixels() -> None:
    rng = np.random.default_rng(0)
    codes = [rng.integers(0, 4, (6, 7)) for _ in range(2)]
    tables = [(t + t.T).astype(np.float32) for t in rng.random((2, 4, 4))]
    expected = np.zeros((42, 42))
    for p, q in product(range(42), repeat=2):
        (py, px), (qy, qx) = divmod(p, 7), divmod(q, 7)
        if p != q and (py - qy) ** 2 + (px - qx) ** 2 <= 9:
            expected[p, q] = np.prod([t[c[py, px], c[qy, qx]] for c, t in zip(codes, tables, strict=True)])
    rows = np.array([0, 8, 41])
    found = affinity_rows(codes, tables, np.arange(42), 3)
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-6)
    np.testing.assert_array_equal(affinity_rows(codes, tables, rows, 3).toarray(), found.toarray()[rows])


def test_pixels_of_one_side_belong_together() -> None:
    image = np.full((32, 32, 3), (200, 40, 40), np.uint8)
    image[:, 16:] = (40, 40, 200)
    image = (image + np.random.default_rng(0).integers(0, 20, image.shape)).astype(np.uint8)
    rows = pmi_affinity(image, np.array([8 * 16 + 6]), scale=2, codes=64, radius=3, rng=np.random.default_rng(0))
    weights = rows.toarray().reshape(16, 16)
    assert weights[8, 7] > 2 * weights[8, 9] > 0
