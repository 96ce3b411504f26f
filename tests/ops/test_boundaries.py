import numpy as np
import pytest
from scipy.ndimage import label

from wsss_lightning.ops.boundaries import (
    border_weights,
    crisp_boundaries,
    cut,
    hierarchy,
    oriented_gradients,
    regions,
    thin,
)


def two_textures() -> np.ndarray:
    """Red noise left of the middle, blue noise right of it."""
    noise = np.random.default_rng(0).integers(0, 60, (96, 120, 3))
    colours = np.where(np.arange(120)[:, None] < 60, (160, 40, 40), (40, 40, 160))
    return (noise + colours).astype(np.uint8)


def test_a_boundary_is_where_two_textures_meet_and_runs_along_it() -> None:
    strength, orientation = crisp_boundaries(two_textures())
    assert strength.shape == orientation.shape == (96, 120)
    assert strength.dtype == orientation.dtype == np.float32
    assert strength.min() >= 0 and strength.max() <= 1
    peaks = strength[8:-8].argmax(axis=1)
    assert np.abs(peaks - 59.5).max() <= 2
    assert (np.abs(orientation[8:-8, 59:61] - np.pi / 2) < 1e-6).mean() > 0.95


def test_a_turned_image_has_turned_boundaries() -> None:
    strength, orientation = crisp_boundaries(np.ascontiguousarray(two_textures().transpose(1, 0, 2)))
    assert np.abs(strength[:, 8:-8].argmax(axis=0) - 59.5).max() <= 2
    assert (orientation[59:61, 8:-8] == 0).mean() > 0.95


def test_the_seed_decides() -> None:
    image = two_textures()
    first, again, other = (crisp_boundaries(image, seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_regions_of_two_textures() -> None:
    found = regions(*crisp_boundaries(two_textures()), 0.2)
    assert found.dtype == np.int32 and found.max() == 1
    right = np.broadcast_to(np.arange(120) >= 60, found.shape)
    assert ((found == found[0, -1]) == right).mean() > 0.98


def test_the_whole_resolution_is_finer() -> None:
    half, whole = (crisp_boundaries(two_textures(), scale=scale)[0][48] for scale in (2, 1))
    assert (whole > 0.5 * whole.max()).sum() < (half > 0.5 * half.max()).sum()


@pytest.mark.parametrize("shape", [(16, 16, 3), (17, 41, 3)])
def test_small_and_blank_images_are_taken(shape: tuple[int, int, int]) -> None:
    strength, orientation = crisp_boundaries(np.full(shape, 90, np.uint8))
    assert strength.shape == shape[:2] and np.isfinite(strength).all() and np.isfinite(orientation).all()


@pytest.mark.parametrize(
    "image",
    [np.zeros((20, 20), np.uint8), np.zeros((20, 20, 4), np.uint8), np.zeros((20, 20, 3)), np.zeros((15, 20, 3), "u1")],
)
def test_other_arrays_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        crisp_boundaries(image)


def test_gradients_by_hand() -> None:
    """A step of height 1 under a derivative of norm 1 gives half, divided by the root of the eigenvalue."""
    step = np.broadcast_to(np.arange(20) >= 10, (20, 20)).astype(np.float32)
    vectors = np.stack([np.ones((20, 20), np.float32), 5 * step], axis=2)
    found = oriented_gradients(np.array([0, 0.25]), vectors)
    # The filter's centre weighs nothing, so both sides of the step get all of one half.
    np.testing.assert_allclose(found[4, 10, 9:11], 0.5 / np.sqrt(0.25), rtol=1e-5)
    np.testing.assert_allclose(found[0, 10, 9:11], 0, atol=1e-6)
    np.testing.assert_allclose(found[2, 10, 9:11], np.cos(np.pi / 4), rtol=1e-5)
    np.testing.assert_allclose(found[:, :, :5], 0, atol=1e-6)


def test_a_slanting_step_is_strongest_along_its_direction() -> None:
    y, x = np.indices((30, 30))
    step = (y > x).astype(np.float32)  # runs down to the right
    found = oriented_gradients(np.ones(2), np.stack([step, step], axis=2))
    assert found[:, 15, 15].argmax() == 2


def test_boundaries_along_the_border_are_suppressed_there() -> None:
    weights = border_weights((100, 120))
    assert weights[0, 0, 60] == 0 and weights[4, 50, 0] == pytest.approx(0, abs=1e-6)
    assert weights[4, 0, 60] == pytest.approx(1) and weights[0, 50, 0] == 1
    np.testing.assert_array_equal(weights[:, 10:-10, 10:-10], 1)
    np.testing.assert_allclose(weights[0, 1, 60], 1 / 9, rtol=1e-5)


def test_thinning_keeps_the_ridge() -> None:
    strength = np.broadcast_to(np.exp(-((np.arange(21) - 10.0) ** 2) / 8), (15, 21))
    found = thin(strength, np.full(strength.shape, np.pi / 2))
    np.testing.assert_array_equal(np.flatnonzero(found[7]), [10])
    along = thin(strength, np.zeros(strength.shape))
    assert not along.any()  # nothing rises or falls that way


def test_of_a_plateau_one_side_stays() -> None:
    strength = np.broadcast_to(np.isin(np.arange(21), [9, 10, 11]), (15, 21)).astype(np.float32)
    for direction in (np.pi / 2, -np.pi / 2):
        assert (np.count_nonzero(thin(strength, np.full(strength.shape, direction)), axis=1) == 1).all()


def wall(direction: float) -> tuple[np.ndarray, np.ndarray]:
    """A strong wall in the middle of a weaker slope; every pixel claims one direction."""
    columns = np.exp(-((np.arange(40) - 20.0) ** 2) / 4)
    return np.broadcast_to(columns, (40, 40)), np.full((40, 40), direction)


def test_regions_lie_on_either_side_of_a_wall() -> None:
    found = regions(*wall(0), 0.5)
    assert found.max() == 1
    np.testing.assert_array_equal(found[:, :19], found[0, 0])
    np.testing.assert_array_equal(found[:, 22:], found[0, -1])


@pytest.mark.parametrize("transposed", [False, True])
def test_a_wall_counts_only_in_its_own_direction(transposed: bool) -> None:
    for direction, count in ((np.pi / 2, 2), (0.0, 1)):
        strength, angles = wall(np.pi / 2 - direction if transposed else direction)
        found = regions(strength.T if transposed else strength, angles, 0.5, oriented=True)
        assert found.max() + 1 == count


def test_a_slanting_wall_counts_in_its_direction() -> None:
    y, x = np.indices((40, 40))
    strength = np.exp(-((y - x) ** 2) / 4)
    assert regions(strength, np.full(strength.shape, np.pi / 4), 0.3, oriented=True).max() == 1
    assert regions(strength, np.full(strength.shape, 3 * np.pi / 4), 0.3, oriented=True).max() == 0


def test_regions_are_connected_nested_and_numbered_without_gaps() -> None:
    rng = np.random.default_rng(0)
    merged = hierarchy(rng.random((30, 40)), rng.random((30, 40)) * np.pi)
    fine, coarse = cut(merged, 0.6), cut(merged, 0.7)
    assert fine.max() > coarse.max() > 0
    for found in (fine, coarse):
        np.testing.assert_array_equal(np.unique(found), np.arange(found.max() + 1))
        assert all(label(found == number)[1] == 1 for number in range(found.max() + 1))
    assert len(np.unique(np.stack([fine.ravel(), coarse.ravel()]), axis=1).T) == fine.max() + 1
    assert cut(merged, 1).max() == 0
