import torch

from wsss_lightning.methods.points.stages.threshold import thresholded_labels


def test_the_best_class_or_background_below_the_threshold() -> None:
    scores = torch.tensor([[[0.2, 0.1, 0.9]], [[0.1, 0.19, 0.95]]])
    assert thresholded_labels(scores, 0.2).tolist() == [[1, 0, 2]]
    assert thresholded_labels(scores, 0.0).tolist() == [[1, 2, 2]]
    assert thresholded_labels(scores, 1.0).tolist() == [[0, 0, 0]]
