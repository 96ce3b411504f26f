"""Co-segmentation, steps 4 to 6: subcategories of a class, their average masks and their detectors."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from wsss_lightning.data.base import Record
from wsss_lightning.methods.coseg.detection import Detections, covered, join_detections, top_detections
from wsss_lightning.methods.coseg.hog import Floats, Shape, mirrored, template
from wsss_lightning.methods.coseg.joint_segmentation import boxed_image, segment_jointly
from wsss_lightning.methods.coseg.stages.cosegmentation import (
    Collection,
    Cosegmentation,
    Passes,
    read_arrays,
    write_arrays,
)
from wsss_lightning.methods.coseg.subcategories import detection_nodes, subcategories
from wsss_lightning.methods.coseg.subcategory_detectors import Detector, fit_detector
from wsss_lightning.stages.records import draw_records

Member = tuple[Record, Floats]  # an image and a box in px of the working image


def find_subcategories(collections: Sequence[Collection], settings: Cosegmentation, passes: Passes) -> None:
    """`subcategories/<label>.npz`: members of all subcategories of a class, as image (M,), box (M, 4), cluster (M,)."""
    work = partial(_find_subcategories, settings=settings, folder=passes.folder)
    passes.write("subcategories", work, [(str(collection.label), collection) for collection in collections])


def _find_subcategories(path: Path, collection: Collection, *, settings: Cosegmentation, folder: Path) -> None:
    place = {record.image_id: index for index, record in enumerate(collection.records)}
    own = np.array([place[record.image_id] for record in collection.exemplars], np.intp)
    detections, chosen = _all_detections(collection, folder), settings.exemplars
    top = top_detections(detections, own, top=min(chosen.top, len(collection.records)), kept=chosen.kept)
    nodes = detection_nodes(top, overlap=settings.merging.overlap)
    clusters = subcategories(nodes.votes, settings.merging)
    # The best agreed on come first: only so many are segmented together.
    order = [each.nodes[np.argsort(-each.votes, kind="stable")] for each in clusters]
    members = np.concatenate([np.zeros(0, np.intp), *order])
    cluster = np.repeat(np.arange(len(order)), [len(each) for each in order])
    write_arrays(path, image=nodes.image[members], box=nodes.box[members], cluster=cluster)


def _all_detections(collection: Collection, folder: Path) -> Detections:
    parts = []
    for index, record in enumerate(collection.records):
        stored = read_arrays(folder / "detections" / f"{record.image_id}.npz")
        image = np.full(len(stored["score"]), index, np.intp)
        parts.append(Detections(stored["detector"].astype(np.intp), image, stored["score"], stored["box"]))
    return join_detections(parts)


def read_members(folder: Path, collection: Collection) -> dict[str, list[Member]]:
    """Members of each subcategory of a class, by its name `<label>-<number>`."""
    stored = read_arrays(folder / "subcategories" / f"{collection.label}.npz")
    members: dict[str, list[Member]] = {}
    for image, box, cluster in zip(stored["image"], stored["box"], stored["cluster"], strict=True):
        members.setdefault(f"{collection.label}-{cluster}", []).append((collection.records[image], box))
    return members


def segment_subcategories(collections: Sequence[Collection], settings: Cosegmentation, passes: Passes) -> None:
    """`averages/<label>-<number>.npz`: the average mask (canvas, canvas) of a subcategory."""
    named = [item for collection in collections for item in read_members(passes.folder, collection).items()]
    passes.write("averages", partial(_segment, settings=settings), named)


def _segment(path: Path, members: Sequence[Member], *, settings: Cosegmentation) -> None:
    chosen = members[: settings.joint.most]
    images = [boxed_image(settings.working_image(record), box, settings.joint) for record, box in chosen]
    _, average = segment_jointly(images, settings.joint, seed=settings.seed)
    write_arrays(path, average=average)


def fit_detectors(collections: Sequence[Collection], settings: Cosegmentation, passes: Passes) -> None:
    """`models/<label>-<number>.npz`: the detector of a subcategory, against images of the other classes.

    Where there is one class alone, it is against what stands outside the seed boxes of its own images.
    """
    named = []
    for collection in collections:
        others = [record for other in collections if other is not collection for record in other.records]
        scenes = draw_records(others or collection.records, settings.detectors.negatives, seed=settings.seed)
        members = read_members(passes.folder, collection)
        named += [(name, (own, scenes)) for name, own in members.items()]
    passes.write("models", partial(_fit_detector, settings=settings, outer=len(collections) == 1), named)


def _fit_detector(
    path: Path, item: tuple[Sequence[Member], Sequence[Record]], *, settings: Cosegmentation, outer: bool
) -> None:
    members, scenes = item
    sides = np.median([box[2:] - box[:2] for _, box in members], axis=0)
    shape = settings.scan.nearest(np.concatenate([np.zeros(2), sides]).astype(np.float32))
    templates = np.stack([template(settings.working_image(record), box, shape) for record, box in members])
    positives = np.concatenate([templates, mirrored(templates)]).reshape(2 * len(templates), -1)
    rng = np.random.default_rng(settings.seed)
    negatives = np.concatenate([_negatives(scene, shape, settings, rng, outer=outer) for scene in scenes])
    fitted = fit_detector(positives, negatives, shape, settings.detectors, seed=settings.seed)
    write_arrays(path, shape=np.array(shape), weights=fitted.weights, offset=fitted.offset)


def _negatives(
    scene: Record, shape: Shape, settings: Cosegmentation, rng: np.random.Generator, *, outer: bool
) -> Floats:
    """Windows of an image at random, or those that lie least in its seed box."""
    image = settings.working_image(scene)
    windows, boxes = settings.scan.windows(settings.scan.pyramid(image), shape, image.shape[:2])
    if outer:
        box = settings.box(settings.edges(image), (image.shape[0], image.shape[1]))
        order = np.argsort(covered(boxes, box), kind="stable")
    else:
        order = rng.permutation(len(windows))
    return windows[order[: settings.detectors.windows]]


def read_detector(folder: Path, name: str) -> Detector:
    """What `fit_detectors` wrote of the subcategory `<label>-<number>`."""
    stored = read_arrays(folder / "models" / f"{name}.npz")
    shape = (int(stored["shape"][0]), int(stored["shape"][1]))
    return Detector(shape, stored["weights"], float(stored["offset"]))
