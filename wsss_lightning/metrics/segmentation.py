"""Segmentation metrics of the field, all derived from one confusion matrix that is summed over the data set.

The VOC score is the mean over classes of the data set's IoU, background included. Averaging the IoU of single images,
as torchmetrics' `segmentation.MeanIoU` does, gives another number.
"""

import math

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

_EXACT = 1 << 24  # OpenCV returns counts as float32, which holds every integer up to here


def confusion_matrix(pred: Tensor, target: Tensor, num_labels: int, ignore_index: int = 255) -> Tensor:
    """Counts of pixels, (L, L) int64: row = true label, column = predicted label.

    Args:
        pred: integer labels 0..L-1 of any shape; any value where the target is ignored.
        target: integer labels of the same shape, 0..L-1 or `ignore_index`.
        num_labels: L, background included.
        ignore_index: target value whose pixels are left out.

    Raises:
        ValueError: shapes differ, a floating-point tensor, or a counted pixel whose value is outside 0..L-1, which
            includes `ignore_index` as a prediction: a pixel that was left out is not a right answer.
    """
    _check_shapes(pred, target)
    true, predicted = _bytes(target), _bytes(pred)
    if true is None or predicted is None or num_labels > 256:
        pairs = _pairs(pred, target, target != ignore_index, num_labels)
        return _histogram(pairs, (num_labels, num_labels))
    counts = _byte_histogram(true, predicted)
    if 0 <= ignore_index <= 255:
        counts[ignore_index] = 0
    confusion = counts[:num_labels, :num_labels]
    if confusion.sum() < counts.sum():
        for name, axis in (("target", 1), ("prediction", 0)):
            _check_labels(name, torch.from_numpy(np.flatnonzero(counts.any(axis))), num_labels)
    return torch.from_numpy(confusion.copy())


def threshold_confusions(
    winners: Tensor, scores: Tensor, target: Tensor, thresholds: Tensor, num_labels: int, ignore_index: int = 255
) -> Tensor:
    """`confusion_matrix` of "the winner where its score exceeds t, else background", for all thresholds t at once.

    Args:
        winners: integer labels 0..L-1, the best foreground label of each pixel; any value where the target is ignored.
        scores: floats of the same shape, the winner's score.
        target: integer labels of the same shape, 0..L-1 or `ignore_index`.
        thresholds: (T,) ascending; they are compared in the precision of `scores`.
        num_labels: L, background included.
        ignore_index: target value whose pixels are left out.

    Returns:
        (T, L, L) int64.

    Raises:
        ValueError: as in `confusion_matrix`.
    """
    counted = target != ignore_index
    exceeded = _exceeded(scores[counted], thresholds)
    cells = exceeded * num_labels**2 + _pairs(winners, target, counted, num_labels)
    counts = _histogram(cells, (len(thresholds) + 1, num_labels, num_labels))
    confusions = _above(counts)
    confusions[:, :, 0] += (counts.sum(0) - confusions).sum(-1)
    return confusions


def iou(confusion: Tensor) -> Tensor:
    """Intersection over union per label, (L, L) -> (L,) float64; nan where a label occurs in neither."""
    hits = confusion.diagonal().double()
    return hits / (confusion.sum(0) + confusion.sum(1) - hits)


def mean_iou(confusion: Tensor) -> float:
    """Mean of `iou` over the labels that occur in target or prediction."""
    return float(iou(confusion).nanmean())


def pixel_accuracy(confusion: Tensor) -> float:
    """Fraction of counted pixels whose label is right; nan if there are none."""
    return float(confusion.diagonal().sum().double() / confusion.sum())


def mean_accuracy(confusion: Tensor) -> float:
    """Mean over the labels that occur in the target of the fraction of their pixels that are right."""
    return float(recall(confusion).nanmean())


def precision(confusion: Tensor) -> Tensor:
    """Fraction of the pixels given a label that have it, (L, L) -> (L,) float64; nan where none is given it."""
    return confusion.diagonal().double() / confusion.sum(0)


def recall(confusion: Tensor) -> Tensor:
    """Fraction of a label's true pixels that are given it, (L, L) -> (L,) float64; nan where it has none."""
    return confusion.diagonal().double() / confusion.sum(1)


def over_activation(confusion: Tensor) -> Tensor:
    """False pixels of a label over its right ones, FP / TP, (L, L) -> (L,) float64; nan without a right one.

    The ratio by which the field tells masks that spill over (above 1: more false than right pixels) from small ones.
    """
    hits = confusion.diagonal().double()
    return torch.where(hits > 0, (confusion.sum(0) - hits) / hits, torch.nan)


def frequency_weighted_iou(confusion: Tensor) -> float:
    """Mean of `iou` weighted by the number of true pixels of each label; nan without pixels."""
    frequency = confusion.sum(1).double()
    return float((frequency * iou(confusion)).nansum() / frequency.sum())


def trimap(target: Tensor, width: int) -> Tensor:
    """Pixels within `width` of a boundary of the target, (H, W) integers -> (H, W) bool.

    A pixel belongs to it if another label lies at most `width` pixels away in chessboard distance. 255 counts as a
    label here: VOC's masks draw a band of it between objects, so that without it they would have hardly any boundary.
    The border of the image is no boundary.
    """
    if width < 1:
        raise ValueError(f"the width of a trimap is at least 1 pixel, not {width}")
    return boundary_distance(target) <= width


def trimap_accuracy(pred: Tensor, target: Tensor, width: int, ignore_index: int = 255) -> float:
    """Fraction of the pixels in `trimap(target, width)` whose label is right, ignored ones left out (priors fig. 10).

    Args:
        pred: integer labels, (H, W).
        target: integer labels, (H, W), of one image. To sum over images, put `ignore_index` outside the trimap and
            add the confusion matrices.
        width: pixels on each side of a boundary, at least 1.
        ignore_index: target value whose pixels are left out.

    Returns:
        A fraction in [0, 1]; nan if no pixel is left.

    Raises:
        ValueError: shapes differ or are not (H, W), or `width` is less than 1.
    """
    _check_shapes(pred, target)
    counted = trimap(target, width) & (target != ignore_index)
    return float((pred == target)[counted].double().mean())


def boundary_distance(target: Tensor) -> Tensor:
    """How far each pixel is from another label: `trimap(target, w)` is where this is at most w.

    Args:
        target: integer labels (H, W), of one image.

    Returns:
        (H, W) int64 chessboard distance in pixels, at least 1; H + W if the image has one label only.

    Raises:
        ValueError: another shape.
    """
    if target.ndim != 2:
        raise ValueError(f"need a mask (H, W), not {tuple(target.shape)}")
    labels, window = target.cpu().numpy().astype(np.float32), np.ones((3, 3), np.uint8)
    beside = cv2.dilate(labels, window) != cv2.erode(labels, window)
    if not beside.any():
        return torch.full_like(target, sum(target.shape), dtype=torch.int64)
    # The way to another label leads through a pixel beside one, so one transform serves all labels.
    distance = cv2.distanceTransform((~beside).astype(np.uint8), cv2.DIST_C, cv2.DIST_MASK_3)
    return torch.from_numpy(distance).long().to(target.device) + 1


def threshold_trimaps(
    winners: Tensor, scores: Tensor, target: Tensor, thresholds: Tensor, widest: int, ignore_index: int = 255
) -> tuple[Tensor, Tensor]:
    """Numerators and denominators of `trimap_accuracy` for the widths 1..`widest` and all thresholds at once.

    Arguments as in `threshold_confusions`, for one image (H, W); to be summed over images.

    Returns:
        right pixels (T, W) int64 and counted pixels (W,) int64, W being `widest`.
    """
    distance = boundary_distance(target)
    near = (target != ignore_index) & (distance <= widest)
    true, step = target[near], distance[near] - 1
    shape, cells = (len(thresholds) + 1, widest), _exceeded(scores[near], thresholds) * widest + step
    winning = _histogram(cells[winners[near] == true], shape)
    background = _histogram(cells[true == 0], shape)
    right = _above(winning) + background.sum(0) - _above(background)
    return right.cumsum(1), _histogram(step, (widest,)).cumsum(0)


class SegmentationConfusion(Metric):
    """Sums `confusion_matrix` over batches and processes; `compute()` returns the (L, L) int64 matrix.

    Args:
        num_labels: L, background included.
        ignore_index: target value whose pixels are left out.
    """

    full_state_update = False
    confusion: Tensor

    def __init__(self, num_labels: int, ignore_index: int = 255) -> None:
        super().__init__()
        self.num_labels = num_labels
        self.ignore_index = ignore_index
        self.add_state("confusion", torch.zeros(num_labels, num_labels, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, pred: Tensor, target: Tensor) -> None:
        """Add one batch; arguments and errors as in `confusion_matrix`."""
        self.confusion += confusion_matrix(pred, target, self.num_labels, self.ignore_index)

    def compute(self) -> Tensor:
        """The matrix summed so far."""
        return self.confusion


def _exceeded(scores: Tensor, thresholds: Tensor) -> Tensor:
    """How many of the ascending thresholds each score exceeds."""
    return torch.bucketize(scores, thresholds.to(scores.dtype))


def _above(counts: Tensor) -> Tensor:
    """Counts (T + 1, ...) by how many thresholds are exceeded -> (T, ...) of what exceeds each threshold."""
    return counts.flip(0).cumsum(0).flip(0)[1:]


def _histogram(cells: Tensor, shape: tuple[int, ...]) -> Tensor:
    return torch.bincount(cells, minlength=math.prod(shape)).reshape(shape)


def _bytes(labels: Tensor) -> NDArray[np.uint8] | None:
    """Labels on the CPU that 8 bits hold, (1, P); None for others."""
    if labels.device.type != "cpu" or labels.is_floating_point() or not labels.numel():
        return None
    if labels.dtype != torch.uint8:
        lowest, highest = labels.aminmax()
        if lowest < 0 or highest > 255:
            return None
    return labels.detach().to(torch.uint8).reshape(1, -1).numpy()


def _byte_histogram(true: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each pair of bytes occurs, (1, P) x 2 -> (256, 256)."""
    counts = np.zeros((256, 256), np.int64)
    for start in range(0, true.shape[1], _EXACT):
        part = [labels[:, start : start + _EXACT] for labels in (true, predicted)]
        counts += cv2.calcHist(part, [0, 1], None, [256, 256], [0, 256, 0, 256]).astype(np.int64)
    return counts


def _pairs(pred: Tensor, target: Tensor, counted: Tensor, num_labels: int) -> Tensor:
    """The cell of the confusion matrix that each counted pixel falls into."""
    _check_shapes(pred, target)
    true, predicted = target[counted], pred[counted]
    _check_labels("target", true, num_labels)
    _check_labels("prediction", predicted, num_labels)
    return true.long() * num_labels + predicted.long()


def _check_shapes(pred: Tensor, target: Tensor) -> None:
    if pred.shape != target.shape:
        raise ValueError(f"prediction {tuple(pred.shape)} and target {tuple(target.shape)} differ in shape")


def _check_labels(name: str, labels: Tensor, num_labels: int) -> None:
    if labels.is_floating_point():
        raise ValueError(f"{name} must hold integer labels, not {labels.dtype}")
    wrong = labels[(labels < 0) | (labels >= num_labels)]
    if wrong.numel():
        raise ValueError(f"{name} holds the label {int(wrong[0])}, outside 0..{num_labels - 1}")
