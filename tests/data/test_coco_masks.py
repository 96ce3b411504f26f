from itertools import product
from typing import Any

import numpy as np
import pytest
from fake_coco import rectangle, runs
from numpy.typing import NDArray
from pycocotools import mask as coder

from wsss_lightning.data.coco_conventions import Crowd, Overlap
from wsss_lightning.data.coco_masks import outline, paint_objects

SIZE = (18, 23)
INDICES = {1: 1, 13: 12, 90: 80}


def annotation(category: int, segmentation: Any, *, area: float = 1.0, iscrowd: int = 0) -> Any:
    return {"id": 7, "category_id": category, "segmentation": segmentation, "area": area, "iscrowd": iscrowd}


def box(category: int, rows: slice, columns: slice, *, area: float = 1.0) -> Any:
    return annotation(category, [rectangle((rows, columns))], area=area)


@pytest.mark.parametrize(("overlap", "top"), [(Overlap.SMALLEST, 12), (Overlap.LAST, 80)])
def test_where_objects_overlap(overlap: Overlap, top: int) -> None:
    fork, table = box(13, slice(2, 6), slice(3, 8), area=20), box(90, slice(4, 10), slice(5, 15), area=60)
    mask = paint_objects([fork, table], size=SIZE, indices=INDICES, overlap=overlap)
    expected = np.zeros(SIZE, np.uint8)
    expected[4:10, 5:15] = 80
    expected[2:6, 3:8] = 12
    expected[4:6, 5:8] = top
    assert mask.dtype == np.uint8 and mask.flags.c_contiguous
    assert np.array_equal(mask, expected)


def test_of_two_objects_of_the_same_area_the_first_is_on_top_and_the_file_s_order_is_kept_otherwise() -> None:
    objects = [box(category, slice(2, 6), slice(2, 6), area=16) for category in (13, 90, 1)]
    assert set(paint_objects(objects, size=SIZE, indices=INDICES).flat) == {0, 12}
    assert set(paint_objects(objects, size=SIZE, indices=INDICES, overlap=Overlap.LAST).flat) == {0, 1}


@pytest.mark.parametrize("overlap", Overlap)
@pytest.mark.parametrize("place", [0, 1])
def test_a_crowd_is_255_and_hides_no_object_wherever_it_stands_and_however_small_it_is(
    overlap: Overlap, place: int
) -> None:
    crowd = annotation(1, runs((slice(0, 9), slice(0, 9)), SIZE, compressed=False), area=0.5, iscrowd=1)
    annotations = [box(90, slice(4, 12), slice(4, 12), area=64)]
    annotations.insert(place, crowd)
    mask = paint_objects(annotations, size=SIZE, indices=INDICES, overlap=overlap)
    assert (mask[4:12, 4:12] == 80).all() and (mask == 255).sum() == 81 - 25
    dropped = paint_objects(annotations, size=SIZE, indices=INDICES, overlap=overlap, crowd=Crowd.DROP)
    assert np.array_equal(dropped, np.where(mask == 255, 0, mask))


def test_without_annotations_all_is_background() -> None:
    assert not paint_objects([], size=SIZE, indices=INDICES).any()


def _pixels(segmentation: Any) -> NDArray[np.bool_]:
    """pycocotools, part by part."""
    if isinstance(segmentation, dict):
        text = isinstance(segmentation["counts"], str)
        return coder.decode(segmentation if text else coder.frPyObjects(segmentation, *SIZE)) > 0
    return np.any([coder.decode(coder.frPyObjects([part], *SIZE)[0]) > 0 for part in segmentation], axis=0)


def _brute_force(annotations: list[Any], *, overlap: Overlap, crowd: Crowd) -> NDArray[np.uint8]:
    """Every pixel asks all annotations for itself."""
    pixels = [_pixels(found["segmentation"]) for found in annotations]
    mask = np.zeros(SIZE, np.uint8)
    for place in np.ndindex(SIZE):
        there = [found for found, inside in zip(annotations, pixels, strict=True) if inside[place]]
        objects = [found for found in there if not found["iscrowd"]]
        if objects:
            smallest = min(objects, key=lambda found: found["area"])  # of equals, min takes the first
            mask[place] = INDICES[(smallest if overlap is Overlap.SMALLEST else objects[-1])["category_id"]]
        elif there and crowd is Crowd.IGNORE:
            mask[place] = 255
    return mask


def _random_annotations(rng: np.random.Generator) -> list[Any]:
    found = []
    for _ in range(rng.integers(1, 9)):
        kind = rng.integers(0, 6)
        if kind < 4:  # also beyond the border, also crowds drawn as polygons
            shape = [rng.uniform(-3, 25, 2 * rng.integers(3, 7)).round(2).tolist() for _ in range(rng.integers(1, 4))]
        else:
            inside = np.asfortranarray(rng.random(SIZE) < rng.choice([0.05, 0.5]), np.uint8)
            shape = coder.encode(inside)
            shape["counts"] = shape["counts"].decode()
        # Few areas, so that there are ties.
        area, category = float(rng.integers(1, 4)), int(rng.choice([*INDICES]))
        found.append(annotation(category, shape, area=area, iscrowd=int(rng.random() < 0.25)))
    return found


@pytest.mark.parametrize(("overlap", "crowd"), list(product(Overlap, Crowd)))
def test_the_painter_equals_one_that_asks_every_pixel(overlap: Overlap, crowd: Crowd) -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(60):
        annotations = _random_annotations(rng)
        mask = paint_objects(annotations, size=SIZE, indices=INDICES, overlap=overlap, crowd=crowd)
        assert np.array_equal(mask, _brute_force(annotations, overlap=overlap, crowd=crowd))
        seen |= set(mask.flat)
    assert seen == {0, 1, 12, 80} | ({255} if crowd is Crowd.IGNORE else set())


@pytest.mark.parametrize("compressed", [False, True])
def test_run_lengths_are_pycocotools_own(compressed: bool) -> None:
    rng = np.random.default_rng(1)
    for chance in (0.0, 0.01, 0.1, 0.5, 0.99, 1.0):
        inside = np.asfortranarray(rng.random((200, 310)) < chance, np.uint8)
        region = coder.encode(inside)
        changes = np.flatnonzero(np.diff(inside.ravel(order="F"), prepend=0, append=2))
        counts = region["counts"].decode() if compressed else np.diff(changes, prepend=0).tolist()
        assert np.array_equal(outline({"size": [200, 310], "counts": counts}, (200, 310)), inside)


def test_the_parts_of_an_object_are_united_and_a_line_encloses_nothing() -> None:
    parts = [rectangle((slice(0, 4), slice(0, 4))), rectangle((slice(2, 6), slice(2, 6)))]
    both = outline([*parts, [0.0, 0.0, 20.0, 17.0]], SIZE)
    assert both.sum() == 16 + 16 - 4 and both[2:4, 2:4].all()
    assert not outline([], SIZE).any() and not outline([[1.0, 1.0, 9.0, 9.0]], SIZE).any()


@pytest.mark.parametrize(
    "segmentation",
    [
        [[0.0, 0.0, 5.0, 5.0, float("nan"), 3.0]],
        [[1e9, 1.0, 1.0, 1e9, 4.0, 4.0]],
        [[0.0, 0.0, 5.0, 5.0, 3.0]],
        [["a", "b", "c", "d", "e", "f"]],
        [[[0.0, 0.0], [5.0, 5.0]]],
        [{"x": 1}],
        5,
        "a",
        {"counts": [18 * 23]},
        {"size": 5, "counts": None},
        {"size": [18, 23], "counts": [2**62] * 4 + [18 * 23]},
        {"size": [18, 23], "counts": "o" * 2_000_000},
        {"size": [18, 23], "counts": [0, 5]},
        {"size": [18, 23], "counts": [0, 18 * 23 + 1]},
        {"size": [18, 23], "counts": [18 * 23 + 1, -1]},
        {"size": [23, 18], "counts": [0, 18 * 23]},
        {"size": [18, 23], "counts": "!!"},
        {"size": [18, 23], "counts": "P" * 99},
    ],
    ids=str,
)
def test_a_damaged_outline_is_refused_with_the_number_of_its_annotation(segmentation: Any) -> None:
    with pytest.raises(ValueError, match="annotation 7 has a damaged outline"):
        paint_objects([annotation(1, segmentation)], size=SIZE, indices=INDICES)
