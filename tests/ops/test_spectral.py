import numpy as np
import pytest
from scipy.linalg import eigh, subspace_angles
from scipy.sparse import csr_array

from wsss_lightning.ops import spectral
from wsss_lightning.ops.spectral import decimated_cut, kept_pixels, normalised_cut


def grid(height: int, width: int, *, across: float, radius: int = 2) -> csr_array:
    """Affinity 1 within `radius` on either half of an image, `across` between the halves; a little noise."""
    y, x = (c.ravel() for c in np.indices((height, width)))
    near = (y[:, None] - y) ** 2 + (x[:, None] - x) ** 2 <= radius**2
    same = (x[:, None] < width // 2) == (x < width // 2)
    noise = np.random.default_rng(0).uniform(0.9, 1, near.shape)
    weights = near * np.where(same, 1, across) * np.minimum(noise, noise.T)
    np.fill_diagonal(weights, 0)
    return csr_array(weights.astype(np.float32))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("dense", [0, 10_000])
def test_pairs_solve_the_generalised_problem(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectral, "_DENSE", dense)
    affinity = grid(10, 12, across=0.1)
    values, vectors = normalised_cut(affinity, 6, rng())
    weights = affinity.toarray().astype(np.float64)
    degrees = np.diag(weights.sum(axis=0))
    expected = eigh(degrees - weights, degrees)
    np.testing.assert_allclose(values, expected[0][:6], atol=1e-4)
    assert subspace_angles(vectors.astype(np.float64), expected[1][:, :6]).max() < 0.03
    assert (np.diff(values) >= 0).all() and np.ptp(vectors[:, 0]) < 1e-3 * np.abs(vectors[:, 0]).max()


def test_two_halves_by_hand() -> None:
    """Two nodes with w = 1: the eigenvalues of (D - W, D) are 0 and 2."""
    values, vectors = normalised_cut(csr_array(np.array([[0.0, 1.0], [1.0, 0.0]])), 5, rng())
    np.testing.assert_allclose(values, [0, 2], atol=1e-12)
    assert vectors[0, 1] == pytest.approx(-vectors[1, 1])


def test_kept_pixels_are_the_second_of_every_two() -> None:
    np.testing.assert_array_equal(kept_pixels((5, 4)), [5, 7, 13, 15])


def test_decimation_divides_where_the_whole_cut_does() -> None:
    shape, affinity = (20, 24), grid(20, 24, across=0.02)
    _, whole = normalised_cut(affinity, 2, rng())
    values, vectors = decimated_cut(affinity[kept_pixels(shape)], shape, 4, rng())
    assert vectors.shape == (480, 4) and values[0] == pytest.approx(0, abs=1e-5)
    assert abs(np.corrcoef(whole[:, 1], vectors[:, 1])[0, 1]) > 0.95
    left = vectors[:, 1].reshape(shape)
    assert (np.sign(left[:, :11]) == -np.sign(left[:, 13:])).all()


def test_vectors_are_white() -> None:
    shape, affinity = (20, 24), grid(20, 24, across=0.3)
    _, vectors = decimated_cut(affinity[kept_pixels(shape)], shape, 5, rng())
    covariance = vectors.T @ vectors / len(vectors)
    np.testing.assert_allclose(covariance[1:, 1:], np.eye(4), atol=0.02)


def test_the_same_start_gives_the_same_result() -> None:
    affinity = grid(24, 24, across=0.5)
    first, second = (normalised_cut(affinity, 8, rng())[1] for _ in range(2))
    np.testing.assert_array_equal(first, second)
