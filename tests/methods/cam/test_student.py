from typing import Any

import torch
from fake_segmenter import backbone
from torch.nn import functional as F

from wsss_lightning.methods.cam.student import Student, read_logits
from wsss_lightning.nn.trunk import Variant

NAMES = ["first", "second"]


def student(**settings: Any) -> Student:
    model = Student(backbone=backbone(), class_names=NAMES, stride=8, hidden=8, dilation=2, **settings)
    model.log = lambda *_, **__: None  # type: ignore[method-assign]
    return model


def _images(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, 48, 64, generator=torch.Generator().manual_seed(0))


def _masks() -> torch.Tensor:
    masks = torch.randint(0, 3, (2, 48, 64), generator=torch.Generator().manual_seed(1))
    masks[0, :24] = 255
    return masks


def test_the_loss_is_the_mean_over_images_of_the_mean_over_pixels_that_count() -> None:
    model, masks = student(), _masks()
    logits = model(_images())
    expected = torch.stack(
        [F.cross_entropy(x[None], m[None], ignore_index=255) for x, m in zip(logits, masks, strict=True)]
    )
    batch = {"mask": masks, "share": torch.tensor(0.5)}
    torch.testing.assert_close(model.training_step({**batch, "image": _images()}, 0), 0.5 * expected.mean())
    shallow, deep = model.trunk.look(_images(), Variant())
    stored = {"shallow": list(shallow), "deep": list(deep)}
    torch.testing.assert_close(model.training_step({**batch, **stored}, 0), 0.5 * expected.mean())


def test_a_prior_is_in_the_loss_as_a_higher_bias_would_be_and_not_in_the_answers() -> None:
    plain, prior = student(), student(prior=0.8)
    batch = {"mask": _masks(), "image": _images(), "share": torch.tensor(1.0)}
    assert torch.equal(prior(_images()), plain(_images()))
    with torch.no_grad():
        plain.out.bias[0] += 0.8  # type: ignore[index]
    torch.testing.assert_close(prior.training_step(batch, 0), plain.training_step(batch, 0))


def test_an_image_whose_pixels_are_all_ignored_costs_nothing() -> None:
    masks = torch.full((2, 48, 64), 255)
    loss = student().training_step({"mask": masks, "image": _images(), "share": torch.tensor(1.0)}, 0)
    assert float(loss.detach()) == 0
    loss.backward()


def test_predictions_can_be_read_again_as_probabilities_of_the_same_labels() -> None:
    model = student()
    batch = {"image": _images(), "image_id": ["a", "b"], "size": torch.tensor([[48, 64], [50, 61]])}
    with torch.inference_mode():
        first, second = model.predict_step(batch, 0)
    assert first.labels.shape == (48, 64) and second.labels.shape == (50, 61)
    probs = read_logits(second.stored, (50, 61), corners=model.trunk.corners)
    torch.testing.assert_close(probs.sum(dim=0), torch.ones(50, 61))
    assert torch.equal(probs.argmax(dim=0), second.labels)
    torch.testing.assert_close(
        read_logits(first.stored, (48, 64), corners=model.trunk.corners),
        model(_images())[0].softmax(dim=0),
        atol=1e-3,
        rtol=0,
    )


def test_the_head_sees_both_maps() -> None:
    model = student()
    shallow, deep = (maps.clone().requires_grad_() for maps in model.trunk.look(_images(1), Variant()))
    model.scores(shallow, deep).sum().backward()
    assert shallow.grad is not None and bool((shallow.grad != 0).any())
    assert deep.grad is not None and bool((deep.grad != 0).any())
    assert model.context.dilation == (2, 2) and model.scores(shallow, deep).shape == (1, 3, 6, 8)


def test_the_initial_weights_are_a_function_of_the_seed() -> None:
    assert torch.equal(student(seed=4).context.weight, student(seed=4).context.weight)
    assert not torch.equal(student(seed=4).context.weight, student(seed=5).context.weight)
