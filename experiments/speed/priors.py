"""Seconds of the steps of priors for one image of 500 x 375 px, beside the paper's paragraph on computation time.

python experiments/speed/priors.py IMAGE [--rounds N] [--out D]

IMAGE: any photograph. Writes priors.{json,md}. Set OMP_NUM_THREADS=1.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from measurement import Row, clocks, machine, on_one_core, shown_seconds, single_core
from numpy.typing import NDArray
from scipy.special import softmax

from wsss_lightning.data.images import read_image
from wsss_lightning.data.voc import VOC_CLASSES
from wsss_lightning.nn.deeplab import deeplab_vgg
from wsss_lightning.nn.vgg import vgg16
from wsss_lightning.ops.boundaries import crisp_boundaries, regions
from wsss_lightning.ops.crf import dense_crf, region_potential, unary_from_probabilities
from wsss_lightning.pipeline.configuration import compose
from wsss_lightning.stages.io import write_json

Image = NDArray[np.uint8]
SIZE = (500, 375)  # width and height that are timed
FORWARD, CRISP, FEWER = "network forward", "crisp boundaries", "crisp boundaries, 50 eigenvectors"
REGIONS, PAIRS, HIGHER = "regions between them", "CRF of pairs", "CRF with higher-order terms"
PAPER = {FORWARD: "0.06 (GPU)", CRISP: "4.1", PAIRS: "2.1", HIGHER: "2.8"}


def main(arguments: list[str]) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Seconds per image of the steps of priors.")
    parser.add_argument("image", type=Path, help="a photograph")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions, after one to warm up")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    single_core()
    image = np.asarray(cv2.resize(read_image(options.image), SIZE), np.uint8)
    found: Row = {"times": clocks(tasks(image), rounds=options.rounds)}
    found["machine"] = machine(f"OMP_NUM_THREADS=1 python experiments/speed/priors.py IMAGE --rounds {options.rounds}")
    write_json(options.out / "priors.json", found)
    (options.out / "priors.md").write_text("\n".join(page(found)) + "\n")


def tasks(image: Image) -> dict[str, Callable[[], Any]]:
    """The steps for one image at test time, by the names of the paper's paragraph."""
    contours = crisp_boundaries(image)
    parts = regions(*contours)
    probs = soft_labels(image, labels=len(VOC_CLASSES) + 1)
    unary, costs = unary_from_probabilities(probs), region_potential(probs, parts)
    crf = partial(dense_crf, image, unary, **field())
    return {
        FORWARD: forward(),
        CRISP: partial(crisp_boundaries, image),
        FEWER: partial(crisp_boundaries, image, eigenvectors=50),
        REGIONS: partial(regions, *contours),
        PAIRS: crf,
        HIGHER: partial(crf, parts, costs),
    }


def field() -> dict[str, Any]:
    """The field's parameters in the method's configuration."""
    node = compose(["method=priors"]).crf
    return {name: value for name, value in node.items() if not name.startswith("_")}


def soft_labels(image: Image, *, labels: int) -> NDArray[np.float32]:
    """Smooth random probabilities (L, H, W), as a network's are; no time depends on which."""
    noise = np.random.default_rng(0).normal(size=(*image.shape[:2], labels)).astype(np.float32)
    scores = cv2.GaussianBlur(noise, (0, 0), 30)
    found: NDArray[np.float32] = softmax(5 * scores / scores.std(), axis=-1).transpose(2, 0, 1)
    return np.ascontiguousarray(found)


def forward() -> Callable[[], Any]:
    """DeepLab on VGG-16 with the large field of view, weights random."""
    network = deeplab_vgg(
        vgg16(None),
        class_names=VOC_CLASSES,
        generator=torch.Generator().manual_seed(0),
        fc6_kernel=3,
        fc6_dilation=12,
        hidden=1024,
        dropout=0.5,
    ).eval()
    images = torch.zeros(1, 3, SIZE[1], SIZE[0])
    return torch.inference_mode()(lambda: network(images))


def page(found: Row) -> list[str]:
    """The Markdown page: a table and what follows from it."""
    times = found["times"]
    conditions = (
        f"{on_one_core(found['machine'])} One photograph at {SIZE[0]} x {SIZE[1]} px, 21 labels; median of "
        "rounds in which all have their turn. The paper's processors: GPU Tesla P100, Core i5, Core i7."
    )
    head = ["| step | paper, s | s, processor | least - most | s, clock |", "|---|" + "---:|" * 4]
    rows = [f"| {name} | {PAPER.get(name, '-')} | {shown_seconds(row)} |" for name, row in times.items()]
    pairs, higher = times[PAIRS]["processor_s"], times[HIGHER]["processor_s"]
    words = (
        f"- Higher-order terms add {higher - pairs:.2f} s to the CRF, which takes {higher / pairs:.2f} times as long; "
        f"the paper's take 0.7 s, {2.8 / 2.1:.2f} times."
    )
    return [conditions, "", *head, *rows, "", words]


if __name__ == "__main__":
    main(sys.argv[1:])
