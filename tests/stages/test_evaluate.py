import math

from wsss_lightning.stages.evaluate import mean_over


def test_mean_over_a_group_counts_background_and_leaves_absent_classes_out() -> None:
    metrics = {"val/iou/background": 0.9, "val/iou/cat": 0.3, "val/iou/dog": math.nan, "val/iou/cow": 0.6}
    assert mean_over(metrics, ["cat", "dog"]) == (0.9 + 0.3) / 2
