"""Stage: a patch network from the tags of images (patches sec. 3.1 and 3.2)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from pytorch_lightning.loggers import Logger
from torch.utils.data import DataLoader

from wsss_lightning.data.base import Record, SegmentationDataModule, SegmentationDataset
from wsss_lightning.data.steps import StepData
from wsss_lightning.data.target import target_index
from wsss_lightning.data.transforms import central_augmentation
from wsss_lightning.methods.patches.module import PatchModule, Pooling
from wsss_lightning.methods.patches.network import PatchNetwork
from wsss_lightning.methods.patches.steps import MiddlePatches, PatchSteps, divide
from wsss_lightning.nn.backbones import load_weights
from wsss_lightning.stages.fit import Callbacks, MakeTrainer, drop_checkpoint, fit
from wsss_lightning.stages.io import read_tensors, write_tensors

if TYPE_CHECKING:
    import albumentations as A

MakePatchNetwork = Callable[..., PatchNetwork]
MINED = "mined.npy"
_WEIGHTS = "patches.safetensors"


def fit_patches(
    *,
    out_dir: str,
    source: SegmentationDataModule,
    target: str,
    network: MakePatchNetwork,
    patches: int,
    size: tuple[int, int],
    augmentation: "A.Compose",
    pooling: Pooling,
    positives: float,
    held_out: float,
    start: str | None,
    mined: str | None,
    rate: float,
    steps: int,
    batch_size: int,
    seed: int,
    trainer: MakeTrainer,
    loggers: Mapping[str, Logger],
    workers: int,
    checkpoint_every: int,
    progress: bool,
    callbacks: Callbacks = None,
) -> dict[str, float]:
    """Tell the images of one class from all others by patches; writes the weights (see `read_patch_network`).

    Tags alone are read. `val/tag_accuracy` and `val/tag_ap` are of the images of `source` that are held out; where
    patches were mined from these, they are no longer independent.

    Args:
        out_dir: the stage's folder.
        source: whose training images are learned from.
        target: name of the class; all other classes are background.
        network: `network.PatchNetwork` with its settings.
        patches: N, per image.
        size: (H, W) that images are cut to, px.
        augmentation: their jitter.
        pooling: one of `ops.pooling`, over patches.
        positives: share of the images drawn that show the class.
        held_out: share of the images that is set aside.
        start: folder of the round before, whose weights are gone on from; None draws them with `seed`.
        mined: folder of `mine_patches`, half of the negatives; None for none.
        rate: of plain SGD.
        steps: how many.
        batch_size: images per step.
        seed: of the weights, of what is held out and of all that is drawn.
        trainer: makes Lightning's.
        loggers: where it logs.
        workers: loading processes.
        checkpoint_every: steps.
        progress: show a bar.
    """
    index, folder, draws = target_index(source, target), Path(out_dir), _stream(seed, first=start is None)
    made = new_patch_network(network, start=start, seed=seed)
    learned, aside = divide(source.records("train"), held_out=held_out, seed=seed)
    metrics = fit(
        out_dir=folder,
        model=PatchModule(network=made, pooling=pooling, rate=rate),
        data=StepData(
            steps=lambda parts: PatchSteps(
                cut(source, learned, augmentation, seed=draws),
                target=index,
                count=patches,
                size=made.size,
                positives=positives,
                mined=None if mined is None else np.load(Path(mined) / MINED, mmap_mode="r"),
                batch_size=batch_size * parts,
                steps=steps,
                seed=draws,
            ),
            held_out=middle_batches(source, aside, index, size=size, patches=patches, edge=made.size, workers=workers),
            workers=workers,
            seed=seed,
        ),
        inputs=None,
        trainer=trainer,
        callbacks=callbacks,
        loggers=loggers,
        checkpoint_every=checkpoint_every,
        progress=progress,
        description=f"patch network, {target}",
    )
    write_tensors(folder / _WEIGHTS, made.state_dict())
    drop_checkpoint(Path(out_dir))
    return metrics


def _stream(seed: int, *, first: bool) -> int:
    """The seed of what a round draws: the second does not see the draws of the first again."""
    return seed if first else int(np.random.default_rng([seed, 2]).integers(2**31))


def cut(
    data: SegmentationDataModule, records: Sequence[Record], augmentation: "A.Compose", *, seed: int
) -> SegmentationDataset:
    """Some images of a data set, cut and moved by `augmentation`."""
    return SegmentationDataset(
        records, encode=data.encode, mean=data.mean, std=data.std, augmentation=augmentation, seed=seed
    )


def middle_batches(
    data: SegmentationDataModule,
    records: Sequence[Record],
    target: int,
    *,
    size: tuple[int, int],
    patches: int,
    edge: int,
    workers: int,
) -> "DataLoader[dict[str, torch.Tensor]]":
    """N patches of `edge` px of each image without jitter, image by image; `target`: index of the class."""
    whole = cut(data, records, central_augmentation((size[0], size[1])), seed=0)
    shown = MiddlePatches(whole, target=target, count=patches, size=edge)
    return DataLoader(shown, batch_size=None, num_workers=workers, generator=torch.Generator())


def new_patch_network(network: MakePatchNetwork, *, start: str | None, seed: int) -> PatchNetwork:
    """The network before training: drawn from `seed`, or that of the finished stage in the folder `start`."""
    made = network(generator=torch.Generator().manual_seed(seed))
    if start is not None:
        load_weights(made, read_tensors(Path(start) / _WEIGHTS), source=start)
    return made


def read_patch_network(folder: Path, network: MakePatchNetwork) -> PatchNetwork:
    """The trained network of a finished stage, frozen; `network` is what it was made of."""
    return new_patch_network(network, start=str(folder), seed=0).eval().requires_grad_(False)
