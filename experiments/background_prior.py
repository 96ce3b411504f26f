"""What a network's prior (`nn.label_prior`) is chosen by: its labels of a few images where background counts for less.

python experiments/background_prior.py FOLDER [--images N] [--priors P ...] [--crf NAME] [--tagged]

FOLDER: of a stage of predictions that kept its scores, of training images for a choice, for example of
`wsss run ... result=predictions stages.predictions.split=train`; its record says which data it read. The probability
of background is taken e^-P times. Opens the masks of those images, and prints the mean IoU, precision and recall.
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wsss_lightning.data.images import read_image
from wsss_lightning.metrics.segmentation import confusion_matrix, mean_iou, precision, recall
from wsss_lightning.nn.prediction import possible_probabilities
from wsss_lightning.ops.crf import dense_crf, unary_from_probabilities
from wsss_lightning.pipeline.configuration import compose
from wsss_lightning.pipeline.objects import recorded_inputs
from wsss_lightning.stages.predict import read_probabilities
from wsss_lightning.stages.refine import smooth

STAGES = ("wsss_lightning.stages.predict.predict", "wsss_lightning.methods.coseg.stages.predict_scales.predict_scales")


def main(arguments: list[str]) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="Labels under shifts of background.")
    parser.add_argument("folder", type=Path, help="of a stage of predictions that kept its scores")
    parser.add_argument("--images", type=int, default=200, help="evenly from the list")
    parser.add_argument("--priors", type=float, nargs="+", default=[0.0, 0.5, 1.0, 1.5, 2.0])
    parser.add_argument("--crf", help="a file of conf/crf, for labels that a field refines")
    parser.add_argument("--tagged", action="store_true", help="background and the image's tags alone are possible")
    options = parser.parse_args(arguments)
    data, split = _read(options.folder)
    records = data.records(split)
    records = records[:: max(1, len(records) // options.images)][: options.images]
    refine = None if options.crf is None else partial(smooth, unary=unary_from_probabilities, crf=_field(options.crf))
    totals = {prior: torch.zeros((data.num_classes + 1,) * 2, dtype=torch.int64) for prior in options.priors}
    for record in records:
        target = torch.from_numpy(data.read_target(record))
        height, width = target.shape
        probs = read_probabilities(options.folder, record.image_id, (height, width)).float()
        for prior in options.priors:
            shifted = lessened(probs, prior, tags=record.tags.tolist() if options.tagged else None)
            labels = shifted.argmax(dim=0) if refine is None else _refined(refine, record.image, shifted)
            totals[prior] += confusion_matrix(labels, target, data.num_classes + 1)
    print(f"{len(records)} images of {split}, per cent", "| prior | mIoU | precision | recall |", sep="\n\n")
    print("|---:|---:|---:|---:|", *(_line(prior, confusion) for prior, confusion in totals.items()), sep="\n")


def lessened(probs: Tensor, prior: float, *, tags: list[bool] | None) -> Tensor:
    """Probabilities (L, H, W) with that of background e^-prior times as large, of what `tags` leave possible."""
    weights = torch.ones(len(probs), 1, 1)
    weights[0] = float(np.exp(-prior))
    shifted = probs * weights
    return possible_probabilities(shifted, [True] * (len(probs) - 1) if tags is None else tags)


def _read(folder: Path) -> tuple[Any, Any]:
    for target in STAGES:
        if (found := recorded_inputs(folder, target=target, names=("data", "split"))) is not None:
            return found["data"], found["split"]
    sys.exit(f"background_prior.py: {folder} is not the folder of a finished stage of predictions.")


def _field(name: str) -> Any:
    node = compose([f"crf={name}"]).crf
    return partial(dense_crf, **{key: value for key, value in node.items() if not key.startswith("_")})


def _refined(refine: Any, image: Path, probs: Tensor) -> Tensor:
    return torch.from_numpy(refine(read_image(image), probs.numpy(), None))


def _line(prior: float, confusion: Tensor) -> str:
    values = (mean_iou(confusion), precision(confusion).nanmean(), recall(confusion).nanmean())
    return f"| {prior:g} | " + " | ".join(f"{100 * float(value):.1f}" for value in values) + " |"


if __name__ == "__main__":
    main(sys.argv[1:])
