"""Stage: predictions whose tags are known: only the classes of an image's tags compete."""

from pathlib import Path

import numpy as np
import torch

from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.data.images import image_size
from wsss_lightning.data.masks import write_mask
from wsss_lightning.progress import track
from wsss_lightning.stages.predict import read_probabilities


def keep_tagged(*, out_dir: str, data: SegmentationDataModule, predictions: str, split: Split, progress: bool) -> None:
    """Write `masks/<image_id>.png`: the best of background and the tags, of what a `predict` stage kept."""
    folder, records = Path(out_dir) / "masks", data.records(split)
    for record in track(records, description="known tags", total=len(records), enabled=progress):
        probs = read_probabilities(Path(predictions), record.image_id, image_size(record.image))
        probs = probs.where(torch.from_numpy(np.append(True, record.tags))[:, None, None], 0)
        labels = probs.argmax(dim=0).numpy().astype(np.uint8)
        write_mask(folder / f"{record.image_id}.png", data.decode(labels))
