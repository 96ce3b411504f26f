"""Co-segmentation, step 7: subcategories found in every image, their average masks cut out of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from wsss_lightning.data.base import Record
from wsss_lightning.data.images import read_image
from wsss_lightning.methods.coseg.detection import suppressed
from wsss_lightning.methods.coseg.hog import Floats, Image, Shape, mirrored, shrunk
from wsss_lightning.methods.coseg.mask_transfer import Start, Transfer, symmetric_mean, transfer
from wsss_lightning.methods.coseg.stages.cosegment_subcategories import read_detector, read_members
from wsss_lightning.methods.coseg.stages.cosegmentation import (
    Collection,
    Cosegmentation,
    Passes,
    read_arrays,
    write_arrays,
    write_segmentation,
)
from wsss_lightning.methods.coseg.subcategory_detectors import Detector

_PER_IMAGE = 3  # detections of one subcategory in one image


def find_objects(collections: Sequence[Collection], settings: Cosegmentation, passes: Passes) -> None:
    """`objects/<image_id>.npz`: number of the subcategory (D,), flipped (D,), score (D,) and box (D, 4)."""
    for collection in collections:
        detectors = [read_detector(passes.folder, name) for name in read_members(passes.folder, collection)]
        work = partial(_find_objects, detectors=detectors, settings=settings)
        passes.write("objects", work, [(record.image_id, record) for record in collection.records])


def _find_objects(path: Path, record: Record, *, detectors: Sequence[Detector], settings: Cosegmentation) -> None:
    image = settings.working_image(record)
    levels = settings.scan.pyramid(image)
    rows = []
    for number, detector in enumerate(detectors):
        features, boxes = settings.scan.windows(levels, detector.shape, image.shape[:2])
        weights = detector.weights.reshape(*detector.shape, -1)
        both = np.stack([weights.ravel(), mirrored(weights).ravel()])
        scores = features @ both.T + np.float32(detector.offset)
        flipped = scores.argmax(axis=1)  # a window is found one way round: a twin would make a group of one detection
        _, windows, best = suppressed(
            scores.max(axis=1, keepdims=True),
            boxes,
            overlap=settings.detectors.overlap,
            most=_PER_IMAGE,
            threshold=settings.detectors.threshold,
        )
        rows += [(number, *row) for row in zip(flipped[windows], best, *boxes[windows].T, strict=True)]
    table = np.array(rows, np.float32).reshape(-1, 7)
    write_arrays(path, subcategory=table[:, 0], flipped=table[:, 1], score=table[:, 2], box=table[:, 3:])


@dataclass(frozen=True)
class Placing:
    """What `transfer_masks` needs beside images and detections.

    Attributes:
        side, edges, box: see `Cosegmentation`.
        transfer: how masks are cut.
        seed: of all that is drawn.
    """

    side: int
    edges: Callable[[Image], Floats]
    box: Callable[[Floats, Shape], Floats]
    transfer: Transfer
    seed: int


def transfer_masks(collections: Sequence[Collection], steps: Path, settings: Placing, passes: Passes) -> None:
    """`segmentations/<image_id>.npz`: the mask (H, W) of the working image; `steps`: folder of the steps before."""
    for collection in collections:
        names = read_members(steps, collection)
        averages = [read_arrays(steps / "averages" / f"{name}.npz")["average"] for name in names]
        work = partial(_transfer, averages=averages, settings=settings, steps=steps)
        passes.write("segmentations", work, [(record.image_id, record) for record in collection.records])


def _transfer(path: Path, record: Record, *, averages: Sequence[np.ndarray], settings: Placing, steps: Path) -> None:
    image = shrunk(read_image(record.image), settings.side)
    objects = read_arrays(steps / "objects" / f"{record.image_id}.npz")
    ways = zip(objects["subcategory"].astype(int), objects["flipped"] > 0, strict=True)
    oriented = [averages[number][:, ::-1] if flipped else averages[number] for number, flipped in ways]
    used = settings.transfer
    start = None if used.near is None else Start(_seed_box(record, image, steps, settings), symmetric_mean(averages))
    mask = transfer(image, objects["box"], objects["score"], oriented, used, start=start, seed=settings.seed)
    write_segmentation(path, mask)


def _seed_box(record: Record, image: Image, steps: Path, settings: Placing) -> Floats:
    """That of step 1, which only exemplars have a file of."""
    path = steps / "exemplars" / f"{record.image_id}.npz"
    if path.exists():
        return read_arrays(path)["box"]
    return settings.box(settings.edges(image), (image.shape[0], image.shape[1]))
