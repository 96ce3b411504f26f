import math

import pytest
import sklearn.metrics
import torch
from torch import Tensor

from wsss_lightning.metrics.tags import average_precision, balanced_accuracy


def random_tags(seed: int, levels: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tags = torch.rand(60, 5, generator=generator) < 0.3
    return torch.randint(0, levels, (60, 5), generator=generator) / levels, tags


def column(*values: float) -> Tensor:
    return torch.tensor(values).unsqueeze(1)


def test_average_precision_by_hand() -> None:
    scores, tags = column(0.6, 0.9, 0.8, 0.7), column(0, 1, 0, 1).bool()
    # Positives are retrieved first and third: (1/1 + 2/3) / 2.
    assert average_precision(scores, tags).tolist() == pytest.approx([5 / 6])


def test_average_precision_of_equal_scores_is_the_prevalence() -> None:
    assert average_precision(torch.zeros(8, 1), column(1, 0, 0, 1, 0, 0, 0, 0).bool()).tolist() == [1 / 4]


@pytest.mark.parametrize("levels", [3, 10, 100_000])
def test_average_precision_agrees_with_sklearn(levels: int) -> None:
    scores, tags = random_tags(levels, levels)
    expected = sklearn.metrics.average_precision_score(tags.numpy(), scores.numpy(), average=None)
    assert average_precision(scores, tags).tolist() == pytest.approx(expected.tolist())
    assert float(average_precision(scores, tags).nanmean()) == pytest.approx(expected.mean())


def test_average_precision_depends_on_the_order_alone() -> None:
    scores, tags = random_tags(0, 20)
    assert torch.equal(average_precision(scores.exp() * 3 - 8, tags), average_precision(scores, tags))
    shuffled = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(average_precision(scores[shuffled], tags[shuffled]), average_precision(scores, tags))


def test_a_class_without_positives_is_nan_and_left_out_of_the_mean() -> None:
    scores, tags = torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([[False, False], [True, False]])
    assert average_precision(scores, tags).tolist() == pytest.approx([1 / 2, math.nan], nan_ok=True)
    assert float(average_precision(scores, tags).nanmean()) == pytest.approx(1 / 2)


def test_balanced_accuracy_by_hand() -> None:
    probabilities, tags = column(0.9, 0.5, 0.1, 0.4, 0.6, 0.2, 0.3), column(1, 1, 1, 0, 0, 0, 0).bool()
    # 2 of 3 positives reach 0.5, 3 of 4 negatives stay below.
    assert balanced_accuracy(probabilities, tags).tolist() == pytest.approx([17 / 24])
    assert balanced_accuracy(probabilities, tags, threshold=0.25).tolist() == pytest.approx([(2 / 3 + 1 / 4) / 2])


@pytest.mark.parametrize("threshold", [0.2, 0.5])
def test_balanced_accuracy_agrees_with_sklearn(threshold: float) -> None:
    probabilities, tags = random_tags(5, 10)
    present = probabilities >= threshold
    expected = [sklearn.metrics.balanced_accuracy_score(tags[:, c], present[:, c]) for c in range(5)]
    assert balanced_accuracy(probabilities, tags, threshold).tolist() == pytest.approx(expected)


def test_a_constant_answer_has_balanced_accuracy_one_half() -> None:
    _, tags = random_tags(6, 2)
    for constant in (0.0, 1.0):
        assert balanced_accuracy(torch.full((60, 5), constant), tags).tolist() == [1 / 2] * 5


def test_balanced_accuracy_needs_positives_and_negatives() -> None:
    tags = torch.tensor([[True, False], [True, False]])
    assert balanced_accuracy(torch.ones(2, 2), tags).isnan().all()


@pytest.mark.parametrize("figure", [average_precision, balanced_accuracy])
@pytest.mark.parametrize(
    "scores, tags, message",
    [
        (torch.zeros(3, 2), torch.zeros(2, 3, dtype=torch.bool), r"\(N, C\)"),
        (torch.zeros(3), torch.zeros(3, dtype=torch.bool), r"\(N, C\)"),
        (torch.zeros(3, 2), torch.zeros(3, 2), "bool"),
        (torch.full((3, 2), math.nan), torch.zeros(3, 2, dtype=torch.bool), "nan"),
    ],
)
def test_bad_arguments_are_refused(figure, scores: Tensor, tags: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        figure(scores, tags)
