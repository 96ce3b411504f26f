from __future__ import annotations

import copy
from pathlib import Path

import fake_training
from omegaconf import OmegaConf
from PIL import Image

from wsss_lightning import pipeline
from wsss_lightning.pipeline.planning import plan_config


def test_tensorboard_gets_the_same_scalars_and_pictures(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    Image.new("RGB", (30, 20)).save(tmp_path / "train_0.png")
    stages = copy.deepcopy(fake_training.STAGES)
    stages["labels"]["data"]["root"] = str(tmp_path)  # type: ignore[index]
    board = {"_target_": "wsss_lightning.dashboards.tensorboard_run.TensorBoardRun", "folder": str(tmp_path / "board")}
    config = {
        "paths": {"store": str(tmp_path.parent / "store")},
        "logger": {"tensorboard": board},
        "result": "evaluation",
    }
    run = {"name": "points/top k=5", "group": "a sweep", "varied": {"k": 5}}
    pipeline.run(plan_config(OmegaConf.create({**config, "stages": stages, "run": run})))
    (folder,) = (tmp_path / "board" / "a_sweep").iterdir()
    assert folder.name.startswith("points_top_k=5-")
    events = EventAccumulator(str(folder))
    events.Reload()
    loss = [(event.step, event.value) for event in events.Scalars("model/train/loss")]
    assert loss == [(10, 4.0), (20, 3.0), (30, 2.0)]
    assert [event.step for event in events.Scalars("evaluation/miou_by_threshold")] == [100, 200]
    assert events.Scalars("evaluation/val/miou")[0].value == 0.5
    assert {"val/miou", "evaluation/val/iou/cat", "labels/wall_seconds"} <= set(events.Tags()["scalars"])
    images = {"labels/overlays/train_0", "labels/cam/train_0", "evaluation/overlays/val_0", "evaluation/scores/val_1"}
    assert images <= set(events.Tags()["images"])
