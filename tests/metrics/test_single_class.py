import math

import pytest
import torch

from wsss_lightning.metrics.segmentation import confusion_matrix
from wsss_lightning.metrics.single_class import accuracies, one_against_all


def test_worked_example() -> None:
    """Four of the class, of which three are found, one ignored; of five others one is taken for it."""
    target = torch.tensor([2, 2, 2, 2, 255, 0, 0, 1, 3, 0], dtype=torch.uint8)
    pred = torch.tensor([2, 2, 2, 0, 2, 0, 0, 2, 0, 0], dtype=torch.uint8)
    both = [one_against_all(labels, label=2) for labels in (pred, target)]
    assert both[1].tolist() == [1, 1, 1, 1, 255, 0, 0, 0, 0, 0]
    found = accuracies(confusion_matrix(*both, num_labels=2))
    assert found == pytest.approx({"ap": 3 / 5, "foreground": 3 / 4, "background": 4 / 5})


def test_an_absent_class_has_no_ap() -> None:
    found = accuracies(torch.tensor([[5, 0], [0, 0]]))
    assert math.isnan(found["ap"]) and math.isnan(found["foreground"]) and found["background"] == 1
