import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.methods.patches.network import PatchNetwork, patch_size, probability

LSE1, LSE2 = ((8, 3, 5), (4, 4)), ((6, 3, 7), (8, 2))  # Table 1: kernels, pools
PAPER = (40, 80, 160, 320)


def network(
    kernels: tuple[int, ...],
    pools: tuple[int, ...],
    *,
    filters: tuple[int, ...] = (4, 5, 6, 7),
    bounded: bool = True,
    seed: int = 0,
) -> PatchNetwork:
    generator = torch.Generator().manual_seed(seed)
    made = PatchNetwork(filters=filters, kernels=kernels, pools=pools, bounded=bounded, generator=generator)
    return made.double().eval()


def random_image(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def one_by_one(made: PatchNetwork, images: Tensor) -> Tensor:
    """F of every pixel from its own patch, cut from an image that numpy has padded."""
    width = images.shape[3]
    before, after = (made.size - 1) // 2, made.size // 2
    padded = torch.from_numpy(np.pad(images.numpy(), ((0, 0), (0, 0), *[(before, after)] * 2), mode="symmetric"))
    rows = padded.unfold(2, made.size, 1).unfold(3, made.size, 1).permute(2, 0, 3, 1, 4, 5)  # (H, N, W, 3, size, size)
    return torch.stack([made(row.flatten(0, 1)).unflatten(0, (-1, width)) for row in rows], dim=1).movedim(-1, 1)


@pytest.mark.parametrize(("table", "size", "parameters"), [(LSE1, 95, 408_922), (LSE2, 133, 712_762)])
def test_table_1(table: tuple[tuple[int, ...], tuple[int, ...]], size: int, parameters: int) -> None:
    """The paper prints 886,872 for LSE2, which does not follow from its row."""
    made = network(*table, filters=PAPER)
    assert made.size == patch_size(*table) == size
    assert sum(parameter.numel() for parameter in made.parameters()) == parameters


@torch.inference_mode()
@pytest.mark.parametrize("table", [LSE1, LSE2])
def test_dense_form_of_the_paper_s_networks(table: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    made, image = network(*table, filters=PAPER), random_image(1, 3, 2, 5)
    found, expected = made.dense(image), one_by_one(made, image)
    assert found.std() > 1e-4
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


SHAPES = [
    ((4, 3, 5), (3, 2), (13, 20)),  # 39 px
    ((4, 3, 5), (3, 2), (16, 9)),
    ((3, 3, 4), (2, 2), (13, 22)),  # 22 px
    ((5, 4), (3,), (9, 10)),
    ((2, 3, 2, 3), (2, 3, 2), (7, 13)),
    ((8, 3, 5), (4, 4), (17, 2)),
    ((6, 3, 7), (8, 2), (1, 17)),
]


@torch.inference_mode()
@pytest.mark.parametrize(("kernels", "pools", "size"), SHAPES)
def test_dense_form_is_every_patch_by_itself(
    kernels: tuple[int, ...], pools: tuple[int, ...], size: tuple[int, int]
) -> None:
    made = network(kernels, pools, filters=(4, 5, 6, 7, 8)[: len(kernels) + 1], bounded=False)
    images = random_image(2, 3, *size)
    found = made.dense(images)
    assert found.shape == (2, 2, *size) and found.std(dim=(2, 3)).min() > 1e-4
    torch.testing.assert_close(found, one_by_one(made, images), rtol=0, atol=1e-10)
    torch.testing.assert_close(made.dilated(images), found, rtol=0, atol=1e-10)


@torch.inference_mode()
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2)])
def test_images_much_smaller_than_a_patch(size: tuple[int, int]) -> None:
    made, images = network((4, 3, 5), (3, 2)), random_image(1, 3, *size)
    torch.testing.assert_close(made.dense(images), one_by_one(made, images), rtol=0, atol=1e-10)


@torch.inference_mode()
@pytest.mark.parametrize(("kernels", "above", "below"), [((2, 3, 3), 8, 8), ((3, 3, 3), 8, 9), ((3, 3, 4), 10, 11)])
def test_where_the_centre_of_a_patch_is(kernels: tuple[int, ...], above: int, below: int) -> None:
    """Patches of 17, 18 and 22 px: so many pixels above and below, left and right of the centre."""
    made, image = network(kernels, (2, 2)), random_image(1, 3, 60, 60)
    assert made.size == above + 1 + below
    before, changed = made.dense(image), image.clone()
    changed[..., 30, 30] += 100
    moved = (made.dense(changed) != before)[0].any(dim=0).nonzero()
    assert moved.amin(dim=0).tolist() == [30 - below] * 2 and moved.amax(dim=0).tolist() == [30 + above] * 2


@torch.inference_mode()
def test_equation_2() -> None:
    made, patches = network((4, 3, 5), (3, 2)), random_image(3, 3, 39, 39)
    first, second, third = made.convolutions
    maps = torch.tanh(F.max_pool2d(first(patches), 3))
    maps = torch.tanh(F.max_pool2d(second(maps), 2))
    hidden = torch.tanh(
        made.hidden.weight[..., 0, 0] @ torch.tanh(third(maps))[..., 0, 0].T + made.hidden.bias[:, None]
    )
    scores = made.scores.weight[..., 0, 0] @ hidden + made.scores.bias[:, None]
    torch.testing.assert_close(made(patches), torch.tanh(scores).T)
    made.bounded = False
    torch.testing.assert_close(made(patches), scores.T)


@pytest.mark.parametrize("kernels", [(8, 3, 5), (6, 3, 7)])
def test_initial_weights_are_uniform_within_the_fan_in(kernels: tuple[int, ...]) -> None:
    made = network(kernels, (4, 4), filters=PAPER)
    for layer in (*made.convolutions, made.hidden, made.scores):
        bound = 1 / math.sqrt(layer.in_channels * layer.kernel_size[0] ** 2)
        drawn = torch.cat([layer.weight.flatten(), layer.bias])
        assert 0.9 * bound < drawn.abs().max() <= bound
        assert drawn.var().item() == pytest.approx(bound**2 / 3, rel=0.15)
        assert abs(drawn.mean().item()) < 0.1 * bound


def test_initial_weights_follow_the_generator_alone() -> None:
    first = network(*LSE1).state_dict()
    torch.manual_seed(5)
    again, other = network(*LSE1).state_dict(), network(*LSE1, seed=1).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def test_one_patch_s_probability_is_bounded() -> None:
    """Between 1 / (1 + e^2) and its complement, "[0.12, 0.88]", for scores between -1 and 1."""
    ends = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [0.3, 0.3]])
    expected = [1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2)), 0.5]
    assert probability(ends).tolist() == pytest.approx(expected)
    made = network((4, 3, 5), (3, 2))
    with torch.no_grad():
        made.scores.bias.copy_(torch.tensor([100.0, -100.0]))
        assert probability(made(random_image(2, 3, 39, 39))).tolist() == pytest.approx([expected[0]] * 2)


def test_probability_is_a_softmax() -> None:
    scores = random_image(2, 2, 4, 5) * 9
    torch.testing.assert_close(probability(scores), scores.softmax(dim=1)[:, 0])
    torch.testing.assert_close(probability(scores[..., 0, 0]), scores[..., 0, 0].softmax(dim=1)[:, 0])


def test_patches_of_another_size() -> None:
    with pytest.raises(ValueError, match=r"patches are 39 x 39 px, not \(40, 39\)"):
        network((4, 3, 5), (3, 2))(random_image(1, 3, 40, 39))


@pytest.mark.parametrize(("kernels", "pools"), [((4, 3, 5), (3, 2, 2)), ((4, 3), (3, 2)), ((3,), ()), ((4, 3), (2,))])
def test_lengths_that_do_not_fit_together(kernels: tuple[int, ...], pools: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="n pools, at least one"):
        network(kernels, pools)
