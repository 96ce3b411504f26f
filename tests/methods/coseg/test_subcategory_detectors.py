import numpy as np
import pytest

from wsss_lightning.methods.coseg.subcategory_detectors import Detectors, fit_detector

SETTINGS = Detectors(cost=0.02, negatives=5, windows=5, threshold=-1.0, overlap=0.5)


def windows(count: int, mean: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 0.3, (count, 62)).astype(np.float32)


def test_it_tells_its_windows_from_others() -> None:
    fitted = fit_detector(windows(20, 0.6, 0), windows(300, 0, 1), (1, 2), SETTINGS, seed=0)
    assert (windows(50, 0.6, 2) @ fitted.weights + fitted.offset).min() > 0
    assert (windows(50, 0, 3) @ fitted.weights + fitted.offset).max() < 0


def test_hard_negatives_beyond_the_first_are_learned() -> None:
    rare = windows(40, 0.45, 4)
    negatives = np.concatenate([windows(6000, -0.3, 5), rare])
    fitted = fit_detector(windows(30, 0.6, 6), negatives, (1, 2), SETTINGS, seed=0)
    assert np.quantile(rare @ fitted.weights + fitted.offset, 0.9) < 0


@pytest.mark.parametrize("seed", [0, 1])
def test_the_seed_decides(seed: int) -> None:
    one, other = (fit_detector(windows(9, 1, 0), windows(30, 0, 1), (1, 2), SETTINGS, seed=seed) for _ in range(2))
    np.testing.assert_array_equal(one.weights, other.weights)
