"""One label per pixel from COCO's objects, which may overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as polygons

from wsss_lightning.data.coco_annotations import Annotation, RunLengths
from wsss_lightning.data.coco_conventions import Crowd, Overlap
from wsss_lightning.data.labels import IGNORE


def paint(
    annotations: Sequence[Annotation],
    *,
    size: tuple[int, int],
    indices: Mapping[int, int],
    overlap: Overlap = Overlap.SMALLEST,
    crowd: Crowd = Crowd.IGNORE,
) -> NDArray[np.uint8]:
    """The label map of an image.

    Args:
        annotations: of the image, in the file's order.
        size: (H, W) of the image in px.
        indices: mask index of every category id.
        overlap: "smallest": where objects overlap, the one whose annotation has the smallest `area` is on top (priors
            sec. 4.1), of equal ones the first; "last": the one that stands last in the file (ReCAM).
        crowd: "ignore": crowd regions become 255, but lie below all objects, so that they never hide a label; "drop":
            they are left out and count as background.

    Returns:
        (H, W) uint8: mask indices, 0 where no object is.

    Raises:
        ValueError: an outline is damaged; the message names the annotation.
    """
    canvas = np.zeros(size, np.uint8, order="F")  # pycocotools' order, in which painting takes half the time
    for annotation in _bottom_up(annotations, overlap=overlap, crowd=crowd):
        try:
            inside = outline(annotation["segmentation"], size)
        except (OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"annotation {annotation['id']} has a damaged outline ({error})") from None
        np.copyto(canvas, IGNORE if annotation["iscrowd"] else indices[annotation["category_id"]], where=inside)
    return np.ascontiguousarray(canvas)


def _bottom_up(annotations: Sequence[Annotation], *, overlap: Overlap, crowd: Crowd) -> list[Annotation]:
    crowds = [annotation for annotation in annotations if annotation["iscrowd"] and crowd is Crowd.IGNORE]
    objects = [annotation for annotation in annotations if not annotation["iscrowd"]]
    if overlap is Overlap.SMALLEST:  # sorted downwards, equals would keep their order, which hides the first
        objects = sorted(objects, key=lambda annotation: annotation["area"])[::-1]
    return [*crowds, *objects]


def outline(segmentation: Sequence[Sequence[float]] | RunLengths, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels of one annotation: the union of its polygons, or its run lengths, compressed or not.

    Polygons are rasterised by pycocotools as COCO's own tools do; one of fewer than three points encloses nothing.

    Args:
        segmentation: as in the file.
        size: (H, W) of the image in px.

    Returns:
        (H, W) bool, in column-major order.

    Raises:
        ValueError: coordinates are not pairs of finite numbers near the image, or runs do not add up to its pixels.
        TypeError: something else than numbers stands there.
    """
    if isinstance(segmentation, Mapping):
        return _of_runs(segmentation, size)
    parts = [part for part in (_points(part, size) for part in segmentation) if len(part) >= 6]
    if not parts:
        return np.zeros(size, np.bool_, order="F")
    region: NDArray[np.uint8] = polygons.decode(polygons.merge(polygons.frPyObjects(parts, *size)))  # type: ignore[no-untyped-call]
    return region.view(np.bool_)


def _points(part: Sequence[float], size: tuple[int, int]) -> NDArray[np.float64]:
    """[x, y, x, y, ...], checked, because pycocotools crashes on what is not a coordinate."""
    points = np.asarray(part, np.float64)
    if points.ndim != 1 or len(points) % 2:
        raise ValueError("its coordinates are not pairs")
    for values, extent in ((points[::2], size[1]), (points[1::2], size[0])):
        if not ((values >= -extent) & (values <= 2 * extent)).all():
            raise ValueError("it leaves the image by more than the image's own size")
    return points


def _of_runs(region: RunLengths, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Run lengths as pixels; pycocotools would fill what they leave open with whatever is in memory."""
    counts = region["counts"]
    runs = np.asarray(_decompressed(counts) if isinstance(counts, str) else counts, np.int64)
    if list(region["size"]) != list(size) or (runs < 0).any() or runs.sum() != size[0] * size[1]:
        raise ValueError(f"its runs do not add up to the image's {size[0]} x {size[1]} pixels")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size, order="F")


def _decompressed(text: str) -> list[int]:
    """COCO's run lengths as text: five bits a character, lowest first, a sixth says that more follow.

    Numbers are signed; from the fourth on each is the difference to the run two before it.
    """
    runs: list[int] = []
    value = shift = 0
    for code in (ord(character) - 48 for character in text):
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            signed = value - (1 << shift) if code & 16 else value
            runs.append(signed + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs
