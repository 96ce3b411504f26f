"""Co-segmentation, step 7: subcategories found in every image, their average masks cut out of it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from wsss_lightning.data.base import Record
from wsss_lightning.methods.coseg.detection import suppressed
from wsss_lightning.methods.coseg.hog import Floats, Image, mirrored
from wsss_lightning.methods.coseg.mask_transfer import Start, symmetric_mean, transfer
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


def transfer_masks(collections: Sequence[Collection], settings: Cosegmentation, passes: Passes) -> None:
    """`segmentations/<image_id>.npz`: the mask (H, W) of the working image."""
    for collection in collections:
        names = read_members(passes.folder, collection)
        averages = [read_arrays(passes.folder / "averages" / f"{name}.npz")["average"] for name in names]
        work = partial(_transfer, averages=averages, settings=settings, folder=passes.folder)
        passes.write("segmentations", work, [(record.image_id, record) for record in collection.records])


def _transfer(
    path: Path, record: Record, *, averages: Sequence[np.ndarray], settings: Cosegmentation, folder: Path
) -> None:
    image, found = settings.working_image(record), read_arrays(folder / "objects" / f"{record.image_id}.npz")
    ways = zip(found["subcategory"].astype(int), found["flipped"] > 0, strict=True)
    seen = [averages[number][:, ::-1] if flipped else averages[number] for number, flipped in ways]
    used = settings.transfer
    start = None if used.near is None else Start(_seed_box(record, image, folder, settings), symmetric_mean(averages))
    mask = transfer(image, found["box"], found["score"], seen, used, start=start, seed=settings.seed)
    write_segmentation(path, mask)


def _seed_box(record: Record, image: Image, folder: Path, settings: Cosegmentation) -> Floats:
    """That of step 1, which only exemplars have a file of."""
    path = folder / "exemplars" / f"{record.image_id}.npz"
    return read_arrays(path)["box"] if path.exists() else settings.box(settings.edges(image), image.shape[:2])
