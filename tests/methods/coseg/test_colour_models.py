import numpy as np
import pytest
from scipy.stats import multivariate_normal

from wsss_lightning.methods.coseg.colour_models import draw_colours, fit_colours, fit_models, make_palette


def test_one_gaussian_is_the_sample_mean_and_covariance() -> None:
    colours = np.random.default_rng(0).random((300, 3)) * np.array([0.2, 0.5, 1])
    model = fit_colours(colours, components=1, seed=0)
    normal = multivariate_normal(colours.mean(axis=0), np.cov(colours.T, bias=True) + 1e-4 * np.eye(3))
    np.testing.assert_allclose(model.score_samples(colours[:5]), normal.logpdf(colours[:5]), rtol=1e-6)


def test_two_colours_are_told_apart() -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, 15:] = (240, 120, 10)
    palette, right = make_palette(image), np.arange(30) >= 15
    mask = np.broadcast_to(right, (20, 30))
    models = fit_models(palette.of(mask), palette.of(~mask), components=2, seed=0)
    assert models is not None
    costs = models.costs(palette)
    assert costs.shape == (2, 20, 30)
    assert ((costs[0] < costs[1]) == mask).all()


def test_a_palette_keeps_every_colour_within_its_step() -> None:
    image = np.random.default_rng(1).integers(0, 256, (9, 7, 3)).astype(np.uint8)
    palette = make_palette(image)
    np.testing.assert_allclose(palette.colours[palette.codes], image / 255, atol=5 / 255)
    assert palette.colours.min() >= 0 and palette.colours.max() <= 1


def test_too_few_colours() -> None:
    assert fit_models(np.zeros((4, 3)), np.ones((90, 3)), components=5, seed=0) is None
    with pytest.raises(ValueError):
        fit_colours(np.zeros((4, 3)), components=5, seed=0)


def test_drawing_takes_each_colour_once_at_most() -> None:
    colours = np.arange(30.0).reshape(10, 3)
    drawn = draw_colours(colours, 4, np.random.default_rng(0))
    assert len(np.unique(drawn[:, 0])) == 4
    assert draw_colours(colours, 10, np.random.default_rng(0)) is colours
