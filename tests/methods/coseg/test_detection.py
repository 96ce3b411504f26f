import numpy as np
import pytest
import torch
from torchvision.ops import box_iou, nms

from wsss_lightning.methods.coseg.detection import Detections, join_detections, overlaps, suppressed, top_detections


def boxes(count: int, seed: int = 0) -> np.ndarray:
    corners = np.random.default_rng(seed).random((count, 2, 2)) * 20
    return np.concatenate([corners.min(axis=1), corners.max(axis=1) + 1], axis=1).astype(np.float32)


def test_overlaps_are_those_of_torchvision() -> None:
    one, other = boxes(7), boxes(5, 1)
    expected = box_iou(torch.from_numpy(one), torch.from_numpy(other)).numpy()
    np.testing.assert_allclose(overlaps(one, other), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_suppression_is_that_of_torchvision_for_every_detector(seed: int) -> None:
    windows, scores = boxes(40, seed), np.random.default_rng(seed).normal(size=(40, 6)).astype(np.float32)
    detectors, kept, found = suppressed(scores, windows, overlap=0.3, most=100, threshold=-np.inf)
    for detector in range(6):
        expected = nms(torch.from_numpy(windows), torch.from_numpy(scores[:, detector]), 0.3).tolist()
        mine = kept[detectors == detector]
        assert mine[np.isfinite(found[detectors == detector])].tolist() == expected


def test_only_so_many_and_only_from_the_threshold_on() -> None:
    far = np.array([[10 * k, 0, 10 * k + 5, 5] for k in range(4)], np.float32)
    scores = np.array([[3, 0], [2, -1], [1, -2], [0, -3]], np.float32)
    detectors, windows, found = suppressed(scores, far, overlap=0.5, most=2, threshold=0)
    assert list(zip(detectors, windows, found, strict=True)) == [(0, 0, 3), (1, 0, 0), (0, 1, 2)]


def test_no_window_no_detection() -> None:
    found = suppressed(np.zeros((0, 3), np.float32), np.zeros((0, 4), np.float32), overlap=0.5, most=2, threshold=0)
    assert [len(part) for part in found] == [0, 0, 0]


def detections(*rows: tuple[int, int, float]) -> Detections:
    detector, image, score = (np.array(column) for column in zip(*rows, strict=True))
    return Detections(detector, image, score.astype(np.float32), np.zeros((len(rows), 4), np.float32))


def test_the_best_of_each_detector_and_at_home_its_best_alone() -> None:
    found = detections((0, 0, 9.0), (0, 0, 8.0), (0, 1, 7.0), (0, 2, 1.0), (0, 3, 6.0))
    top = top_detections(found, np.array([0]), top=3, kept=1.0)
    assert list(zip(top.image, top.score, strict=True)) == [(0, 9), (1, 7), (3, 6)]


def test_elsewhere_an_image_may_have_several() -> None:
    found = detections((0, 1, 5.0), (0, 1, 4.0), (0, 0, 3.0))
    assert top_detections(found, np.array([0]), top=2, kept=1.0).score.tolist() == [5, 4]


def test_detectors_with_too_few_and_the_worst_are_dropped() -> None:
    full = [(detector, image, 10.0 - detector) for detector in range(5) for image in range(2)]
    found = detections(*full, (5, 0, 99.0))
    top = top_detections(found, np.array([9] * 6), top=2, kept=0.8)
    assert sorted(set(top.detector.tolist())) == [0, 1, 2, 3]


def test_joining_nothing_is_nothing() -> None:
    assert len(join_detections([])) == 0
    assert len(top_detections(join_detections([]), np.zeros(3, np.intp), top=2, kept=0.8)) == 0
