"""Segmentation metrics of the field, all derived from one confusion matrix that is summed over the data set.

The VOC score is the mean over classes of the data set's IoU, background included. Averaging the IoU of single images,
as torchmetrics' `segmentation.MeanIoU` does, gives another number.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric


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
    if pred.shape != target.shape:
        raise ValueError(f"prediction {tuple(pred.shape)} and target {tuple(target.shape)} differ in shape")
    counted = target != ignore_index
    true, predicted = target[counted], pred[counted]
    _check_labels("target", true, num_labels)
    _check_labels("prediction", predicted, num_labels)
    pairs = true.long() * num_labels + predicted.long()
    return torch.bincount(pairs, minlength=num_labels**2).reshape(num_labels, num_labels)


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
    return float((confusion.diagonal().double() / confusion.sum(1)).nanmean())


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
    if target.ndim != 2 or width < 1:
        raise ValueError(f"need a mask (H, W) and a width of at least 1 pixel, not {tuple(target.shape)} and {width}")
    labels = target[None].float()
    return (_window_max(labels, width) != -_window_max(-labels, width))[0]


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
    if pred.shape != target.shape:
        raise ValueError(f"prediction {tuple(pred.shape)} and target {tuple(target.shape)} differ in shape")
    counted = trimap(target, width) & (target != ignore_index)
    return float((pred == target)[counted].double().mean())


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


def _window_max(maps: Tensor, width: int) -> Tensor:
    rows = F.max_pool2d(maps, (2 * width + 1, 1), stride=1, padding=(width, 0))
    return F.max_pool2d(rows, (1, 2 * width + 1), stride=1, padding=(0, width))


def _check_labels(name: str, labels: Tensor, num_labels: int) -> None:
    if labels.is_floating_point():
        raise ValueError(f"{name} must hold integer labels, not {labels.dtype}")
    wrong = labels[(labels < 0) | (labels >= num_labels)]
    if wrong.numel():
        raise ValueError(f"{name} holds the label {int(wrong[0])}, outside 0..{num_labels - 1}")
