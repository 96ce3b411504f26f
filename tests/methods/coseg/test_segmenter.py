from functools import partial
from typing import Literal

import pytest
import torch
from fake_coseg import NETWORK
from fake_segmenter import backbone
from torch import Tensor

from wsss_lightning.methods.coseg.mask_losses import joint_loss, pixel_loss
from wsss_lightning.methods.coseg.network import Scores
from wsss_lightning.methods.coseg.segmenter import CosegModule, mask_loss

MASK = torch.zeros(1, 16, 24, dtype=torch.int64)
MASK[:, :8, 8:] = 2
MASK[:, 8:, :8] = 255
LABELS = torch.tensor([[[0, 2, 2], [255, 0, 0]]])  # at the cells' centres
TAGS = torch.tensor([[True, True]])


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_without_a_branch_it_is_equation_1_at_the_scores_resolution() -> None:
    pixels = random(1, 3, 2, 3)
    loss = mask_loss(Scores(pixels, None), MASK, TAGS, balance=1.0, present="mask")
    torch.testing.assert_close(loss, pixel_loss(pixels, LABELS))


@pytest.mark.parametrize(("present", "shown"), [("mask", [True, False, True]), ("tags", [True, True, True])])
def test_the_branch_learns_what_the_mask_or_what_the_tags_name(
    present: Literal["mask", "tags"], shown: list[bool]
) -> None:
    pixels, image = random(1, 3, 2, 3), random(1, 3)
    loss = mask_loss(Scores(pixels, image), MASK, TAGS, balance=0.5, present=present)
    torch.testing.assert_close(loss, joint_loss(pixels, image, LABELS, torch.tensor([shown]), balance=0.5))


def module() -> CosegModule:
    network = NETWORK(backbone(), num_labels=3, branch="added", generator=torch.Generator().manual_seed(0))
    loss = partial(mask_loss, balance=1.0, present="mask")
    return CosegModule(network=network, loss=loss, rates=[16e-4, 16e-5], steps=[2, 1])


def test_the_papers_optimiser_trains_every_weight() -> None:
    trained = module()
    (group,) = trained.configure_optimizers()["optimizer"].param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (16e-4, 0.9, 5e-4)
    assert {id(p) for p in group["params"]} == {id(p) for p in trained.network.parameters()}


def test_training_steps_descend() -> None:
    trained = module()
    trained.network.eval()  # without dropout
    trained.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    batch = {"image": random(1, 3, 16, 24), "mask": MASK, "tags": TAGS}
    optimizer = torch.optim.SGD(trained.network.parameters(), lr=0.05)
    losses = []
    for _ in range(6):
        loss = trained.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_held_out_tags_are_scored_over_all_images() -> None:
    """Three images of any size; the first class is told perfectly, the second as badly as can be."""
    trained, logged = module(), {}
    trained.log = lambda name, value, **_: logged.update({name: float(value)})  # type: ignore[method-assign, assignment]
    tags = torch.tensor([[True, True], [False, False], [False, False]])
    for row, (first, second) in enumerate(((3.0, -3.0), (1.0, 2.0), (0.0, 3.0))):
        pixels = torch.zeros(1, 3, 3, 2)
        pixels[:, 1, 0, 0], pixels[:, 2, 1, 1] = first, second
        trained.network.forward = lambda _, pixels=pixels: Scores(pixels, None)  # type: ignore[method-assign, misc]
        trained.validation_step({"image": torch.zeros(1, 3, 17, 9), "tags": tags[row : row + 1]}, 0)
    trained.on_validation_epoch_end()
    assert logged["val/tag_ap"] == pytest.approx((1 + 1 / 3) / 2)
