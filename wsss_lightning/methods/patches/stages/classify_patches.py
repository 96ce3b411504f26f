"""Stage: does an image show the class? N of its patches tell (patches sec. 4, classification)."""

from pathlib import Path

import torch

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.target import target_index
from wsss_lightning.methods.patches.stages.fit_patches import read_patch_module
from wsss_lightning.methods.patches.steps import CentralImages, MiddlePatches
from wsss_lightning.metrics.tags import average_precision, balanced_accuracy
from wsss_lightning.stages.fit import MakeTrainer, make_whole_trainer, quiet


def classify_patches(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    target: str,
    model: str,
    patches: int,
    size: tuple[int, int],
    trainer: MakeTrainer,
    workers: int,
) -> dict[str, float]:
    """`val/classified`, the share of val images whose higher pooled score agrees with their tag of `target`.

    Most images do not show the class, so that a constant answer scores high: `val/classified_balanced` is the mean of
    the shares with and without it, `val/tag_ap` needs no threshold. `model`: folder of a `fit_patches` stage;
    `patches`, `size`: as it was trained. Patches are those in the middle of the N sub-images.
    """
    module, images = read_patch_module(model), CentralImages(data, data.records("val"), size=size)
    middle = MiddlePatches(images, target=target_index(data, target), count=patches, size=module.network.size)
    with quiet():
        runner = make_whole_trainer(trainer, callbacks=[], folder=Path(out_dir))
        runner.validate(module, middle.loader(workers=workers), verbose=False)
    probs, tags = (torch.cat(column).cpu() for column in (module.tag_scores.scores, module.tag_scores.tags))
    return {
        "val/classified": float(((probs > 0.5) == tags).double().mean()),
        "val/classified_balanced": float(balanced_accuracy(probs, tags)[0]),
        "val/tag_ap": float(average_precision(probs, tags)[0]),
    }
