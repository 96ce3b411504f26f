import json
from functools import partial
from pathlib import Path

import pytest
import torch
from fake_coseg import TRAINER, train
from fake_segmenter import open_voc, write_weak_masks

from wsss_lightning import models
from wsss_lightning.errors import InputError
from wsss_lightning.methods.coseg.stages.choose_snapshot import choose_snapshot
from wsss_lightning.methods.coseg.stages.fit_on_masks import SNAPSHOTS
from wsss_lightning.methods.coseg.stages.predict_scales import predict_scales
from wsss_lightning.model_files import WEIGHTS
from wsss_lightning.stages.evaluate import evaluate
from wsss_lightning.stages.io import read_tensors, write_tensors


def choose(root: Path, *, workers: int = 0) -> dict[str, float]:
    return choose_snapshot(
        out_dir=str(root / "chosen"),
        data=open_voc(root / "voc"),
        model=str(root / "trained"),
        trainer=partial(TRAINER, fast_dev_run=True),  # of trainings: all images are looked at
        workers=workers,
        progress=False,
    )


def snapshot(root: Path, step: int) -> Path:
    return root / "trained" / SNAPSHOTS / f"{step:06d}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Snapshots of a network in training, made to say one label everywhere: the best here is background."""
    data = open_voc(tmp_path / "voc")
    train(tmp_path / "trained", data, write_weak_masks(tmp_path / "masks", data), snapshot_every=2)
    for step, label in {2: 20, 4: 0, 6: 19}.items():
        path = snapshot(tmp_path, step) / WEIGHTS
        state = read_tensors(path)
        state["network.head.5.bias"][label] += 100
        write_tensors(path, state)
    (tmp_path / "trained" / SNAPSHOTS / ".writing-1").mkdir()  # of a process that was killed while it wrote
    return tmp_path


def score(root: Path, step: int) -> float:
    """Val mIoU of one snapshot by the stages that predict and evaluate."""
    data, folder = open_voc(root / "voc"), root / f"by_hand_{step}"
    predict_scales(
        out_dir=str(folder),
        data=data,
        model=str(snapshot(root, step)),
        split="val",
        scales=[1.0],
        tagged=False,
        keep=False,
        trainer=TRAINER,
        workers=0,
        progress=False,
    )
    options = {"extra_masks": {}, "extra_panels": None, "groups": {}, "loggers": {}, "panels": 0, "progress": False}
    return evaluate(out_dir=str(folder), data=data, masks=str(folder / "masks"), **options)["val/miou"]  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [0, 1])
def test_the_best_on_val_masks_is_kept(root: Path, workers: int) -> None:
    metrics = choose(root, workers=workers)
    scores = {step: score(root, step) for step in (2, 4, 6)}
    best = max(scores, key=lambda step: scores[step])
    assert metrics == {"val/miou": scores[best], "step": best}
    assert best == 4 and scores[2] < scores[4] > scores[6]
    kept, chosen = models.load(root / "chosen").state_dict(), models.load(snapshot(root, best)).state_dict()
    assert all(torch.equal(kept[name], value) for name, value in chosen.items())
    assert models.read_inputs(root / "chosen") == models.read_inputs(root / "trained")


def test_snapshots_that_have_a_score_are_not_scored_again(root: Path) -> None:
    choose(root)
    (root / "chosen" / "scores" / "000002.json").write_text(json.dumps(0.999))
    assert choose(root) == {"val/miou": 0.999, "step": 2}


def test_without_snapshots(tmp_path: Path) -> None:
    open_voc(tmp_path / "voc")
    with pytest.raises(InputError, match="has no snapshots: set snapshot_every"):
        choose(tmp_path)
