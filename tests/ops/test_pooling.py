import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from wsss_lightning.ops.pooling import log_sum_exp_pool, pool_log_sum_exp, pool_maximum, pool_mean

# exp(s) are 1, 3, 2, 6: with r = 1 the pooled value is log(12 / 4).
SCORES = torch.tensor([[1.0, 3.0], [2.0, 6.0]], dtype=torch.float64).log()


def maps(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def loop(scores: Tensor, sharpness: float) -> float:
    values = [math.exp(sharpness * s) for s in scores.flatten().tolist()]
    return math.log(sum(values) / len(values)) / sharpness


def test_by_hand() -> None:
    assert log_sum_exp_pool(SCORES, 1.0).item() == pytest.approx(math.log(3))
    assert log_sum_exp_pool(SCORES, 2.0).item() == pytest.approx(math.log(50 / 4) / 2)


def test_a_mask_chooses_what_counts() -> None:
    mask = torch.tensor([[True, False], [True, False]])
    assert log_sum_exp_pool(SCORES, 1.0, mask).item() == pytest.approx(math.log(3 / 2))


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 5.0, 50.0])
def test_equals_a_loop(sharpness: float) -> None:
    scores = maps(4, 5)
    assert log_sum_exp_pool(scores, sharpness).item() == pytest.approx(loop(scores, sharpness))


def test_lies_between_mean_and_maximum_and_grows_with_sharpness() -> None:
    scores = maps(2, 3, 4, 5)
    pooled = [log_sum_exp_pool(scores, sharpness) for sharpness in (1e-4, 0.5, 5.0, 500.0)]
    assert all((low < high).all() for low, high in pairwise(pooled))
    torch.testing.assert_close(pooled[0], scores.mean(dim=(-2, -1)), atol=1e-3, rtol=0)
    torch.testing.assert_close(pooled[-1], scores.amax(dim=(-2, -1)), atol=1e-2, rtol=0)


def test_commutes_with_shifts_and_stays_finite() -> None:
    scores = maps(3, 4, 5)
    torch.testing.assert_close(log_sum_exp_pool(scores + 1e4, 5.0), log_sum_exp_pool(scores, 5.0) + 1e4)


def test_an_empty_mask_has_no_value_and_no_gradient() -> None:
    scores = maps(2, 2, 2).requires_grad_()
    mask = torch.tensor([True, False]).view(2, 1, 1)
    pooled = log_sum_exp_pool(scores, 5.0, mask)
    assert pooled[0].isfinite() and pooled[1].isnan()
    pooled[0].backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None and scores.grad.isfinite().all() and not scores.grad[1].any()


def test_gradient() -> None:
    mask = torch.rand(3, 4, generator=torch.Generator().manual_seed(0)) > 0.4
    assert torch.autograd.gradcheck(lambda s: log_sum_exp_pool(s, 5.0, mask), maps(2, 3, 4).requires_grad_())


def test_sharpness_must_be_positive() -> None:
    with pytest.raises(ValueError, match="must be positive, not 0"):
        log_sum_exp_pool(SCORES, 0)


@pytest.mark.parametrize("value", [1e-20, 1e-8, 1e-3, 0.5, 1.0])
def test_pooling_keeps_the_digits_of_small_scores(value: float) -> None:
    scores = value * torch.rand(37, 53, generator=torch.Generator().manual_seed(0))
    expected = log_sum_exp_pool(scores.double(), 5.0) if value > 1e-6 else scores.double().mean()
    found = log_sum_exp_pool(scores, 5.0)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    mask = torch.rand(37, 53, generator=torch.Generator().manual_seed(1)) > 0.5
    assert log_sum_exp_pool(scores, 5.0, mask).item() == pytest.approx(
        log_sum_exp_pool(scores[mask][None], 5.0).item(), rel=1e-5
    )


def test_patches_are_pooled_as_eq_1() -> None:
    scores = torch.randn(3, 9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(pool_log_sum_exp(scores, 1.0), scores.exp().sum(dim=1).log())
    assert torch.allclose(pool_log_sum_exp(scores, 2.5), (2.5 * scores).exp().sum(dim=1).log() / 2.5)
    huge = torch.tensor([[1e4, 0.0], [1e4, 0.0]])
    assert torch.allclose(pool_log_sum_exp(huge, 1.0), torch.tensor([1e4, 0.0]) + math.log(2))


@pytest.mark.parametrize(("sharpness", "end"), [(1e-4, pool_mean), (1e4, pool_maximum)])
def test_between_the_mean_and_the_maximum(sharpness: float, end: Callable[[Tensor], Tensor]) -> None:
    """In the softmax over columns, where log N / r cancels."""
    scores = torch.randn(5, 9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pooled = pool_log_sum_exp(scores, sharpness).softmax(dim=1)
    assert torch.allclose(pooled, end(scores).softmax(dim=1), atol=1e-3)


def test_sum_and_mean_differ_by_what_the_softmax_does_not_see() -> None:
    scores = torch.randn(4, 9, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    means = log_sum_exp_pool(scores.transpose(1, 2)[..., None], 3.0)
    assert torch.allclose(pool_log_sum_exp(scores, 3.0).softmax(dim=1), means.softmax(dim=1))


def test_two_equal_patches_get_the_same_gradient_and_of_the_maximum_one() -> None:
    for pool, expected in ((partial(pool_log_sum_exp, sharpness=1.0), [0.5, 0.5]), (pool_maximum, [1.0, 0.0])):
        scores = torch.ones(2, 1, requires_grad=True)
        pool(scores).sum().backward()  # type: ignore[no-untyped-call]
        assert scores.grad is not None and sorted(scores.grad.flatten().tolist(), reverse=True) == expected


Pool = Callable[[Tensor], Tensor]


def least_loss(pool: Pool, *, showing: int, patches: int = 9) -> float:
    """Of images with and without the class, F in [-1, 1]: what shows it has (-1, 1), all else a pair on a grid."""
    grid = torch.linspace(-1, 1, 201, dtype=torch.float64)
    others = torch.cartesian_prod(grid, grid)[:, None, :]
    shown = torch.tensor([-1.0, 1.0], dtype=torch.float64).expand(len(others), showing, 2)
    positive = pool(torch.cat([shown, others.expand(-1, patches - showing, 2)], dim=1))
    negative = pool(others.expand(-1, patches, 2))
    losses = -positive.log_softmax(dim=-1)[:, 1] - negative.log_softmax(dim=-1)[:, 0]
    return float(losses.min() / 2)


def test_bounded_scores_let_log_sum_exp_overtake_the_maximum_only_beyond_half_of_the_patches() -> None:
    """patches eqs 1 and 2: F passes tanh. One patch of nine that shows the class is worth .561 of .693 to LSE."""
    summed = [least_loss(partial(pool_log_sum_exp, sharpness=1.0), showing=k) for k in range(1, 9)]
    highest = [least_loss(pool_maximum, showing=k) for k in range(1, 9)]
    assert summed[0] == pytest.approx(0.561, abs=5e-4)
    assert highest == pytest.approx([0.313] * 8, abs=5e-4)
    assert [s < h for s, h in zip(summed, highest, strict=True)] == [False] * 5 + [True] * 3
