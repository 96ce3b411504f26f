from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import torch
from fake_coseg import NETWORK, module
from torch import Tensor

from wsss_lightning import models
from wsss_lightning.methods.coseg.mask_losses import joint_loss, pixel_loss
from wsss_lightning.methods.coseg.network import Scores
from wsss_lightning.methods.coseg.segmenter import CosegModule, mask_loss
from wsss_lightning.nn.optimisation import polynomial

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


def test_a_crop_is_told_what_its_whole_mask_shows() -> None:
    pixels, image, whole = random(1, 3, 2, 3), random(1, 3), torch.tensor([[True, True, True]])
    loss = mask_loss(Scores(pixels, image), MASK, TAGS, balance=1.0, present="mask", shown=whole)
    torch.testing.assert_close(loss, joint_loss(pixels, image, LABELS, whole, balance=1.0))


@pytest.mark.parametrize("branch", [False, True])
def test_a_prior_raises_background_of_pixels_in_the_loss_alone(branch: bool) -> None:
    pixels, image = random(1, 3, 2, 3), random(1, 3) if branch else None
    raised = pixels.clone()
    raised[:, 0] += 0.7
    loss = mask_loss(Scores(pixels, image), MASK, TAGS, balance=1.0, present="mask", prior=0.7)
    torch.testing.assert_close(loss, mask_loss(Scores(raised, image), MASK, TAGS, balance=1.0, present="mask"))
    assert loss != mask_loss(Scores(pixels, image), MASK, TAGS, balance=1.0, present="mask")


def test_the_papers_optimiser_trains_every_weight() -> None:
    trained = module(rates=[16e-4, 16e-5])
    (group,) = trained.configure_optimizers()["optimizer"].param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (16e-4, 0.9, 5e-4)
    assert {id(p) for p in group["params"]} == {id(p) for p in trained.network.parameters()}


def small(**settings: Any) -> CosegModule:
    """A module of two classes that drops nothing and logs into the air."""
    trained = module(num_classes=2, network=partial(NETWORK, dropout=0.0), **settings)
    trained.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    return trained


def batch_of(masks: Tensor, *, share: float = 1.0, start: int = 0) -> dict[str, Any]:
    """Images that go with masks (N, 16, 24), the `start`-th and further ones."""
    images = random(4, 3, 16, 24)[start : start + len(masks)]
    return {"image": images, "mask": masks, "tags": TAGS.expand(len(masks), 2), "share": torch.tensor(share)}


def group(size: int, total: int) -> Any:
    """As much of a trainer as a step looks at; `total`: labelled pixels that all `size` processes count."""
    reduce = lambda own, reduce_op: torch.full_like(own, total)  # noqa: ARG005, E731
    return SimpleNamespace(world_size=size, strategy=SimpleNamespace(reduce=reduce))


def gradients(trained: CosegModule, batch: dict[str, Any], trainer: Any) -> list[Tensor]:
    trained.zero_grad()
    trained._trainer = trainer
    trained.training_step(batch, 0).backward()
    return [parameter.grad.clone() for parameter in trained.parameters() if parameter.grad is not None]


def test_training_steps_descend() -> None:
    trained, batch = small(), batch_of(MASK)
    trained._trainer = group(1, 5)
    optimizer = torch.optim.SGD(trained.network.parameters(), lr=0.05)
    losses = []
    for _ in range(6):
        loss = trained.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("branch", [None, "added"])
def test_uneven_parts_have_together_the_gradient_of_the_whole_batch(branch: Literal["added"] | None) -> None:
    """Of three images, two processes see two and one; the second image has few labelled pixels."""
    masks = torch.cat([MASK, torch.full_like(MASK, 255), MASK.flip(1)])
    masks[1, :8, :8] = 1
    trained, total = small(branch=branch), 5 + 1 + 5
    whole = gradients(trained, batch_of(masks), group(1, total))
    first = gradients(trained, batch_of(masks[:2], share=2 * 2 / 3), group(2, total))
    second = gradients(trained, batch_of(masks[2:], share=2 * 1 / 3, start=2), group(2, total))
    for expected, one, other in zip(whole, first, second, strict=True):
        torch.testing.assert_close((one + other) / 2, expected, atol=1e-6, rtol=1e-4)
    own = {"counted": None, "share": 1.0}
    loss = partial(trained.loss, **own)
    trained.loss = lambda *given, **_: loss(*given)
    plain = [
        gradients(trained, batch_of(part, start=start), group(2, total))
        for part, start in ((masks[:2], 0), (masks[2:], 2))
    ]
    assert any(not torch.allclose((a + b) / 2, c, atol=1e-5) for a, b, c in zip(*plain, whole, strict=True))


def test_no_labelled_pixel_in_a_whole_step_is_no_loss_of_pixels() -> None:
    trained = small(branch=None)
    assert not any(grad.any() for grad in gradients(trained, batch_of(torch.full_like(MASK, 255)), group(1, 0)))


def test_new_layers_may_learn_faster() -> None:
    trained = module(rates=[16e-4, 16e-5], new_layers=10.0)
    old, new = trained.configure_optimizers()["optimizer"].param_groups
    assert new["lr"] == pytest.approx(10 * old["lr"]) == pytest.approx(16e-3)
    assert trained.network.branch is not None
    heads = {id(p) for p in [*trained.network.head.parameters(), *trained.network.branch.head.parameters()]}
    assert {id(p) for p in new["params"]} == heads
    assert {id(p) for p in old["params"]} | heads == {id(p) for p in trained.parameters()}


def test_another_optimiser_and_schedule_may_be_chosen() -> None:
    made = module(
        rates=[0.1, 0.5], steps=[4, 6], optimizer=torch.optim.Adam, scheduler=polynomial
    ).configure_optimizers()
    assert isinstance(made["optimizer"], torch.optim.Adam)
    schedule = made["lr_scheduler"]["scheduler"]
    for step in range(10):
        assert made["optimizer"].param_groups[0]["lr"] == pytest.approx(0.1 * (1 - step / 10) ** 0.9)
        made["optimizer"].step()
        schedule.step()


def test_a_module_is_rebuilt_from_its_hyperparameters(tmp_path: Path) -> None:
    first = module(
        seed=3, scales=[0.7, 1.0], optimizer=partial(torch.optim.AdamW, weight_decay=0.1), scheduler=polynomial
    )
    models.save(first, tmp_path, inputs=models.Inputs((), (), (), (), (), None))
    again = models.load(tmp_path)
    images = random(2, 3, 20, 36)
    assert dict(again.hparams) == dict(first.hparams) and again.scales == (0.7, 1.0)
    assert torch.equal(again(images), first.eval()(images))
    assert isinstance(again.configure_optimizers()["optimizer"], torch.optim.AdamW)


def test_initial_weights_are_those_of_the_seed() -> None:
    one, same, other = (module(seed=seed).network.head[0].weight for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_probabilities_are_the_mean_of_those_at_all_scales() -> None:
    images = random(2, 3, 24, 32)
    parts = [module(scales=[scale]).eval()(images) for scale in (0.7, 1.0, 1.3)]
    mean = module(scales=[0.7, 1.0, 1.3]).eval()(images)
    assert mean.shape == (2, 21, 24, 32)
    torch.testing.assert_close(mean, torch.stack(parts).mean(dim=0))
    torch.testing.assert_close(mean.sum(dim=1), torch.ones(2, 24, 32), atol=1e-2, rtol=0)


def known(labels: list[int], **settings: Any) -> CosegModule:
    """Four cells side by side are surely told as `labels`, at whatever scale."""
    trained = module(num_classes=2, branch=None, **settings).eval()
    logits = 10.0 * torch.eye(3)[labels].T[None, :, None]
    trained.network.forward = lambda images: Scores(logits.expand(len(images), -1, -1, -1), None)  # type: ignore[method-assign]
    return trained


def predicted(trained: CosegModule, tags: Tensor) -> list[list[int]]:
    batch = {"image": random(2, 3, 8, 32), "image_id": ["a", "b"], "size": torch.tensor([[2, 8], [1, 4]]), "tags": tags}
    with torch.inference_mode():
        first, second = trained.predict_step(batch, 0)
    assert (first.image_id, second.image_id) == ("a", "b") and first.stored["0"].dtype == torch.float16
    return [first.labels.tolist()[0], second.labels.tolist()[0]]


def test_known_scores_give_known_labels_at_each_images_own_size() -> None:
    tags = torch.tensor([[True, False], [False, True]])
    assert predicted(known([0, 2, 1, 1]), tags) == [[0, 0, 2, 2, 1, 1, 1, 1], [0, 2, 1, 1]]
    only = predicted(known([0, 2, 1, 1], tagged=True, scales=[1.0, 2.0]), tags)
    assert set(only[0]) <= {0, 1} and set(only[1]) <= {0, 2} and only[0][-2:] == [1, 1] and only[1][1] == 2


def test_miou_is_of_all_pixels_that_are_tested() -> None:
    trained, logged = known([0, 2, 1, 1]), {}
    trained.log = lambda name, value, **_: logged.update({name: float(value)})  # type: ignore[method-assign, assignment]
    target = [
        torch.tensor([[0, 0, 2, 2, 1, 1, 255, 255]] * 2, dtype=torch.uint8),
        torch.tensor([[0, 0, 0, 1]], dtype=torch.uint8),
    ]
    batch = {"image": random(2, 3, 8, 32), "image_id": ["a", "b"], "size": torch.tensor([[2, 8], [1, 4]])}
    trained.on_test_epoch_start()
    trained.test_step({**batch, "tags": TAGS.expand(2, 2), "target": target}, 0)
    trained.on_test_epoch_end()
    assert logged["test/miou"] == pytest.approx((5 / 7 + 5 / 6 + 4 / 5) / 3)


def test_held_out_tags_are_scored_over_all_images() -> None:
    """Three images of any size; the first class is told perfectly, the second as badly as can be."""
    trained, logged = module(num_classes=2), {}
    trained.log = lambda name, value, **_: logged.update({name: float(value)})  # type: ignore[method-assign, assignment]
    tags = torch.tensor([[True, True], [False, False], [False, False]])
    for row, (first, second) in enumerate(((3.0, -3.0), (1.0, 2.0), (0.0, 3.0))):
        pixels = torch.zeros(1, 3, 3, 2)
        pixels[:, 1, 0, 0], pixels[:, 2, 1, 1] = first, second
        trained.network.forward = lambda _, pixels=pixels: Scores(pixels, None)  # type: ignore[method-assign, misc]
        trained.validation_step({"image": torch.zeros(1, 3, 17, 9), "tags": tags[row : row + 1]}, 0)
    trained.on_validation_epoch_end()
    assert logged["val/tag_ap"] == pytest.approx((1 + 1 / 3) / 2)
