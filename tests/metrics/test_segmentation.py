import math

import pytest
import sklearn.metrics
import torch
from torch import Tensor
from torchmetrics.classification import MulticlassJaccardIndex

from wsss_lightning.metrics.segmentation import (
    SegmentationConfusion,
    boundary_distance,
    confusion_matrix,
    frequency_weighted_iou,
    iou,
    mean_accuracy,
    mean_iou,
    over_activation,
    pixel_accuracy,
    precision,
    recall,
    threshold_confusions,
    threshold_trimaps,
    trimap,
    trimap_accuracy,
)

CONFUSION = torch.tensor([[3, 1], [2, 4]])
# Label 2 occurs in neither; label 1 is predicted only.
INCOMPLETE = torch.tensor([[3, 1, 0], [0, 0, 0], [0, 0, 0]])


def random_masks(seed: int, labels: int = 6, ignored: bool = True) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pred, target = torch.randint(0, labels, (2, 4, 13, 9), generator=generator)
    agree = torch.rand(target.shape, generator=generator) < 0.6
    if ignored:
        target[torch.rand(target.shape, generator=generator) < 0.1] = 255
    return torch.where(agree & (target != 255), target, pred), target


def test_precision_recall_and_over_activation_of_a_worked_example() -> None:
    assert precision(CONFUSION).tolist() == pytest.approx([3 / 5, 4 / 5])
    assert recall(CONFUSION).tolist() == pytest.approx([3 / 4, 4 / 6])
    assert over_activation(CONFUSION).tolist() == pytest.approx([2 / 3, 1 / 4])


def test_a_label_without_a_right_pixel_has_no_over_activation() -> None:
    assert over_activation(INCOMPLETE).isnan().tolist() == [False, True, True]
    assert precision(INCOMPLETE)[:2].tolist() == [1, 0]
    assert recall(INCOMPLETE).isnan().tolist() == [False, True, True]


def test_precision_and_recall_equal_scikit_learns() -> None:
    pred, target = random_masks(3, ignored=False)
    confusion = confusion_matrix(pred, target, 6)
    true, predicted = target.flatten().numpy(), pred.flatten().numpy()
    expected = sklearn.metrics.precision_recall_fscore_support(true, predicted)
    assert precision(confusion).tolist() == pytest.approx(expected[0])
    assert recall(confusion).tolist() == pytest.approx(expected[1])


def only(label_pred: int, label_target: int) -> tuple[Tensor, Tensor]:
    return torch.full((1, 5, 5), label_pred), torch.full((1, 5, 5), label_target)


ADVERSARIAL = {
    "one label": only(0, 0),
    "a single pixel": (torch.tensor([[[3]]]), torch.tensor([[[3]]])),
    "a single wrong pixel": (torch.tensor([[[5]]]), torch.tensor([[[0]]])),
    "all wrong": only(1, 2),
    "one right pixel": (torch.tensor([[[0, 1, 1, 1]]]), torch.tensor([[[0, 3, 3, 255]]])),
    "a label predicted only": (torch.tensor([[[0, 4, 0, 4]]]), torch.tensor([[[0, 0, 0, 255]]])),
    "a label missed altogether": (torch.tensor([[[0, 0, 0, 0]]]), torch.tensor([[[0, 5, 0, 0]]])),
    "two of six labels": random_masks(0, labels=2),
}


def test_confusion_by_hand() -> None:
    target = torch.tensor([[0, 0, 1], [1, 1, 255]])
    pred = torch.tensor([[0, 1, 1], [0, 1, 0]])
    confusion = confusion_matrix(pred, target, 3)
    assert confusion.tolist() == [[1, 1, 0], [1, 2, 0], [0, 0, 0]]
    assert confusion.dtype == torch.int64


def test_figures_by_hand() -> None:
    assert iou(CONFUSION).tolist() == pytest.approx([3 / 6, 4 / 7])
    assert iou(CONFUSION).dtype == torch.float64
    assert mean_iou(CONFUSION) == pytest.approx(15 / 28)
    assert pixel_accuracy(CONFUSION) == pytest.approx(7 / 10)
    assert mean_accuracy(CONFUSION) == pytest.approx(17 / 24)
    assert frequency_weighted_iou(CONFUSION) == pytest.approx(19 / 35)


def test_labels_in_neither_are_nan_and_left_out_of_means() -> None:
    assert iou(INCOMPLETE).tolist() == pytest.approx([3 / 4, 0, math.nan], nan_ok=True)
    assert mean_iou(INCOMPLETE) == pytest.approx(3 / 8)
    assert mean_accuracy(INCOMPLETE) == pytest.approx(3 / 4)
    assert frequency_weighted_iou(INCOMPLETE) == pytest.approx(3 / 4)


def test_nothing_counted_is_nan() -> None:
    confusion = torch.zeros(3, 3, dtype=torch.int64)
    for figure in (mean_iou, pixel_accuracy, mean_accuracy, frequency_weighted_iou):
        assert math.isnan(figure(confusion))


@pytest.mark.parametrize("seed", range(3))
def test_confusion_agrees_with_sklearn(seed: int) -> None:
    pred, target = random_masks(seed)
    counted = target != 255
    expected = sklearn.metrics.confusion_matrix(target[counted], pred[counted], labels=range(6))
    assert confusion_matrix(pred, target, 6).tolist() == expected.tolist()


@pytest.mark.parametrize("case", [random_masks(1), random_masks(2, ignored=False), *ADVERSARIAL.values()])
def test_mean_iou_agrees_with_sklearn(case: tuple[Tensor, Tensor]) -> None:
    pred, target = case
    true, predicted = target[target != 255], pred[target != 255]
    # Without `labels`, sklearn averages over those that occur, as we do.
    expected = sklearn.metrics.jaccard_score(true, predicted, average="macro", zero_division=0)
    assert mean_iou(confusion_matrix(pred, target, 6)) == pytest.approx(expected)


@pytest.mark.parametrize("case", [random_masks(1), random_masks(2, ignored=False), *ADVERSARIAL.values()])
def test_mean_iou_agrees_with_torchmetrics(case: tuple[Tensor, Tensor]) -> None:
    reference = MulticlassJaccardIndex(num_classes=6, average="macro", ignore_index=255)
    assert mean_iou(confusion_matrix(*case, 6)) == pytest.approx(reference(*case).item(), rel=1e-6)


def test_where_all_is_ignored_there_is_no_score_as_in_torchmetrics() -> None:
    pred, target = only(1, 255)
    assert math.isnan(mean_iou(confusion_matrix(pred, target, 6)))
    assert MulticlassJaccardIndex(num_classes=6, average="macro", ignore_index=255)(pred, target).isnan()


def test_per_label_torchmetrics_gives_absent_labels_a_zero_and_we_none() -> None:
    pred, target = random_masks(3, labels=4)
    reference = MulticlassJaccardIndex(num_classes=6, average="none", ignore_index=255)(pred, target)
    found = iou(confusion_matrix(pred, target, 6))
    assert found[:4].tolist() == pytest.approx(reference[:4].tolist(), rel=1e-6)
    assert found[4:].isnan().all() and (reference[4:] == 0).all()


def test_figures_agree_with_sklearn() -> None:
    pred, target = random_masks(4, ignored=False)
    confusion, true, predicted = confusion_matrix(pred, target, 6), target.flatten(), pred.flatten()
    assert pixel_accuracy(confusion) == pytest.approx(sklearn.metrics.accuracy_score(true, predicted))
    assert mean_accuracy(confusion) == pytest.approx(sklearn.metrics.balanced_accuracy_score(true, predicted))
    weighted = sklearn.metrics.jaccard_score(true, predicted, average="weighted")
    assert frequency_weighted_iou(confusion) == pytest.approx(weighted)


def test_a_data_set_is_not_the_mean_of_its_images() -> None:
    pred, target = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1]]), torch.tensor([[0, 0, 0, 0], [1, 1, 1, 1]])
    per_image = [mean_iou(confusion_matrix(p, t, 2)) for p, t in zip(pred, target, strict=True)]
    assert per_image == pytest.approx([1, 1 / 8])
    assert mean_iou(confusion_matrix(pred, target, 2)) == pytest.approx((4 / 7 + 1 / 4) / 2)


def test_small_integer_types_do_not_overflow() -> None:
    pred, target = random_masks(5, labels=21)
    small = confusion_matrix(pred.to(torch.uint8), target.to(torch.uint8), 21)
    assert torch.equal(small, confusion_matrix(pred, target, 21))


def test_predictions_on_ignored_pixels_are_free() -> None:
    target = torch.tensor([0, 255, 1])
    for value in (0, 7, 255, -1):
        assert confusion_matrix(torch.tensor([0, value, 1]), target, 2).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64])
def test_labels_of_all_types_and_numbers_agree_with_a_loop(dtype: torch.dtype) -> None:
    """With 300 labels, or with a prediction of -1 or 300 where nothing counts, 8 bits do not hold all values."""
    pred, target = random_masks(11)
    expected = torch.zeros(6, 6, dtype=torch.int64)
    for predicted, true in zip(pred.flatten().tolist(), target.flatten().tolist(), strict=True):
        if true != 255:
            expected[true, predicted] += 1
    assert torch.equal(confusion_matrix(pred.to(dtype), target.to(torch.uint8), 6), expected)
    assert torch.equal(confusion_matrix(pred.mT.to(dtype), target.mT.to(dtype), 6), expected)
    many = confusion_matrix(pred.to(dtype), target.to(dtype), 300)
    assert many.shape == (300, 300) and torch.equal(many[:6, :6], expected) and many.sum() == expected.sum()
    for value in (-1, 300):
        unseen = torch.where(target == 255, value, pred)
        assert torch.equal(confusion_matrix(unseen, target.to(dtype), 6), expected)


def test_more_pixels_than_float32_counts() -> None:
    pred = torch.zeros(2**24 + 3, dtype=torch.uint8)
    target = torch.zeros_like(pred)
    target[-1] = 1
    assert confusion_matrix(pred, target, 2).tolist() == [[2**24 + 2, 0], [1, 0]]


def test_no_pixels_at_all() -> None:
    empty = torch.zeros(0, 4, dtype=torch.uint8)
    assert confusion_matrix(empty, empty, 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
@pytest.mark.parametrize(
    "pred, target, message",
    [
        (torch.tensor([0, 255]), torch.tensor([0, 1]), "prediction holds the label 255"),
        (torch.tensor([0, 2]), torch.tensor([0, 1]), "prediction holds the label 2"),
        (torch.tensor([0, -1]), torch.tensor([0, 1]), "prediction holds the label -1"),
        (torch.tensor([0, 1]), torch.tensor([0, 254]), "target holds the label 254"),
        (torch.tensor([0.0, 1.0]), torch.tensor([0, 1]), "prediction must hold integer"),
        (torch.tensor([0, 1]), torch.tensor([[0, 1]]), "differ in shape"),
    ],
)
def test_bad_labels_are_refused(pred: Tensor, target: Tensor, message: str, dtype: torch.dtype) -> None:
    as_given = pred.is_floating_point() or bool((pred < 0).any())
    with pytest.raises(ValueError, match=message):
        confusion_matrix(pred if as_given else pred.to(dtype), target.to(dtype), 2)


@pytest.mark.parametrize(
    "ignored, expected", [(0, [[0, 0], [0, 1]]), (-100, [[1, 0], [0, 1]]), (300, [[1, 0], [0, 1]])]
)
def test_another_ignored_label(ignored: int, expected: list[list[int]]) -> None:
    labels = torch.tensor([0, 1])
    assert confusion_matrix(labels, labels, 2, ignore_index=ignored).tolist() == expected
    assert confusion_matrix(labels.byte(), labels.byte(), 2, ignore_index=ignored).tolist() == expected


def test_255_is_a_label_where_another_one_is_ignored() -> None:
    with pytest.raises(ValueError, match="target holds the label 255"):
        confusion_matrix(torch.tensor([0, 0]), torch.tensor([0, 255]), 2, ignore_index=-2)


@pytest.mark.parametrize("sizes", [(4,), (1, 3), (3, 1), (1, 1, 1, 1)])
def test_the_metric_does_not_depend_on_batch_size_or_order(sizes: tuple[int, ...]) -> None:
    pred, target = random_masks(6)
    metric = SegmentationConfusion(6)
    for batch in reversed(list(zip(pred.split(sizes), target.split(sizes), strict=True))):
        metric.update(*batch)
    assert torch.equal(metric.compute(), confusion_matrix(pred, target, 6))
    assert metric.compute().dtype == torch.int64


def test_metrics_of_two_processes_are_summed() -> None:
    pred, target = random_masks(7)
    first, second = SegmentationConfusion(6), SegmentationConfusion(6)
    first.update(pred[:1], target[:1])
    second.update(pred[1:], target[1:])
    first.merge_state(second)
    assert torch.equal(first.compute(), confusion_matrix(pred, target, 6))


def test_a_computed_matrix_is_not_changed_by_later_batches() -> None:
    pred, target = random_masks(8)
    metric = SegmentationConfusion(6)
    metric.update(pred[:2], target[:2])
    earlier = metric.compute()
    metric.update(pred[2:], target[2:])
    assert torch.equal(earlier, confusion_matrix(pred[:2], target[:2], 6))
    metric.reset()
    metric.update(pred[:1], target[:1])
    assert torch.equal(metric.compute(), confusion_matrix(pred[:1], target[:1], 6))


def test_the_metric_passes_on_the_ignored_label() -> None:
    metric = SegmentationConfusion(2, ignore_index=1)
    metric.update(torch.tensor([0, 0]), torch.tensor([0, 1]))
    assert metric.compute().tolist() == [[1, 0], [0, 0]]


def test_trimap_by_hand() -> None:
    target = torch.zeros(5, 6, dtype=torch.int64)
    target[:2, :2] = 1
    expected = [[0, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0], [0] * 6, [0] * 6]
    assert trimap(target, 1).int().tolist() == expected


@pytest.mark.parametrize("width", [1, 2, 4])
def test_trimap_agrees_with_a_loop(width: int) -> None:
    target = random_masks(9, labels=2)[1][0]
    target[:, 4:] = 0
    expected = torch.zeros(13, 9, dtype=torch.bool)
    for i in range(13):
        for j in range(9):
            window = target[max(i - width, 0) : i + width + 1, max(j - width, 0) : j + width + 1]
            expected[i, j] = bool((window != target[i, j]).any())
    assert 0 < expected.sum() < expected.numel()
    assert torch.equal(trimap(target, width), expected)


def test_a_void_band_is_a_boundary_and_the_image_border_is_none() -> None:
    target = torch.tensor([[0, 0, 255, 1, 1]])
    assert trimap(target, 1).tolist() == [[False, True, True, True, False]]
    assert not trimap(torch.zeros(4, 5, dtype=torch.uint8), 3).any()


def test_trimap_accuracy_by_hand() -> None:
    target = torch.tensor([[0, 0, 0, 1, 1, 1, 255]])
    pred = torch.tensor([[1, 0, 1, 1, 0, 1, 0]])
    assert trimap_accuracy(pred, target, 1) == pytest.approx(2 / 3)
    assert trimap_accuracy(pred, target, 2) == pytest.approx(3 / 5)
    assert trimap_accuracy(pred, target, 50) == pytest.approx(1 / 2)


def test_a_wide_trimap_gives_the_pixel_accuracy() -> None:
    pred, target = random_masks(10)
    accuracy = pixel_accuracy(confusion_matrix(pred[0], target[0], 6))
    assert trimap_accuracy(pred[0], target[0], 13) == pytest.approx(accuracy)


def test_trimap_accuracy_without_a_boundary_is_nan() -> None:
    mask = torch.zeros(4, 4, dtype=torch.int64)
    assert math.isnan(trimap_accuracy(mask, mask, 2))


def _scored(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Winners 1..5, scores of two decimals, so that many lie on a threshold, and a target."""
    generator = torch.Generator().manual_seed(seed)
    winners, target = torch.randint(1, 6, (2, 13, 9), generator=generator)
    target[:, :4] = 0
    target[torch.rand(target.shape, generator=generator) < 0.1] = 255
    return winners, torch.randint(0, 101, (13, 9), generator=generator) / 100, target


THRESHOLDS = torch.arange(60) / 100


@pytest.mark.parametrize("seed", range(3))
def test_confusions_of_all_thresholds_agree_with_one_after_the_other(seed: int) -> None:
    winners, scores, target = _scored(seed)
    found = threshold_confusions(winners, scores, target, THRESHOLDS, 6)
    for threshold, confusion in zip(THRESHOLDS, found, strict=True):
        pred = torch.where(scores > threshold, winners, 0)
        assert torch.equal(confusion, confusion_matrix(pred, target, 6))
    assert len(found.unique(dim=0)) > 30


def test_a_score_at_the_threshold_is_background() -> None:
    thresholds = torch.tensor([0.29, 0.3, 0.31], dtype=torch.float64)
    found = threshold_confusions(torch.tensor([1]), torch.tensor([0.3]), torch.tensor([1]), thresholds, 2)
    assert found[:, 1].tolist() == [[0, 1], [1, 0], [1, 0]]


def test_thresholds_refuse_labels_as_the_confusion_matrix_does() -> None:
    maps = torch.tensor([1, 2]), torch.ones(2), torch.tensor([1, 1])
    with pytest.raises(ValueError, match="prediction holds the label 2"):
        threshold_confusions(*maps, THRESHOLDS, 2)


@pytest.mark.parametrize("seed", range(3))
def test_boundary_distance_agrees_with_a_loop(seed: int) -> None:
    target = random_masks(seed, labels=2)[1][0]
    target[:, 3:] = 0
    found, places = boundary_distance(target), [(i, j) for i in range(13) for j in range(9)]
    for i, j in places:
        others = [max(abs(i - k), abs(j - m)) for k, m in places if target[k, m] != target[i, j]]
        assert found[i, j] == min(others)
    assert found.max() > 2


def test_one_label_is_farther_from_a_boundary_than_any_pixel() -> None:
    assert (boundary_distance(torch.full((4, 5), 255)) == 9).all()


@pytest.mark.parametrize("seed", range(2))
def test_trimaps_of_all_thresholds_and_widths_agree_with_trimap_accuracy(seed: int) -> None:
    winners, scores, target = _scored(seed)
    right, pixels = threshold_trimaps(winners, scores, target, THRESHOLDS, 5)
    accuracy = right / pixels
    assert accuracy.shape == (60, 5) and len(accuracy.unique()) > 30
    for t in range(0, 60, 7):
        pred = torch.where(scores > THRESHOLDS[t], winners, 0)
        expected = [trimap_accuracy(pred, target, width) for width in range(1, 6)]
        assert accuracy[t].tolist() == pytest.approx(expected)


def test_trimaps_without_a_boundary_count_nothing() -> None:
    target = torch.ones(4, 4, dtype=torch.uint8)
    right, pixels = threshold_trimaps(target, torch.ones(4, 4), target, THRESHOLDS, 3)
    assert not right.any() and not pixels.any()


@pytest.mark.parametrize("shape, width, message", [((2, 4, 4), 1, r"mask \(H, W\)"), ((4, 4), 0, "width")])
def test_other_trimaps_are_refused(shape: tuple[int, ...], width: int, message: str) -> None:
    mask = torch.zeros(shape, dtype=torch.int64)
    with pytest.raises(ValueError, match=message):
        trimap_accuracy(mask, mask, width)


def test_trimap_accuracy_needs_equal_shapes() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        trimap_accuracy(torch.zeros(3, 4), torch.zeros(4, 3), 1)
