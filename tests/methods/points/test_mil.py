import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from wsss_lightning.methods.points.mil import global_logits, global_softmax, pixel_logits, pixel_softmax

# exp S and exp S̄ of one image; eq. 1 is 1/2, 3/4, 1/3, 2/3 per pixel, eq. 2 is 6 / (6 + 4).
FOREGROUND = torch.tensor([[[1.0, 3.0], [2.0, 6.0]]], dtype=torch.float64).log()
BACKGROUND = torch.tensor([[[1.0, 1.0], [4.0, 3.0]]], dtype=torch.float64).log()
POOLINGS = (pixel_softmax, global_softmax)


def random_maps(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    maps = torch.randn((2, *shape), generator=generator, dtype=torch.float64)
    return maps[0], maps[1]


def loop_over_equation_1(foreground: Tensor, background: Tensor) -> list[float]:
    pairs = zip(foreground.flatten(1).tolist(), background.flatten(1).tolist(), strict=True)
    return [max(math.exp(s) / (math.exp(s) + math.exp(t)) for s, t in zip(f, b, strict=True)) for f, b in pairs]


def loop_over_equation_2(foreground: Tensor, background: Tensor) -> list[float]:
    probs = []
    for f, b in zip(foreground, background, strict=True):
        best = max(math.exp(s) for s in f.flatten().tolist())
        probs.append(best / (best + max(math.exp(s) for s in b.flatten().tolist())))
    return probs


def test_equation_1_by_hand() -> None:
    assert pixel_softmax(FOREGROUND, BACKGROUND).tolist() == pytest.approx([3 / 4])


def test_equation_2_by_hand() -> None:
    assert global_softmax(FOREGROUND, BACKGROUND).tolist() == pytest.approx([3 / 5])


def test_equation_1_sends_its_gradient_through_one_location() -> None:
    foreground, background = FOREGROUND.clone().requires_grad_(), BACKGROUND.clone().requires_grad_()
    pixel_softmax(foreground, background).sum().backward()
    expected = torch.tensor([[[0, 3 / 16], [0, 0]]], dtype=torch.float64)
    torch.testing.assert_close(foreground.grad, expected)
    torch.testing.assert_close(background.grad, -expected)


def test_equation_2_sends_its_gradient_through_two_locations() -> None:
    foreground, background = FOREGROUND.clone().requires_grad_(), BACKGROUND.clone().requires_grad_()
    global_softmax(foreground, background).sum().backward()
    torch.testing.assert_close(foreground.grad, torch.tensor([[[0, 0], [0, 6 / 25]]], dtype=torch.float64))
    torch.testing.assert_close(background.grad, torch.tensor([[[0, 0], [-6 / 25, 0]]], dtype=torch.float64))


@pytest.mark.parametrize("pool", POOLINGS)
def test_ties_still_send_the_gradient_through_one_location_per_map(pool) -> None:
    maps = torch.zeros(2, 3, 4, 5, requires_grad=True)
    pool(maps[0], maps[1]).sum().backward()
    assert maps.grad.count_nonzero(dim=(2, 3)).tolist() == [[1, 1, 1], [1, 1, 1]]


def test_equation_1_agrees_with_a_loop() -> None:
    maps = random_maps(5, 6, 7)
    assert pixel_softmax(*maps).tolist() == pytest.approx(loop_over_equation_1(*maps))


def test_equation_2_agrees_with_a_loop() -> None:
    maps = random_maps(5, 6, 7)
    assert global_softmax(*maps).tolist() == pytest.approx(loop_over_equation_2(*maps))


@pytest.mark.parametrize("pool", POOLINGS)
def test_gradcheck(pool) -> None:
    foreground, background = random_maps(2, 3, 4)
    assert torch.autograd.gradcheck(pool, (foreground.requires_grad_(), background.requires_grad_()))


@pytest.mark.parametrize("pool", POOLINGS)
def test_a_constant_added_to_both_maps_changes_nothing(pool) -> None:
    foreground, background = random_maps(4, 5, 3)
    torch.testing.assert_close(pool(foreground - 8.5, background - 8.5), pool(foreground, background))
    assert not torch.allclose(pool(foreground - 8.5, background), pool(foreground, background))


def test_equation_1_is_never_below_equation_2() -> None:
    maps = random_maps(50, 4, 4)
    assert (pixel_softmax(*maps) >= global_softmax(*maps)).all()


@pytest.mark.parametrize("pool", POOLINGS)
@pytest.mark.parametrize("offset", [-1000.0, 1000.0])
def test_scores_whose_exponential_overflows_or_vanishes(pool, offset: float) -> None:
    foreground, background = torch.full((1, 2, 2), offset), torch.full((1, 2, 2), offset - 1)
    assert pool(foreground, background).item() == pytest.approx(math.e / (1 + math.e))


@pytest.mark.parametrize("logits, pool", [(pixel_logits, pixel_softmax), (global_logits, global_softmax)])
def test_logits_are_the_log_odds(logits, pool) -> None:
    maps = random_maps(4, 3, 3)
    torch.testing.assert_close(logits(*maps), torch.logit(pool(*maps)))


def test_a_saturated_wrong_answer_keeps_its_gradient_through_the_logits() -> None:
    foreground = torch.full((1, 2, 2), 100.0, requires_grad=True)
    binary_cross_entropy_with_logits(global_logits(foreground, torch.zeros(1, 2, 2)), torch.zeros(1)).backward()
    assert foreground.grad.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("pool", POOLINGS)
@pytest.mark.parametrize("shapes", [((2, 3, 4), (2, 4, 3)), ((3, 4), (3, 4)), ((2, 0, 4), (2, 0, 4))])
def test_other_shapes_are_refused(pool, shapes) -> None:
    with pytest.raises(ValueError, match=r"\(N, H, W\)"):
        pool(torch.zeros(shapes[0]), torch.zeros(shapes[1]))
