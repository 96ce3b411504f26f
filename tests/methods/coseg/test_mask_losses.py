import math

import pytest
import torch
from torch import Tensor

from wsss_lightning.methods.coseg.mask_losses import image_label_loss, joint_loss, labels_in, pixel_loss

# Softmax 1/2, 1/4, 1/4 at one pixel and 1/8, 3/4, 1/8 at the other.
LOGITS = torch.tensor([[[[2.0, 1]], [[1.0, 6]], [[1.0, 1]]]], dtype=torch.float64).log()


def random_logits(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def random_labels(*shape: int, below: int = 3) -> Tensor:
    return torch.randint(below, shape, generator=torch.Generator().manual_seed(1))


def test_equation_1_by_hand_with_the_minus_sign() -> None:
    loss = pixel_loss(LOGITS, torch.tensor([[[2, 1]]]))
    assert loss.item() == pytest.approx((-math.log(1 / 4) - math.log(3 / 4)) / 2)


def test_ignored_pixels_count_nowhere() -> None:
    assert pixel_loss(LOGITS, torch.tensor([[[255, 1]]])).item() == pytest.approx(-math.log(3 / 4))
    assert pixel_loss(LOGITS, torch.full((1, 1, 2), 255)).item() == 0
    logits, labels = random_logits(2, 3, 4, 5), random_labels(2, 4, 5)
    labels[0, :3] = 255
    changed = logits.clone()
    changed[0, :, :3] += random_logits(3, 3, 5).movedim(0, 1)
    torch.testing.assert_close(pixel_loss(changed, labels), pixel_loss(logits, labels))


def test_pixels_of_a_batch_weigh_the_same_whatever_their_image_and_order() -> None:
    logits, labels = random_logits(2, 3, 4, 5), random_labels(2, 4, 5)
    labels[0, 1:] = 255
    known = labels != 255
    each = -logits.log_softmax(dim=1).gather(1, labels.clamp_max(2)[:, None])[:, 0][known]
    torch.testing.assert_close(pixel_loss(logits, labels), each.mean())
    torch.testing.assert_close(pixel_loss(logits.flip(2), labels.flip(1)), each.mean())


def test_equation_3_by_hand_with_the_minus_sign() -> None:
    """Sigmoids 3/4, 1/2 and 1/3, the mean over labels."""
    logits = torch.tensor([[math.log(3), 0, -math.log(2)]], dtype=torch.float64)
    expected = (-math.log(3 / 4) - math.log(1 - 1 / 2) - math.log(1 - 1 / 3)) / 3
    assert image_label_loss(logits, torch.tensor([[True, False, False]])).item() == pytest.approx(expected)


@pytest.mark.parametrize("balance", [0.0, 1.0, 21.0])
def test_equation_4(balance: float) -> None:
    pixels, image = random_logits(2, 3, 2, 2), random_logits(2, 3)
    labels, present = random_labels(2, 2, 2), torch.tensor([[True, True, False], [True, False, True]])
    expected = pixel_loss(pixels, labels) + balance * image_label_loss(image, present)
    torch.testing.assert_close(joint_loss(pixels, image, labels, present, balance=balance), expected)


def test_losses_fall_towards_what_is_right() -> None:
    labels, present = random_labels(1, 4, 4), torch.tensor([[True, False, True]])
    right = torch.nn.functional.one_hot(labels, 3).movedim(-1, 1).double()
    assert pixel_loss(50 * right, labels) < 1e-9 < 1 < pixel_loss(-50 * right, labels)
    assert image_label_loss(50.0 * (2 * present - 1), present) < 1e-9 < 1


def test_gradients() -> None:
    pixels, image = random_logits(2, 3, 2, 3).requires_grad_(), random_logits(2, 3).requires_grad_()
    labels, present = random_labels(2, 2, 3), torch.tensor([[True, True, False], [True, False, True]])
    labels[1, 0] = 255
    assert torch.autograd.gradcheck(lambda p, i: joint_loss(p, i, labels, present, balance=0.7), (pixels, image))


def test_ignored_pixels_get_no_gradient() -> None:
    logits, labels = random_logits(1, 3, 2, 2).requires_grad_(), torch.tensor([[[0, 255], [1, 2]]])
    (gradient,) = torch.autograd.grad(pixel_loss(logits, labels), logits)
    assert (gradient[0, :, 0, 1] == 0).all() and (gradient[0, :, 0, 0] != 0).all()


def test_labels_in_a_mask() -> None:
    masks = torch.tensor([[[0, 0], [2, 255]], [[255, 255], [3, 3]], [[255, 255], [255, 255]]])
    expected = [[True, False, True, False], [False, False, False, True], [False] * 4]
    assert labels_in(masks, 4).tolist() == expected
