import json
from pathlib import Path

import pytest
import torch
from fake_coseg import NETWORK, train
from fake_segmenter import backbone, open_voc, write_weak_masks

from wsss_lightning.errors import InputError
from wsss_lightning.methods.coseg.stages.choose_snapshot import choose_snapshot
from wsss_lightning.methods.coseg.stages.fit_on_masks import SNAPSHOTS, WEIGHTS
from wsss_lightning.methods.coseg.stages.predict_scales import predict_scales
from wsss_lightning.stages.evaluate import evaluate
from wsss_lightning.stages.io import read_tensors, write_tensors


def choose(root: Path) -> dict[str, float]:
    return choose_snapshot(
        out_dir=str(root / "chosen"),
        data=open_voc(root / "voc"),
        backbone=backbone(),
        network=NETWORK,
        branch="added",
        trained=str(root / "trained"),
        accelerator="cpu",
        progress=False,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Snapshots of a network in training, made to say one label everywhere: the best here is background."""
    data = open_voc(tmp_path / "voc")
    train(tmp_path / "trained", data, write_weak_masks(tmp_path / "masks", data), snapshot_every=2)
    for step, label in {2: 20, 4: 0, 6: 19}.items():
        path = tmp_path / "trained" / SNAPSHOTS / f"{step:06d}.safetensors"
        state = read_tensors(path)
        state["head.5.bias"][label] += 100
        write_tensors(path, state)
    return tmp_path


def score(root: Path, step: int) -> float:
    """Val mIoU of one snapshot by the stages that predict and evaluate."""
    data, folder = open_voc(root / "voc"), root / f"by_hand_{step}"
    state = read_tensors(root / "trained" / SNAPSHOTS / f"{step:06d}.safetensors")
    write_tensors(folder / WEIGHTS, state)
    settings = {"network": NETWORK, "branch": "added", "split": "val", "scales": [1.0], "tagged": False, "keep": False}
    predict_scales(  # type: ignore[arg-type]
        out_dir=str(folder), data=data, backbone=backbone(), trained=str(folder), accelerator="cpu", progress=False,
        **settings,
    )  # fmt: skip
    options = {"extra_masks": {}, "extra_panels": None, "groups": {}, "loggers": {}, "panels": 0, "progress": False}
    return evaluate(out_dir=str(folder), data=data, masks=str(folder / "masks"), **options)["val/miou"]  # type: ignore[arg-type]


def test_the_best_on_val_masks_is_kept(root: Path) -> None:
    metrics = choose(root)
    scores = {step: score(root, step) for step in (2, 4, 6)}
    best = max(scores, key=lambda step: scores[step])
    assert metrics == {"val/miou": pytest.approx(scores[best]), "step": best}
    assert best == 4 and scores[2] < scores[4] > scores[6]
    kept = read_tensors(root / "chosen" / WEIGHTS)
    chosen = read_tensors(root / "trained" / SNAPSHOTS / f"{best:06d}.safetensors")
    assert all(torch.equal(kept[name], value) for name, value in chosen.items())


def test_snapshots_that_have_a_score_are_not_scored_again(root: Path) -> None:
    choose(root)
    (root / "chosen" / "scores" / "000002.json").write_text(json.dumps(0.999))
    assert choose(root) == {"val/miou": 0.999, "step": 2}


def test_without_snapshots(tmp_path: Path) -> None:
    open_voc(tmp_path / "voc")
    with pytest.raises(InputError, match="has no snapshots: set snapshot_every"):
        choose(tmp_path)
