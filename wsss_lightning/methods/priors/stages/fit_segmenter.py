"""Stage: a segmentation network from tags and the masks made from them (priors sec. 3.2 and 4.2.1)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from pytorch_lightning.loggers import Logger
from torch.utils.data import DataLoader

from wsss_lightning.data.base import SegmentationDataModule, SegmentationDataset
from wsss_lightning.data.pseudo_masks import with_pseudo_masks
from wsss_lightning.data.steps import ImageSteps, StepData
from wsss_lightning.methods.priors.segmenter import SegmenterModule, WeakLoss
from wsss_lightning.nn.backbones import Backbone, check_statistics, load_weights
from wsss_lightning.nn.deeplab import DeepLab
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, drop_checkpoint, fit
from wsss_lightning.stages.io import read_tensors, write_tensors

MakeNetwork = Callable[..., DeepLab]
_WEIGHTS = "segmenter.safetensors"


def fit_segmenter(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    backbone: Backbone,
    network: MakeNetwork,
    loss: WeakLoss,
    masks: str | None,
    rates: Sequence[float],
    steps: Sequence[int],
    seed: int,
    trainer: MakeTrainer,
    loggers: Mapping[str, Logger],
    workers: int,
    checkpoint_every: int,
    progress: bool,
    callbacks: Callbacks = None,
) -> dict[str, float]:
    """Train on all training images, `steps[i]` steps at `rates[i]`, and write `segmenter.safetensors`.

    `network`: one of `nn.deeplab`, which takes `backbone` over; `masks`: folder of `<image_id>.png` in the data set's
    own indices, or of 0 and 1, for the losses that look at them. Ground truth is never opened. Images have `data.size`,
    or are of their own, which takes batches of one.
    """
    segmenter = new_segmenter(backbone, network, data, seed=seed)
    module = SegmenterModule(segmenter=segmenter, loss=loss, rates=rates, steps=steps)
    shown = data.train_dataset() if masks is None else weak_dataset(data, Path(masks))
    metrics = fit(
        out_dir=Path(out_dir),
        model=module,
        data=StepData(
            steps=lambda parts: ImageSteps(
                shown, batch_size=data.batch_size * parts, seed=seed, steps=sum(steps), packed=True
            ),
            held_out=DataLoader(data.dataset("val"), num_workers=workers),
            workers=workers,
            seed=seed,
        ),
        inputs=None,
        trainer=trainer,
        callbacks=callbacks,
        loggers=loggers,
        checkpoint_every=checkpoint_every,
        progress=progress,
        description="segmenter",
    )
    write_tensors(Path(out_dir) / _WEIGHTS, segmenter.state_dict())
    drop_checkpoint(Path(out_dir))
    return metrics


def weak_dataset(data: SegmentationDataModule, masks: Path) -> SegmentationDataset:
    """The training images with the masks of a folder in place of the ground truth."""
    records = with_pseudo_masks(data.records("train"), masks, missing="raise")
    return SegmentationDataset(
        records, encode=data.encode, size=data.size, mean=data.mean, std=data.std, with_masks=True
    )


def new_segmenter(backbone: Backbone, network: MakeNetwork, data: SegmentationDataModule, *, seed: int) -> DeepLab:
    """The network before training, which takes over `backbone`; what ImageNet does not know is drawn from `seed`."""
    check_statistics(backbone, data.mean, data.std)
    return network(backbone, class_names=data.class_names, generator=torch.Generator().manual_seed(seed))


def read_segmenter(folder: Path, backbone: Backbone, network: MakeNetwork, data: SegmentationDataModule) -> DeepLab:
    """The trained network of a finished stage, built as it was before training."""
    segmenter = new_segmenter(backbone, network, data, seed=0)
    load_weights(segmenter, read_tensors(folder / _WEIGHTS), source=str(folder))
    return segmenter.eval().requires_grad_(False)
