"""Stage: the training step whose network segments val images best, as the coseg authors' code chooses an epoch.

It opens val masks. No experiment but those that say so on their supervision card uses it.
"""

from pathlib import Path

from wsss_lightning import models
from wsss_lightning.atomic import with_nan
from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.coseg.stages.fit_on_masks import read_snapshots
from wsss_lightning.methods.coseg.stages.predict_scales import load_segmenter
from wsss_lightning.metrics.segmentation import mean_iou
from wsss_lightning.progress import track
from wsss_lightning.stages.fit import MakeTrainer, make_whole_trainer, quiet
from wsss_lightning.stages.io import read_json, write_json


def choose_snapshot(
    *, out_dir: str, data: SegmentationDataModule, model: str, trainer: MakeTrainer, workers: int, progress: bool
) -> dict[str, float]:
    """Keep the best of the snapshots of a `fit_on_masks` stage, by the val mIoU of single-scale predictions.

    Leaves it as a model (`models.load`), and `scores/<step>.json`; returns the highest `val/miou` and its `step`.
    Snapshots that have a score are not scored again.
    """
    folder, snapshots = Path(out_dir), read_snapshots(Path(model))
    if not snapshots:
        raise InputError(f"{model} has no snapshots: set snapshot_every of that stage to fewer steps than it has.")
    scores = {path: folder / "scores" / f"{path.name}.json" for path in snapshots}
    missing = [path for path in snapshots if not scores[path].exists()]
    data.workers = workers
    for path in track(missing, description="snapshots", total=len(missing), enabled=progress):
        _score(path, data, trainer=trainer, target=scores[path])
    values = with_nan({path: read_json(score) for path, score in scores.items()})
    best = max(values, key=lambda path: values[path])
    models.save(models.load(best), folder, inputs=models.read_inputs(best))
    return {"val/miou": values[best], "step": float(best.name)}


def _score(snapshot: Path, data: SegmentationDataModule, *, trainer: MakeTrainer, target: Path) -> None:
    """`Trainer.test` of a snapshot; its val mIoU is written by one of the processes."""
    segmenter = load_segmenter(str(snapshot), data)
    with quiet():
        runner = make_whole_trainer(trainer, callbacks=[], folder=target.parent)
        runner.test(segmenter, datamodule=data, verbose=False)
        if runner.is_global_zero:
            write_json(target, mean_iou(segmenter.confusion.compute()))
        runner.strategy.barrier()
