"""One label per pixel from COCO's objects, which may overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as polygons

from wsss_lightning.data.coco_annotations import CocoAnnotation, Id, RunLengths
from wsss_lightning.data.coco_conventions import Crowd, Overlap
from wsss_lightning.data.images import MAX_PIXELS
from wsss_lightning.data.labels import IGNORE

_LONGEST_BORDER = 1_000_000  # px of one polygon
_LONGEST_NUMBER = 35  # bits of a run before its last five: more than any image has pixels


def paint_objects(
    annotations: Sequence[CocoAnnotation],
    *,
    size: tuple[int, int],
    indices: Mapping[Id, int],
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
        ValueError: an outline is damaged, or the image too large; the message names the annotation.
    """
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(f"the image has {size[0]} x {size[1]} px, more than {MAX_PIXELS:,}")
    crowds = [annotation for annotation in annotations if annotation["iscrowd"] and crowd is Crowd.IGNORE]
    objects = [annotation for annotation in annotations if not annotation["iscrowd"]]
    if overlap is Overlap.SMALLEST:  # sorted downwards, equals would keep their order, which hides the first
        objects = sorted(objects, key=lambda annotation: _area(annotation, size))[::-1]
    canvas = np.zeros(size, np.uint8, order="F")  # pycocotools' order, in which painting takes half the time
    for annotation in [*crowds, *objects]:
        index = IGNORE if annotation["iscrowd"] else indices[annotation["category_id"]]
        np.copyto(canvas, index, where=_inside(annotation, size))
    return np.ascontiguousarray(canvas)


def _inside(annotation: CocoAnnotation, size: tuple[int, int]) -> NDArray[np.bool_]:
    try:
        return outline(annotation["segmentation"], size)
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"annotation {annotation['id']} has a damaged outline ({error})") from None


def _area(annotation: CocoAnnotation, size: tuple[int, int]) -> float:
    """What the file says, else the pixels of the outline."""
    return float(_inside(annotation, size).sum()) if annotation["area"] is None else annotation["area"]


def outline(segmentation: Sequence[Sequence[float]] | RunLengths | bool, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels of one annotation: the union of its polygons, or its run lengths, compressed or not.

    Polygons are rasterised by pycocotools as COCO's own tools do; one of fewer than three points encloses nothing.

    Args:
        segmentation: as in the file; False or none where the file has no outline.
        size: (H, W) of the image in px.

    Returns:
        (H, W) bool, in column-major order.

    Raises:
        ValueError: coordinates are not pairs of finite numbers near the image, or runs do not add up to its pixels.
    """
    if isinstance(segmentation, Mapping):
        return _of_runs(segmentation, size)
    if not segmentation:
        return np.zeros(size, np.bool_, order="F")
    if not isinstance(segmentation, list):
        raise ValueError("it is neither a list of polygons nor run lengths")
    parts = [part for part in (_points(part, size) for part in segmentation) if len(part) >= 6]
    if not parts:
        return np.zeros(size, np.bool_, order="F")
    region: NDArray[np.uint8] = polygons.decode(polygons.merge(polygons.frPyObjects(parts, *size)))  # type: ignore[no-untyped-call]
    return region.view(np.bool_)


def _points(part: object, size: tuple[int, int]) -> NDArray[np.float64]:
    """[x, y, x, y, ...], checked, because pycocotools crashes on what is not a coordinate."""
    if not isinstance(part, list):
        raise ValueError("a polygon is no list: write [[x, y, x, y, ...]], one list for each polygon")
    if not {*map(type, part)} <= {int, float}:
        raise ValueError("a coordinate is no number: write [[x, y, x, y, ...]], one list for each polygon")
    if len(part) % 2:
        raise ValueError("its coordinates are not pairs")
    points = np.array(part, np.float64)
    for values, extent in ((points[::2], size[1]), (points[1::2], size[0])):
        if not ((values >= -extent) & (values <= 2 * extent)).all():
            raise ValueError("it leaves the image by more than the image's own size")
    # pycocotools keeps five points for every pixel of the border.
    if np.abs(np.diff(points.reshape(-1, 2), axis=0)).max(axis=1, initial=0).sum() > _LONGEST_BORDER:
        raise ValueError(f"its border is longer than {_LONGEST_BORDER:,} px")
    return points


def _of_runs(region: Mapping[str, object], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Run lengths as pixels; pycocotools would fill what they leave open with whatever is in memory."""
    counts, area = region.get("counts"), size[0] * size[1]
    runs = _decompressed(counts, most=2 * area + 2) if isinstance(counts, str) else counts
    if region.get("size") != [*size] or not isinstance(runs, list):
        raise ValueError(f"its run lengths are not `size` [{size[0]}, {size[1]}] of the image and a list `counts`")
    # Python's numbers, which cannot overflow: numpy's would wrap to a sum that seems right.
    if not {*map(type, runs)} <= {int} or min(runs, default=0) < 0 or sum(runs) != area:
        raise ValueError(f"its runs do not add up to the image's {size[0]} x {size[1]} pixels")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size, order="F")


def _decompressed(text: str, *, most: int) -> list[int]:
    """COCO's run lengths as text: five bits a character, lowest first, a sixth says that more follow.

    Numbers are signed; from the fourth on each is the difference to the run two before it.
    """
    runs: list[int] = []
    value = shift = 0
    for code in (ord(character) - 48 for character in text):
        if not 0 <= code < 64 or shift > _LONGEST_NUMBER or len(runs) > most:
            raise ValueError("its compressed runs are damaged")
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            signed = value - (1 << shift) if code & 16 else value
            runs.append(signed + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs
