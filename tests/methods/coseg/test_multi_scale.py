import numpy as np
import pytest
import torch
from torch import Tensor

from wsss_lightning.data.samples import IMAGENET_MEAN, IMAGENET_STD, Normalisation, resize_image
from wsss_lightning.methods.coseg.multi_scale import (
    constrained_labels,
    grey_levels,
    mean_at_size,
    normalised_at,
    read_maps,
    scaled_size,
)


def probabilities(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).softmax(dim=0)


@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [((320, 501), 1.0, (320, 504)), ((100, 60), 0.7, (72, 40)), ((4, 6), 0.7, (8, 8)), ((128, 128), 1.3, (168, 168))],
)
def test_sizes_are_whole_cells_nearest_to_the_scale(
    size: tuple[int, int], scale: float, expected: tuple[int, int]
) -> None:
    assert scaled_size(size, scale, stride=8) == expected
    for edge, found in zip(size, expected, strict=True):
        assert found % 8 == 0 and (abs(found - scale * edge) <= 4 or found == 8)


def test_the_mean_of_maps_of_the_same_size_is_the_plain_mean() -> None:
    maps = [probabilities(2, 3, 4, 5, seed=seed) for seed in range(3)]
    torch.testing.assert_close(mean_at_size(maps, (4, 5)), sum(maps) / 3)


def test_the_mean_stays_a_distribution_whatever_the_sizes() -> None:
    maps = [probabilities(3, 3, 4), probabilities(3, 6, 7, seed=1), probabilities(3, 40, 50, seed=2)]
    mean = read_maps({str(number): each.half() for number, each in enumerate(maps)}, (24, 31))
    assert mean.shape == (3, 24, 31) and (mean >= 0).all()
    torch.testing.assert_close(mean.sum(dim=0), torch.ones(24, 31), atol=1e-3, rtol=0)
    constant = [torch.full((1, 2, n, n), value) for n, value in ((2, 0.2), (5, 0.6))]
    torch.testing.assert_close(mean_at_size(constant, (7, 9)), torch.full((1, 2, 7, 9), 0.4))


@pytest.mark.parametrize("size", [(24, 32), (37, 51), (104, 48)])
def test_a_normalised_image_is_resized_as_its_picture_is(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (37, 51, 3), dtype=np.uint8)
    normalise = Normalisation(IMAGENET_MEAN, IMAGENET_STD)
    levels = grey_levels(normalise(picture)[None], normalise.mean, normalise.std)
    assert np.array_equal(levels[0].permute(1, 2, 0).numpy(), picture)
    resized = normalised_at(levels, size, normalise.mean, normalise.std)
    assert torch.equal(resized[0], normalise(resize_image(picture, size)))


def test_equation_2_by_hand() -> None:
    """Of four labels only the third, of tag 2, and background are possible; background wins what they share."""
    scores = torch.tensor([[[0.1, 0.4, 0.0]], [[0.5, 0.1, 1.0]], [[0.3, 0.2, 0.0]], [[0.1, 0.3, 0.0]]])
    assert constrained_labels(scores, torch.tensor([False, True, False])).tolist() == [[2, 0, 0]]


def test_tags_take_away_and_never_add() -> None:
    scores = probabilities(5, 6, 7)
    assert torch.equal(constrained_labels(scores, torch.ones(4, dtype=torch.bool)), scores.argmax(dim=0))
    assert not constrained_labels(scores, torch.zeros(4, dtype=torch.bool)).any()
    tags = torch.tensor([True, False, False, True])
    assert set(constrained_labels(scores, tags).unique().tolist()) <= {0, 1, 4}
    brute = torch.stack([scores[0], scores[1], scores[4]]).argmax(dim=0)
    assert torch.equal(constrained_labels(scores, tags), torch.tensor([0, 1, 4])[brute])
