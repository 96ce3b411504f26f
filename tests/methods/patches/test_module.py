from collections.abc import Sequence
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from fake_skies import NETWORK
from torch import Tensor, nn

from wsss_lightning.errors import InputError
from wsss_lightning.methods.patches.module import MakePatchNetwork, PatchModule, Pooling, read_levels
from wsss_lightning.methods.patches.network import PatchNetwork
from wsss_lightning.ops.pooling import pool_log_sum_exp, pool_maximum

LSE = partial(pool_log_sum_exp, sharpness=1.0)


class Column(PatchNetwork):
    """Scores that are the first pixel's first two channels."""

    def __init__(self, generator: torch.Generator) -> None:
        nn.Module.__init__(self)

    def forward(self, patches: Tensor) -> Tensor:
        return patches[:, :2, 0, 0]

    def dense(self, images: Tensor) -> Tensor:
        return images[:, :2]


def module(pooling: Pooling = LSE, *, network: MakePatchNetwork = NETWORK, rate: float = 0.1) -> PatchModule:
    made = PatchModule(network=network, pooling=pooling, rate=rate, target="moon")
    made.log = made.log_dict = Mock()  # type: ignore[method-assign]
    made._trainer = Mock(world_size=1, accumulate_grad_batches=1, datamodule=None)
    return made


def batch(images: int, seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "patches": torch.rand(4 * images, 3, 11, 11, generator=generator) * 2 - 1,
        "positive": torch.arange(images) % 2 == 0,
        "share": torch.tensor(1.0),
    }


def part(given: dict[str, Any], chosen: Sequence[int]) -> dict[str, Any]:
    """Some images of a batch of four patches each."""
    patches = given["patches"].unflatten(0, (-1, 4))[list(chosen)].flatten(0, 1)
    return given | {"patches": patches, "positive": given["positive"][list(chosen)]}


def logged(made: PatchModule) -> dict[str, Any]:
    """What was logged last, by name."""
    given = made.log.call_args.args  # type: ignore[attr-defined]
    return given[0] if isinstance(given[0], dict) else {given[0]: given[1]}


def test_the_loss_is_eq_4() -> None:
    """Two images of two patches: f by hand, the first image shows the class."""
    scores = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.5, 0.25], [0.0, 1.0]])
    patches = torch.zeros(4, 3, 1, 1)
    patches[:, :2, 0, 0] = scores
    given = {"patches": patches, "positive": torch.tensor([True, False]), "share": torch.tensor(1.0)}
    e = scores.exp()
    f = torch.stack([e[:2].sum(dim=0), e[2:].sum(dim=0)])  # exp of eq 3
    expected = -(f[0, 0] / f[0].sum()).log() - (f[1, 1] / f[1].sum()).log()
    assert module(network=Column).training_step(given, 0).item() == pytest.approx(expected.item(), rel=1e-6)


def test_gradients_of_a_batch_are_the_sum_of_its_images() -> None:
    made, given = module(), batch(3)
    made.training_step(given, 0).backward()  # type: ignore[no-untyped-call]
    whole = [parameter.grad.clone() for parameter in made.network.parameters() if parameter.grad is not None]
    made.network.zero_grad()
    for image in range(3):
        one = part(given, [image])
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


@pytest.mark.parametrize(("devices", "accumulated"), [(2, 1), (1, 2), (2, 2)])
def test_parts_of_a_step_have_the_gradient_of_the_whole(devices: int, accumulated: int) -> None:
    """Five images among two or four parts, which Lightning averages: the sum over all images, and the mean loss."""
    made, given, places = module(), batch(5), devices * accumulated
    made.training_step(given, 0).backward()  # type: ignore[no-untyped-call]
    whole = [parameter.grad.clone() for parameter in made.network.parameters() if parameter.grad is not None]
    mean = logged(made)["train/loss"]
    made.network.zero_grad()
    made._trainer = Mock(world_size=devices, accumulate_grad_batches=accumulated)
    means = []
    for place in range(places):
        images = range(5)[place::places]
        mine = part(given, images) | {"share": torch.tensor(len(images) * places / 5)}
        (made.training_step(mine, 0) / places).backward()
        means.append(logged(made)["train/loss"])
    shared = [parameter.grad for parameter in made.network.parameters() if parameter.grad is not None]
    assert all(torch.allclose(*pair, atol=1e-6) for pair in zip(whole, shared, strict=True))
    assert torch.stack(means).mean().item() == pytest.approx(mean.item(), rel=1e-6)


def test_plain_descent() -> None:
    made = module(rate=0.25)
    optimizer = made.configure_optimizers()["optimizer"]
    before = [parameter.detach().clone() for parameter in made.network.parameters()]
    made.training_step(batch(2), 0).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    for old, parameter in zip(before, made.network.parameters(), strict=True):
        assert parameter.grad is not None
        assert torch.allclose(parameter, old - 0.25 * parameter.grad)


def test_tags_of_held_out_images() -> None:
    made = module(network=Column)
    for score, positive in ((0.9, True), (-0.9, False), (-0.1, True), (0.1, False)):
        patches = torch.zeros(2, 3, 1, 1)
        patches[:, 0, 0, 0] = score
        made.validation_step({"patches": patches, "positive": torch.tensor([positive])}, 0)
    made.on_validation_epoch_end()
    figures = logged(made)
    assert figures["val/tag_accuracy"] == 0.5 and figures["val/tag_ap"].item() == pytest.approx((1 + 2 / 3) / 2)
    made.on_validation_epoch_start()
    assert not made.tag_scores.scores


def images(*maps: list[list[float]]) -> Tensor:
    """Images for which `Column` gives the probabilities in `maps`."""
    logits = torch.logit(torch.tensor(maps))
    return torch.stack([logits, torch.zeros_like(logits), torch.zeros_like(logits)], dim=1)


def test_forward_gives_the_probability_of_the_class() -> None:
    assert module(network=Column)(images([[0.2, 0.7]])).flatten().tolist() == pytest.approx([0.2, 0.7])


@pytest.mark.parametrize(("names", "label"), [(None, 1), (("sun", "moon"), 2)])
def test_predictions_are_at_the_image_s_own_size_in_the_data_s_labels(names: Any, label: int) -> None:
    made = module(network=Column)
    made.threshold = 0.6
    made._trainer = Mock(datamodule=names and Mock(class_names=names))
    given = {"image_id": ["a", "b"], "size": torch.tensor([[1, 2], [2, 4]])}
    first, second = made.predict_step({**given, "image": images([[0.2, 0.7]], [[0.61, 0.59]])}, 0)
    assert (first.image_id, second.image_id) == ("a", "b")
    assert first.labels.tolist() == [[0, label]]
    assert second.labels.tolist() == [[label, label, 0, 0]] * 2  # 0.61, 0.605, 0.595, 0.59
    levels = second.stored["levels"]
    assert levels.dtype == torch.uint16 and levels.tolist()[0] == [39976, 39649, 38993, 38666]


def test_what_a_prediction_stores_is_read_back() -> None:
    stored = {"levels": torch.tensor([[0, 65535], [13107, 26214]], dtype=torch.uint16)}
    expected = torch.tensor([[0, 1], [0.2, 0.4]])
    probs = read_levels(stored, (2, 2))
    torch.testing.assert_close(probs, torch.stack([1 - expected, expected]))
    assert read_levels(stored, (1, 1)).flatten().tolist() == pytest.approx([0.6, 0.4])


def test_a_test_scores_the_class_against_all_else() -> None:
    """Of eight pixels one does not count; two of three of the class are hit, and one of four others."""
    made = module(network=Column)
    made._trainer = Mock(datamodule=Mock(class_names=("sun", "moon")))
    targets = [torch.tensor([[2, 2, 1, 255]], dtype=torch.uint8), torch.tensor([[0, 0, 1, 2]], dtype=torch.uint8)]
    made.test_step({"image": images([[0.9, 0.8, 0.9, 0.9]], [[0.1, 0.1, 0.1, 0.2]]), "target": targets}, 0)
    made.on_test_epoch_end()
    figures = logged(made)
    expected = {"test/ap": 2 / 4, "test/foreground": 2 / 3, "test/background": 3 / 4, "test/miou": (2 / 4 + 3 / 5) / 2}
    assert figures == pytest.approx(expected)
    assert made.confusion.confusion.sum() == 0


def test_a_data_set_without_the_class() -> None:
    made = module(network=Column)
    made._trainer = Mock(datamodule=Mock(class_names=("sun", "star")))
    with pytest.raises(InputError, match=r"has no class 'moon': it has sun, star\."):
        made.test_step({"image": images([[0.5]]), "target": [torch.zeros(1, 1)]}, 0)


def test_first_weights_are_a_function_of_the_seed() -> None:
    def weights(seed: int) -> list[Tensor]:
        return list(PatchModule(network=NETWORK, pooling=LSE, rate=0.1, target="sun", seed=seed).parameters())

    assert all(torch.equal(*pair) for pair in zip(weights(0), weights(0), strict=True))
    assert not any(torch.equal(*pair) for pair in zip(weights(0), weights(1), strict=True))
