"""Losses of tags, by hand and by their gradients."""

import math

import pytest
import torch
from torch.nn import functional as F

from wsss_lightning.nn.resnet import resnet18
from wsss_lightning.nn.tag_losses import (
    Loss,
    loss_beside,
    sigmoid_cross_entropy,
    soft_margin,
    softmax_cross_entropy,
    without_row,
)

TAGS = torch.tensor([[True, False, True], [False, False, False]])


def test_sigmoid_cross_entropy_by_hand() -> None:
    """Sigmoids 3/4, 1/2, 1/3 and 1/2, 1/4, 1/2: each class by itself, summed; the mean over images."""
    logits = torch.tensor([[math.log(3), 0, -math.log(2)], [0, -math.log(3), 0]])
    first = -math.log(3 / 4) - math.log(1 / 2) - math.log(1 / 3)
    second = -math.log(1 / 2) - math.log(3 / 4) - math.log(1 / 2)
    torch.testing.assert_close(sigmoid_cross_entropy(logits, TAGS), torch.tensor((first + second) / 2))


def test_softmax_cross_entropy_by_hand() -> None:
    """Softmax 1/2, 1/4, 1/4 with two tags; the image without a tag counts as one of two images and adds nothing."""
    logits = torch.tensor([[math.log(2), 0, 0], [5.0, 0, 1]])
    expected = (-math.log(1 / 2) - math.log(1 / 4)) / 2 / 2
    torch.testing.assert_close(softmax_cross_entropy(logits, TAGS), torch.tensor(expected))


@pytest.mark.parametrize("loss", [sigmoid_cross_entropy, softmax_cross_entropy, soft_margin])
def test_gradient_and_certain_scores(loss: Loss) -> None:
    logits = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda scores: loss(scores, TAGS), logits)
    right = torch.where(TAGS, 100.0, -100.0)
    assert loss(right, TAGS) < 1 < loss(-right, TAGS)


def test_softmax_knows_no_common_shift_and_sigmoid_does() -> None:
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(softmax_cross_entropy(logits + 3, TAGS), softmax_cross_entropy(logits, TAGS))
    assert not torch.isclose(sigmoid_cross_entropy(logits + 3, TAGS), sigmoid_cross_entropy(logits, TAGS))


def test_soft_margin_is_the_mean_of_the_sigmoid_s_terms() -> None:
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(soft_margin(logits, TAGS), sigmoid_cross_entropy(logits, TAGS) / 3)
    torch.testing.assert_close(soft_margin(logits, TAGS), F.binary_cross_entropy_with_logits(logits, TAGS.float()))


def test_classes_without_a_row_learn_beside_those_that_compete() -> None:
    alone = without_row(resnet18(None), ["cat", "person", "dog"])
    assert alone.tolist() == [False, True, False]
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    competing, beside = [0, 2], [1]
    expected = softmax_cross_entropy(logits[:, competing], TAGS[:, competing])
    expected = expected + sigmoid_cross_entropy(logits[:, beside], TAGS[:, beside])
    torch.testing.assert_close(loss_beside(softmax_cross_entropy, logits, TAGS, alone=alone), expected)
    none = torch.zeros(3, dtype=torch.bool)
    torch.testing.assert_close(loss_beside(soft_margin, logits, TAGS, alone=none), soft_margin(logits, TAGS))
