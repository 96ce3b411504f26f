from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from wsss_lightning.ops.pn_potts import region_energies

LABELS = 3
REGIONS = np.array([0, 0, 1, 2, 0, 1])
COSTS = np.random.default_rng(2).random((3, LABELS))
MAXIMUM = 1.7


def field(pixels: int, dtype: type = np.float64) -> NDArray[np.floating]:
    q = np.random.default_rng(4).random((LABELS, pixels)) + 0.05
    return (q / q.sum(axis=0)).astype(dtype)


def enumerated(q: NDArray[np.floating], pixel: int, label: int) -> float:
    """Expected cost of the pixel's region over all labellings of its other pixels."""
    region = REGIONS[pixel]
    others = [j for j in np.flatnonzero(region == REGIONS) if j != pixel]
    expected = 0.0
    for labelling in product(range(LABELS), repeat=len(others)):
        weight = np.prod([q[x, j] for x, j in zip(labelling, others, strict=True)])
        expected += weight * (COSTS[region, label] if set(labelling) <= {label} else MAXIMUM)
    return expected


def test_equals_the_enumeration_of_all_labellings() -> None:
    q = field(6)
    found = region_energies(q, REGIONS, COSTS, MAXIMUM)
    expected = [[enumerated(q, i, label) for i in range(6)] for label in range(LABELS)]
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_a_pixel_alone_pays_for_its_label() -> None:
    found = region_energies(field(6), REGIONS, COSTS, MAXIMUM)
    np.testing.assert_allclose(found[:, 3], COSTS[2])


def test_by_hand() -> None:
    q = np.array([[0.5, 0.8], [0.5, 0.2]])
    found = region_energies(q, np.array([0, 0]), np.array([[0.0, 1.0]]), 2.0)
    np.testing.assert_allclose(found, [[0.4, 1.0], [1.8, 1.5]])


def test_thousands_of_pixels_do_not_underflow_to_nonsense() -> None:
    q = np.full((2, 5000), 1e-30, np.float32)
    q[0] = 1
    found = region_energies(q, np.zeros(5000, int), np.array([[0.5, 0.1]]), 3.0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], 0.5)
    np.testing.assert_allclose(found[1], 3.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_zero_hurts_nobody_but_its_region(dtype: type) -> None:
    q = field(6, dtype)
    q[:, 0] = [1, 0, 0]
    found = region_energies(q, REGIONS, COSTS, MAXIMUM)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[1:, [1, 4]], MAXIMUM)
