import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from wsss_lightning.methods.priors.losses import class_mask_loss, foreground_loss, tag_loss
from wsss_lightning.ops.pooling import log_sum_exp_pool

# Two pixels, three labels: background, a present and an absent class.
PROBS = torch.tensor([[[[0.5, 0.2]], [[0.3, 0.7]], [[0.2, 0.1]]]], dtype=torch.float64)
PRESENT = torch.tensor([[True, True, False]])


def pool(*values: float) -> float:
    return math.log(sum(math.exp(5 * value) for value in values) / len(values)) / 5


def probabilities(n: int, labels: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(11)
    return torch.randn(n, labels, height, width, generator=generator, dtype=torch.float64).softmax(dim=1)


def random_mask(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) > 0.5


def test_equations_10_and_11_by_hand() -> None:
    expected = -(math.log(pool(0.5, 0.2)) + math.log(pool(0.3, 0.7))) / 2 - math.log(1 - pool(0.2, 0.1))
    assert tag_loss(PROBS, PRESENT).item() == pytest.approx(expected)


def test_equations_12_to_14_by_hand() -> None:
    foreground = torch.tensor([[[False, True]]])
    absent = -(math.log(0.8) + math.log(0.9)) / 2
    assert foreground_loss(PROBS, PRESENT, foreground).item() == pytest.approx(-math.log(0.7) - math.log(0.5) + absent)


def test_equations_15_and_16_by_hand() -> None:
    masks = torch.tensor([[[[True, False]], [[True, True]], [[False, False]]]])
    absent = -(math.log(0.8) + math.log(0.9)) / 2
    expected = -(math.log(0.5) + math.log(pool(0.3, 0.7))) / 2 + absent
    assert class_mask_loss(PROBS, PRESENT, masks).item() == pytest.approx(expected)


def test_full_masks_give_the_tag_loss_of_the_present_labels() -> None:
    probs, present = probabilities(2, 4, 3, 5), torch.tensor([[True, True, False, True], [True, False, True, False]])
    everything = torch.ones_like(probs, dtype=torch.bool)
    pooled = log_sum_exp_pool(probs, 5.0)
    absent_by_tag = torch.stack([-(1 - p[~seen]).log().mean() for p, seen in zip(pooled, present, strict=True)])
    absent_by_pixel = torch.stack([-(1 - p[~seen]).log().mean() for p, seen in zip(probs, present, strict=True)])
    difference = class_mask_loss(probs, present, everything) - tag_loss(probs, present)
    torch.testing.assert_close(difference, (absent_by_pixel - absent_by_tag).mean())
    constant = probs.mean(dim=(2, 3), keepdim=True).expand_as(probs)
    torch.testing.assert_close(class_mask_loss(constant, present, everything), tag_loss(constant, present))


def test_one_class_in_both_mask_losses() -> None:
    """With one class present, its mask the foreground and background's the rest, eq 15 halves what eq 12 adds."""
    probs, present = probabilities(1, 2, 4, 4), torch.tensor([[True, True]])
    mask = random_mask(1, 4, 4)
    masks = torch.stack([~mask, mask], dim=1)
    torch.testing.assert_close(foreground_loss(probs, present, mask), 2 * class_mask_loss(probs, present, masks))


def test_a_batch_is_the_mean_of_its_images() -> None:
    probs, present = probabilities(3, 4, 3, 3), torch.tensor([[True, True, False, False]] * 3)
    mask, masks = random_mask(3, 3, 3), random_mask(3, 4, 3, 3)
    losses: list[Callable[[slice], Tensor]] = [
        lambda s: tag_loss(probs[s], present[s]),
        lambda s: foreground_loss(probs[s], present[s], mask[s]),
        lambda s: class_mask_loss(probs[s], present[s], masks[s]),
    ]
    for loss in losses:
        singles = torch.stack([loss(slice(i, i + 1)) for i in range(3)])
        torch.testing.assert_close(loss(slice(None)), singles.mean())


def test_moving_probability_to_a_present_label_lowers_each_loss() -> None:
    better = PROBS + torch.tensor([0.0, 0.05, -0.05], dtype=torch.float64).view(1, 3, 1, 1)
    mask, masks = torch.tensor([[[False, True]]]), torch.ones(1, 3, 1, 2, dtype=torch.bool)
    assert tag_loss(better, PRESENT) < tag_loss(PROBS, PRESENT)
    assert foreground_loss(better, PRESENT, mask) < foreground_loss(PROBS, PRESENT, mask)
    assert class_mask_loss(better, PRESENT, masks) < class_mask_loss(PROBS, PRESENT, masks)


@pytest.mark.parametrize("empty", [True, False])
def test_an_empty_or_full_foreground_drops_the_term_that_pools_over_nothing(empty: bool) -> None:
    foreground = torch.full((1, 1, 2), not empty)
    absent = -(math.log(0.8) + math.log(0.9)) / 2
    kept = -math.log(pool(0.5, 0.2)) if empty else -math.log(pool(0.3, 0.7))
    assert foreground_loss(PROBS, PRESENT, foreground).item() == pytest.approx(kept + absent)


def test_an_empty_class_mask_is_left_out_of_the_mean() -> None:
    masks = torch.tensor([[[[True, True]], [[False, False]], [[True, True]]]])
    absent = -(math.log(0.8) + math.log(0.9)) / 2
    assert class_mask_loss(PROBS, PRESENT, masks).item() == pytest.approx(-math.log(pool(0.5, 0.2)) + absent)


def test_only_background_or_nothing_absent() -> None:
    only, everything = torch.tensor([[True, False, False]]), torch.tensor([[True, True, True]])
    mask, masks = torch.tensor([[[False, True]]]), torch.ones(1, 3, 1, 2, dtype=torch.bool)
    for present in (only, everything):
        losses = tag_loss(PROBS, present), foreground_loss(PROBS, present, mask), class_mask_loss(PROBS, present, masks)
        assert all(loss.isfinite() for loss in losses)
    assert foreground_loss(PROBS, everything, mask).item() == pytest.approx(
        -(math.log(0.7) + math.log(0.1)) / 2 - math.log(0.5)
    )


def test_a_certain_and_wrong_network_has_a_finite_loss_and_gradient() -> None:
    probs = torch.tensor([[[[0.0]], [[0.0]], [[1.0]]]], requires_grad=True)
    loss = class_mask_loss(probs, PRESENT, torch.ones(1, 3, 1, 1, dtype=torch.bool))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.isfinite() and probs.grad is not None and probs.grad.isfinite().all()


def test_gradients() -> None:
    probs = probabilities(2, 3, 2, 3).requires_grad_()
    present = torch.tensor([[True, True, False], [True, False, True]])
    mask, masks = random_mask(2, 2, 3), random_mask(2, 3, 2, 3)
    masks[0, 1] = False
    assert torch.autograd.gradcheck(lambda p: tag_loss(p, present), probs)
    assert torch.autograd.gradcheck(lambda p: foreground_loss(p, present, mask), probs)
    assert torch.autograd.gradcheck(lambda p: class_mask_loss(p, present, masks), probs)


@pytest.mark.parametrize("loss", ["foreground", "classes"])
def test_a_certain_and_wrong_network_is_still_corrected(loss: str) -> None:
    """Absent label 2 at a logit of 60 above the rest: 1 - S_2 is 0 in float32, and the sum of the others is not."""
    logits = torch.zeros(1, 3, 4, 4)
    logits[:, 2] = 60
    logits.requires_grad_()
    probs, present = logits.softmax(dim=1), torch.tensor([[True, True, False]])
    half = torch.zeros(1, 4, 4, dtype=torch.bool)
    half[:, :2] = True
    masks = torch.stack([~half, half, half], dim=1)
    value = foreground_loss(probs, present, half) if loss == "foreground" else class_mask_loss(probs, present, masks)
    (gradient,) = torch.autograd.grad(value, logits)
    assert value.item() > 60 and gradient.isfinite().all()
    # Of every pixel: -log S pulls the present label of its mask up, -log(1 - S_2) the absent one down.
    assert (gradient[:, 2] > 0.9 / 16).all()
    assert (gradient[:, 1, :2] < 0).all() and (gradient[:, 0, 2:] < 0).all()
