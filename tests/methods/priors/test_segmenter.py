import math
from functools import partial

import pytest
import torch
from torch import Tensor

from wsss_lightning.methods.priors.losses import class_mask_loss, foreground_loss, tag_loss
from wsss_lightning.methods.priors.segmenter import (
    SegmenterModule,
    WeakLoss,
    class_masks,
    foreground_masks,
    tags_alone,
    with_background,
)
from wsss_lightning.nn.deeplab import deeplab_vgg
from wsss_lightning.nn.vgg import tiny

CLASSES = ("cat", "dog")
TAGS = torch.tensor([[True, False]])
PRESENT = torch.tensor([[True, True, False]])
LABELS = torch.tensor([[[0, 1, 1, 255], [0, 0, 1, 255]]])


def probabilities() -> Tensor:
    return torch.randn(1, 3, 2, 4, generator=torch.Generator().manual_seed(0)).softmax(dim=1)


GIVEN: list[tuple[Tensor, Tensor, Tensor | None]] = []


def noted(probs: Tensor, present: Tensor, labels: Tensor | None) -> Tensor:
    """A loss that keeps what it is given in `GIVEN`."""
    GIVEN.append((probs, present, labels))
    return probs.sum()


def module(loss: WeakLoss, *, prior: float = 0.0) -> SegmenterModule:
    torch.manual_seed(0)
    return SegmenterModule(
        backbone=tiny(None, 20),
        network=partial(deeplab_vgg, fc6_kernel=3, fc6_dilation=1, hidden=16, dropout=0.0),
        class_names=CLASSES,
        loss=loss,
        rates=[1e-2],
        steps=[10],
        prior=prior,
    )


def test_background_is_present_in_every_image() -> None:
    assert torch.equal(with_background(TAGS), PRESENT)


def test_tags_alone_is_equation_10_whatever_the_masks() -> None:
    expected = tag_loss(probabilities(), PRESENT, 2.0)
    for labels in (None, LABELS):
        torch.testing.assert_close(tags_alone(probabilities(), PRESENT, labels, sharpness=2.0), expected)


def test_foreground_masks_is_equation_12_of_all_that_is_not_background() -> None:
    foreground = torch.tensor([[[0, 1, 1, 1], [0, 0, 1, 1]]]).bool()
    expected = foreground_loss(probabilities(), PRESENT, foreground, 2.0)
    torch.testing.assert_close(foreground_masks(probabilities(), PRESENT, LABELS, sharpness=2.0), expected)


def test_class_masks_is_equation_15_and_what_has_no_label_is_in_no_mask() -> None:
    masks = torch.zeros(1, 3, 2, 4, dtype=torch.bool)
    masks[0, 0, 0, 0] = masks[0, 0, 1, 0] = masks[0, 0, 1, 1] = True
    masks[0, 1, 0, 1] = masks[0, 1, 0, 2] = masks[0, 1, 1, 2] = True
    expected = class_mask_loss(probabilities(), PRESENT, masks, 2.0)
    torch.testing.assert_close(class_masks(probabilities(), PRESENT, LABELS, sharpness=2.0), expected)


@pytest.mark.parametrize("loss", [foreground_masks, class_masks])
def test_a_loss_that_looks_at_masks_refuses_to_do_without(loss: object) -> None:
    with pytest.raises(ValueError, match="needs masks"):
        loss(probabilities(), PRESENT, None, sharpness=5.0)  # type: ignore[operator]


def test_a_step_learns_from_probabilities_tags_and_masks() -> None:
    """`training_step` hands on what the loss is of."""
    GIVEN.clear()
    one = module(noted)
    one.log = lambda *_, **__: None  # type: ignore[method-assign]
    image = torch.randn(1, 3, 21, 30)
    one.training_step({"image": image, "tags": TAGS, "mask": LABELS}, 0)
    one.training_step({"image": image, "tags": TAGS}, 1)
    probs, present, labels = GIVEN[0]
    assert probs.shape == (1, 3, 21, 30) and torch.equal(present, PRESENT) and labels is LABELS
    torch.testing.assert_close(probs.sum(dim=1), torch.ones(1, 21, 30))
    assert GIVEN[1][2] is None


def test_a_prior_is_added_to_the_logit_of_background_for_the_loss_alone() -> None:
    GIVEN.clear()
    one, image = module(noted, prior=0.8), torch.randn(1, 3, 21, 30)
    one.log = lambda *_, **__: None  # type: ignore[method-assign]
    one.training_step({"image": image, "tags": TAGS, "mask": LABELS}, 0)
    answers = one.probabilities(image)
    odds = GIVEN[0][0][:, 0] / GIVEN[0][0][:, 1]
    torch.testing.assert_close(odds, answers[:, 0] / answers[:, 1] * math.exp(0.8))


def test_a_part_of_a_batch_counts_its_share() -> None:
    one = module(partial(tags_alone, sharpness=5.0))
    one.log = lambda *_, **__: None  # type: ignore[method-assign]
    batch = {"image": torch.randn(1, 3, 21, 30), "tags": TAGS}
    whole, part = one.training_step(batch, 0), one.training_step(batch | {"share": torch.tensor(0.5)}, 0)
    assert part == whole / 2


def test_every_weight_is_trained() -> None:
    one = module(partial(tags_alone, sharpness=5.0))
    one.log = lambda *_, **__: None  # type: ignore[method-assign]
    optimizer = one.configure_optimizers()["optimizer"]
    before = {name: value.clone() for name, value in one.named_parameters()}
    one.training_step({"image": torch.randn(1, 3, 64, 64), "tags": TAGS}, 0).backward()
    optimizer.step()
    assert [name for name, value in one.named_parameters() if torch.equal(value, before[name])] == []


def test_held_out_tags_are_told_by_pooled_probabilities() -> None:
    """An image full of a class's colour has it; the average precision is over images, then over classes."""
    logged: dict[str, Tensor] = {}
    one = module(partial(tags_alone, sharpness=5.0))
    one.log = lambda name, value, **_: logged.update({name: value})  # type: ignore[method-assign]
    one.segmenter.forward = lambda images: images  # type: ignore[method-assign]  # the colours are the logits
    cats, dogs = torch.zeros(2, 1, 3, 8, 8)
    cats[:, 1], dogs[:, 2] = 4, 4
    for image, tags in ((cats, [True, False]), (dogs, [False, True])):
        one.validation_step({"image": image, "tags": torch.tensor([tags])}, 0)
    one.on_validation_epoch_end()
    assert logged == {"val/tag_ap": 1.0}
    for image, tags in ((cats, [False, True]), (dogs, [True, False])):
        one.validation_step({"image": image, "tags": torch.tensor([tags])}, 0)
    one.on_validation_epoch_end()
    assert logged == {"val/tag_ap": 0.5}
