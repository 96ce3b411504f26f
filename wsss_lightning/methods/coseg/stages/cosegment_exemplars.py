"""Co-segmentation, steps 1 to 3: a box and a detector of each exemplar, run on every image of its class."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from wsss_lightning.data.base import Record
from wsss_lightning.methods.coseg.detection import Detections, join_detections, suppressed
from wsss_lightning.methods.coseg.exemplars import Background, background, exemplar_detectors, product_sums
from wsss_lightning.methods.coseg.hog import Floats, Shape, template
from wsss_lightning.methods.coseg.stages.cosegmentation import (
    Arrays,
    Collection,
    Cosegmentation,
    Passes,
    read_arrays,
    write_arrays,
)
from wsss_lightning.stages.records import draw_records

_PARTS = 8  # that the background's images are summed in, whatever the number of workers
_EVERY = 2  # level of the first octave that the background's sums take; theirs: 5 where detection has 10
_PER_IMAGE = 3  # detections of one detector in one image


def find_exemplars(collections: Sequence[Collection], settings: Cosegmentation, passes: Passes) -> None:
    """`exemplars/<image_id>.npz`: box (4,) in px of the working image, features (h, w, 31) of what it holds."""
    work = partial(_find_exemplar, settings=settings)
    records = [record for collection in collections for record in collection.exemplars]
    passes.write("exemplars", work, [(record.image_id, record) for record in records])


def _find_exemplar(path: Path, record: Record, *, settings: Cosegmentation) -> None:
    image = settings.working_image(record)
    box = settings.box(settings.edges(image), image.shape[:2])
    write_arrays(path, box=box, features=template(image, box, settings.scan.nearest(box)))


def measure_background(collections: Sequence[Collection], settings: Cosegmentation, passes: Passes) -> None:
    """`background/<part>.npz`: sums over images of all classes that give the background's statistics."""
    records = [record for collection in collections for record in collection.records]
    drawn = draw_records(records, settings.exemplars.background, seed=settings.seed)
    parts = [(str(part), drawn[part::_PARTS]) for part in range(min(_PARTS, len(drawn)))]
    passes.write("background", partial(_sum_background, settings=settings), parts)


def _sum_background(path: Path, records: Sequence[Record], *, settings: Cosegmentation) -> None:
    octave, reach = slice(0, settings.scan.interval, _EVERY), settings.scan.widest - 1
    pyramids = (settings.scan.pyramid(settings.working_image(record)) for record in records)
    write_arrays(path, products=np.asarray(sum(product_sums(pyramid[octave], reach) for pyramid in pyramids)))


def read_background(folder: Path) -> Background:
    """What `measure_background` wrote."""
    paths = sorted((folder / "background").glob("[0-9]*.npz"))
    return background(np.sum([read_arrays(path)["products"] for path in paths], axis=0))


def make_detectors(collections: Sequence[Collection], settings: Cosegmentation, passes: Passes) -> None:
    """`detectors/<h>x<w>.npz`: weights, offset and place of the exemplars of one shape, as `<label>_weights`, ..."""
    work = partial(_make_detectors, collections=collections, settings=settings, folder=passes.folder)
    passes.write("detectors", work, [(f"{shape[0]}x{shape[1]}", shape) for shape in settings.scan.shapes])


def _make_detectors(
    path: Path, shape: Shape, *, collections: Sequence[Collection], settings: Cosegmentation, folder: Path
) -> None:
    exemplars = {collection.label: _of_shape(collection, shape, folder) for collection in collections}
    features = [features for places, features in exemplars.values() if len(places)]
    if not features:
        return write_arrays(path)
    statistics, regularisation = read_background(folder), settings.exemplars.regularisation
    weights, offsets = exemplar_detectors(np.concatenate(features), statistics, regularisation=regularisation)
    arrays: Arrays = {}
    start = 0
    for label, (places, _) in exemplars.items():
        stop = start + len(places)
        of_label = {"places": places, "weights": weights[start:stop], "offsets": offsets[start:stop]}
        arrays |= {f"{label}_{name}": values for name, values in of_label.items()}
        start = stop
    return write_arrays(path, **arrays)


def _of_shape(collection: Collection, shape: Shape, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Places among a class's exemplars, and features, of those of one shape."""
    stored = [read_arrays(folder / "exemplars" / f"{record.image_id}.npz") for record in collection.exemplars]
    places = [place for place, arrays in enumerate(stored) if arrays["features"].shape[:2] == shape]
    return np.array(places, np.intp), np.array([stored[place]["features"] for place in places])


def detect(collections: Sequence[Collection], settings: Cosegmentation, passes: Passes) -> None:
    """`detections/<image_id>.npz`: detector (D,) as its place among the class's exemplars, score (D,), box (D, 4)."""
    work = partial(_detect, settings=settings, folder=passes.folder)
    images = [(record, collection.label) for collection in collections for record in collection.records]
    passes.write("detections", work, [(record.image_id, (record, label)) for record, label in images])


def _detect(path: Path, item: tuple[Record, int], *, settings: Cosegmentation, folder: Path) -> None:
    record, label = item
    image = settings.working_image(record)
    levels = settings.scan.pyramid(image)
    parts = []
    for shape in settings.scan.shapes:
        with np.load(folder / "detectors" / f"{shape[0]}x{shape[1]}.npz") as stored:
            if len(stored.get(f"{label}_places", ())):
                of_label = [stored[f"{label}_{name}"] for name in ("places", "weights", "offsets")]
                features, boxes = settings.scan.windows(levels, shape, image.shape[:2])
                parts.append(_best(features, boxes, *of_label, settings=settings))
    detections = join_detections(parts)
    write_arrays(path, detector=detections.detector.astype(np.int32), score=detections.score, box=detections.box)


def _best(
    features: Floats, boxes: Floats, places: np.ndarray, weights: Floats, offsets: Floats, *, settings: Cosegmentation
) -> Detections:
    scores = features @ weights.T - offsets
    chosen = settings.exemplars
    detectors, windows, best = suppressed(
        scores, boxes, overlap=chosen.overlap, most=_PER_IMAGE, threshold=chosen.threshold
    )
    return Detections(places[detectors], np.zeros(len(best), np.intp), best, boxes[windows])
