"""What the loss adds for background: nothing by default, and what makes up for labels that miss objects."""

import math

import pytest
import torch

from wsss_lightning.nn.label_prior import with_prior


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4, 5)])
def test_only_background_is_raised(shape: tuple[int, ...]) -> None:
    logits = torch.randn(shape, requires_grad=True)
    raised = with_prior(logits, 0.7)
    torch.testing.assert_close(raised[:, 0], logits[:, 0] + 0.7)
    assert torch.equal(raised[:, 1:], logits[:, 1:])
    raised.sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None and (logits.grad == 1).all()
    assert with_prior(logits, 0.0) is logits


def test_a_fit_to_labels_that_miss_objects_answers_as_if_they_did_not() -> None:
    """Objects lie on 40 % of the pixels, labels show 3 of 5 of them: with the odds of both the fit has 40 % again."""
    labels = torch.tensor([1] * 24 + [0] * 76)
    logits = torch.zeros(1, 2, requires_grad=True)
    prior = math.log(76 / 24) - math.log(60 / 40)
    optimizer = torch.optim.LBFGS([logits], max_iter=50)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(with_prior(logits, prior).expand(100, 2), labels)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    assert float(logits.detach().softmax(dim=1)[0, 1]) == pytest.approx(0.4, abs=1e-3)
