"""Stage: the training step whose network segments val images best, as the coseg authors' code chooses an epoch.

It opens val masks. No experiment but those that say so on their supervision card uses it.
"""

import json
from pathlib import Path

import torch
from torch import Tensor

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.images import read_image
from wsss_lightning.data.samples import Normalisation
from wsss_lightning.errors import InputError
from wsss_lightning.methods.coseg.network import Branch
from wsss_lightning.methods.coseg.stages.fit_on_masks import SNAPSHOTS, WEIGHTS, MakeNetwork, read_network
from wsss_lightning.methods.coseg.stages.predict_scales import Predictor, best_labels
from wsss_lightning.metrics.segmentation import confusion_matrix, mean_iou
from wsss_lightning.nn.backbones import Backbone
from wsss_lightning.progress import track
from wsss_lightning.stages.device import choose_device
from wsss_lightning.stages.io import read_tensors, write_json, write_tensors


def choose_snapshot(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    backbone: Backbone,
    network: MakeNetwork,
    branch: Branch | None,
    trained: str,
    accelerator: str,
    progress: bool,
) -> dict[str, float]:
    """Keep the best of the snapshots of a `fit_on_masks` stage, by the val mIoU of single-scale predictions.

    Writes its weights, which `predict_scales` reads, and `scores/<step>.json`; returns the highest `val/miou` and its
    `step`.
    """
    folder, device = Path(out_dir), choose_device(accelerator)
    snapshots = sorted((Path(trained) / SNAPSHOTS).glob("*.safetensors"))
    if not snapshots:
        raise InputError(f"{trained} has no snapshots: set snapshot_every of that stage to fewer steps than it has.")
    made = read_network(snapshots[0], backbone=backbone, network=network, branch=branch, data=data).to(device)
    predictor = Predictor(made, Normalisation(data.mean, data.std), (1.0,))
    scores = {}
    for path in track(snapshots, description="snapshots", total=len(snapshots), enabled=progress):
        score = folder / "scores" / f"{path.stem}.json"
        if not score.exists():
            made.load_state_dict(read_tensors(path))
            write_json(score, mean_iou(_confusion(predictor, data)))
        scores[path] = float(json.loads(score.read_text()))
    best = max(scores, key=lambda path: scores[path])
    write_tensors(folder / WEIGHTS, read_tensors(best))
    return {"val/miou": scores[best], "step": float(best.stem)}


def _confusion(predictor: Predictor, data: SegmentationDataModule) -> Tensor:
    total = torch.zeros(data.num_classes + 1, data.num_classes + 1, dtype=torch.int64)
    for record in data.records("val"):
        image, target = read_image(record.image), torch.from_numpy(data.read_target(record))
        labels = best_labels(predictor.maps(image), image.shape[:2], tags=None)
        total += confusion_matrix(labels.cpu(), target, data.num_classes + 1)
    return total
