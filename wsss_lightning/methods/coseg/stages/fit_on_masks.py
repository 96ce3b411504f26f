"""Stage: a segmenter from rough masks, the mask generator or the final network (coseg secs. 3.2, 3.3 and 4.2)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch.utils.data import DataLoader

from wsss_lightning.data.base import SegmentationDataModule, SegmentationDataset
from wsss_lightning.data.pseudo_masks import with_pseudo_masks
from wsss_lightning.data.steps import ImageSteps, StepData
from wsss_lightning.errors import InputError
from wsss_lightning.methods.coseg.network import Branch, CosegNetwork
from wsss_lightning.methods.coseg.segmenter import CosegModule, MaskLoss
from wsss_lightning.nn.backbones import Backbone, check_statistics, load_weights
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, drop_checkpoint, fit
from wsss_lightning.stages.io import read_tensors, write_tensors

if TYPE_CHECKING:
    import albumentations as A

MakeNetwork = Callable[..., CosegNetwork]
WEIGHTS = "network.safetensors"
SNAPSHOTS = "snapshots"


def fit_on_masks(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    held_out: SegmentationDataModule,
    backbone: Backbone,
    network: MakeNetwork,
    branch: Branch | None,
    start: str | None,
    masks: str,
    augmentation: "A.Compose",
    loss: MaskLoss,
    batch_size: int,
    rates: Sequence[float],
    steps: Sequence[int],
    snapshot_every: int | None,
    seed: int,
    trainer: MakeTrainer,
    loggers: Mapping[str, Logger],
    workers: int,
    checkpoint_every: int,
    progress: bool,
    callbacks: Callbacks = None,
) -> dict[str, float]:
    """Train on the training images of `data` that have a mask, `steps[i]` steps at `rates[i]` (see `read_network`).

    `held_out`: the data set whose val tags, not masks, say how well it goes; `network`: `network.CosegNetwork` with
    its sizes, `branch` as there; `start`: folder of a stage whose weights to go on from; `masks`: folder of
    `<image_id>.png` in the data set's own indices, the only masks that are opened; `snapshot_every`: keep the weights
    after every so many steps, for `choose_snapshot`.
    """
    if data.class_names != held_out.class_names:
        raise InputError(
            f"The classes that masks are made of are {', '.join(data.class_names)}, those of {held_out.root} are "
            f"{', '.join(held_out.class_names)}: choose a source of the same classes, or set source.classes."
        )
    folder = Path(out_dir)
    made = new_network(backbone, network, branch, data, seed=seed)
    if start is not None:
        load_weights(made, read_tensors(Path(start) / WEIGHTS), source=start)
    shown = masked_dataset(data, Path(masks), augmentation, seed=seed)
    kept = {} if snapshot_every is None else {SNAPSHOTS: _Snapshots(folder / SNAPSHOTS, made, every=snapshot_every)}
    metrics = fit(
        out_dir=folder,
        model=CosegModule(network=made, loss=loss, rates=rates, steps=steps),
        data=StepData(
            steps=lambda parts: ImageSteps(
                shown, batch_size=batch_size * parts, seed=seed, steps=sum(steps), packed=True
            ),
            held_out=DataLoader(held_out.dataset("val"), num_workers=workers),
            workers=workers,
            seed=seed,
        ),
        inputs=None,
        trainer=trainer,
        callbacks={**(callbacks or {}), **kept},
        loggers=loggers,
        checkpoint_every=checkpoint_every,
        progress=progress,
        description="segmenter",
    )
    write_tensors(folder / WEIGHTS, made.state_dict())
    drop_checkpoint(folder)
    return metrics | {"train/images": float(len(shown))}


def masked_dataset(
    data: SegmentationDataModule, masks: Path, augmentation: "A.Compose", *, seed: int
) -> SegmentationDataset:
    """The training images that have a mask in a folder, with it in place of the ground truth."""
    return SegmentationDataset(
        with_pseudo_masks(data.records("train"), masks, missing="drop"),
        encode=data.encode,
        mean=data.mean,
        std=data.std,
        with_masks=True,
        augmentation=augmentation,
        seed=seed,
    )


def new_network(
    backbone: Backbone, network: MakeNetwork, branch: Branch | None, data: SegmentationDataModule, *, seed: int
) -> CosegNetwork:
    """The network before training, which takes over `backbone`; its new layers are drawn from `seed`."""
    check_statistics(backbone, data.mean, data.std)
    generator = torch.Generator().manual_seed(seed)
    return network(backbone, num_labels=data.num_classes + 1, branch=branch, generator=generator)


def read_network(
    path: Path, *, backbone: Backbone, network: MakeNetwork, branch: Branch | None, data: SegmentationDataModule
) -> CosegNetwork:
    """A trained network from its file of weights, built as it was before training."""
    made = new_network(backbone, network, branch, data, seed=0)
    load_weights(made, read_tensors(path), source=str(path))
    return made.eval().requires_grad_(False)


class _Snapshots(pl.Callback):
    def __init__(self, folder: Path, network: CosegNetwork, *, every: int) -> None:
        self.folder, self.network, self.every = folder, network, every

    def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any) -> None:  # noqa: ARG002
        if trainer.global_step % self.every == 0 and trainer.is_global_zero:
            write_tensors(self.folder / f"{trainer.global_step:06d}.safetensors", self.network.state_dict())
