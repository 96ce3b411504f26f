"""Stage: does an image show the class? N of its patches tell (patches sec. 4, classification)."""

from pathlib import Path

import torch

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.target import target_index
from wsss_lightning.methods.patches.module import PatchModule, Pooling
from wsss_lightning.methods.patches.network import probability
from wsss_lightning.methods.patches.stages.fit_patches import MakePatchNetwork, middle_batches, read_patch_network
from wsss_lightning.metrics.tags import average_precision, balanced_accuracy
from wsss_lightning.progress import track
from wsss_lightning.stages.device import choose_device


@torch.inference_mode()
def classify_patches(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    target: str,
    network: MakePatchNetwork,
    trained: str,
    patches: int,
    size: tuple[int, int],
    pooling: Pooling,
    accelerator: str,
    workers: int,
    progress: bool,
) -> dict[str, float]:
    """`val/classified`, the share of val images whose higher pooled score agrees with their tag of `target`.

    Most images do not show the class, so that a constant answer scores high: `val/classified_balanced` is the mean of
    the shares with and without it, `val/tag_ap` needs no threshold. `trained`: folder of a `fit_patches` stage;
    `patches`, `size`, `pooling`: as it was trained. Patches are those in the middle of the N sub-images.
    """
    del out_dir  # metrics are all there is
    index, device = target_index(data, target), choose_device(accelerator)
    made = read_patch_network(Path(trained), network).to(device)
    module = PatchModule(network=made, pooling=pooling, rate=0.0)
    shown = data.records("val")
    batches = middle_batches(data, shown, index, size=size, patches=patches, edge=made.size, workers=workers)
    seen = track(batches, description="classification", total=len(shown), enabled=progress)
    scores = torch.cat([module({**batch, "patches": batch["patches"].to(device)}).cpu() for batch in seen])
    tags = torch.tensor([bool(record.tags[index]) for record in shown])
    probs, column = probability(scores)[:, None], tags[:, None]
    return {
        "val/classified": float(((scores[:, 0] > scores[:, 1]) == tags).double().mean()),
        "val/classified_balanced": float(balanced_accuracy(probs, column)[0]),
        "val/tag_ap": float(average_precision(probs, column)[0]),
    }
