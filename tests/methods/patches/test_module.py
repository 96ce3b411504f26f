from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from fake_skies import NETWORK
from torch import Tensor, nn

from wsss_lightning.methods.patches.module import PatchModule, Pooling
from wsss_lightning.methods.patches.network import PatchNetwork
from wsss_lightning.ops.pooling import pool_log_sum_exp, pool_maximum

LSE = partial(pool_log_sum_exp, sharpness=1.0)


class Column(PatchNetwork):
    """Scores that are the first pixel's first two channels."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def forward(self, patches: Tensor) -> Tensor:
        return patches[:, :2, 0, 0]


def module(pooling: Pooling = LSE, *, network: PatchNetwork | None = None, rate: float = 0.1) -> PatchModule:
    made = PatchModule(
        network=network or NETWORK(generator=torch.Generator().manual_seed(0)), pooling=pooling, rate=rate
    )
    made.log = Mock()  # type: ignore[method-assign]
    made._trainer = Mock(world_size=1)
    return made


def batch(images: int, seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "patches": torch.rand(4 * images, 3, 11, 11, generator=generator) * 2 - 1,
        "positive": torch.arange(images) % 2 == 0,
    }


def test_the_loss_is_eq_4() -> None:
    """Two images of two patches: f by hand, the first image shows the class."""
    scores = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.5, 0.25], [0.0, 1.0]])
    patches = torch.zeros(4, 3, 1, 1)
    patches[:, :2, 0, 0] = scores
    given = {"patches": patches, "positive": torch.tensor([True, False])}
    e = scores.exp()
    f = torch.stack([e[:2].sum(dim=0), e[2:].sum(dim=0)])  # exp of eq 3
    expected = -(f[0, 0] / f[0].sum()).log() - (f[1, 1] / f[1].sum()).log()
    assert module(network=Column()).training_step(given, 0).item() == pytest.approx(expected.item(), rel=1e-6)


def test_gradients_of_a_batch_are_the_sum_of_its_images() -> None:
    made, given = module(), batch(3)
    made.training_step(given, 0).backward()  # type: ignore[no-untyped-call]
    whole = [parameter.grad.clone() for parameter in made.network.parameters() if parameter.grad is not None]
    made.network.zero_grad()
    for image in range(3):
        one = {"patches": given["patches"][4 * image : 4 * image + 4], "positive": given["positive"][image, None]}
        made.training_step(one, 0).backward()  # type: ignore[no-untyped-call]
    single = [parameter.grad for parameter in made.network.parameters() if parameter.grad is not None]
    assert all(torch.allclose(*pair, atol=1e-5) for pair in zip(whole, single, strict=True))


def test_the_maximum_gives_one_patch_of_each_column_a_gradient() -> None:
    made, given = module(pool_maximum), batch(1)
    given["patches"].requires_grad_()
    made.training_step(given, 0).backward()  # type: ignore[no-untyped-call]
    scores = made.network(given["patches"].detach())
    touched = given["patches"].grad.flatten(1).any(dim=1).nonzero().flatten().tolist()
    assert set(touched) == set(scores.argmax(dim=0).tolist())


def test_averaging_over_devices_leaves_the_sum_over_images() -> None:
    """Two devices with one image each: the mean of what they compute is what one device computes of both images."""
    made, given = module(), batch(2)
    whole = made.training_step(given, 0)
    made._trainer = Mock(world_size=2)
    halves = [
        made.training_step({"patches": given["patches"][4 * k : 4 * k + 4], "positive": given["positive"][k, None]}, 0)
        for k in range(2)
    ]
    assert torch.stack(halves).mean().item() == pytest.approx(whole.item(), rel=1e-6)


def test_plain_descent() -> None:
    made = module(rate=0.25)
    optimizer = made.configure_optimizers()
    before = [parameter.detach().clone() for parameter in made.network.parameters()]
    made.training_step(batch(2), 0).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    for old, parameter in zip(before, made.network.parameters(), strict=True):
        assert parameter.grad is not None
        assert torch.allclose(parameter, old - 0.25 * parameter.grad)


def test_tags_of_held_out_images() -> None:
    made = module(network=Column())
    for score, positive in ((0.9, True), (-0.9, False), (-0.1, True), (0.1, False)):
        patches = torch.zeros(2, 3, 1, 1)
        patches[:, 0, 0, 0] = score
        made.validation_step({"patches": patches, "positive": torch.tensor([positive])}, 0)
    made.on_validation_epoch_end()
    logged = dict(call.args for call in made.log.call_args_list)  # type: ignore[attr-defined]
    assert logged["val/tag_accuracy"] == 0.5 and logged["val/tag_ap"].item() == pytest.approx((1 + 2 / 3) / 2)
