"""COCO's annotation files, which `coco_json` reads: classes and category ids, where folders lie, what stands in a file.

Nothing here needs numpy or torch, so that the processes that paint label maps start at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from wsss_lightning.data.lists import MissingListError
from wsss_lightning.errors import InputError

# In the order of COCO's category ids; contiguous mask index i + 1 is COCO_CLASSES[i], its raw one COCO_IDS[i].
COCO_CLASSES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee"),
    *("skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard"),
    *("tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone"),
    *("microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear"),
    *("hair drier", "toothbrush"),
)
_UNUSED_IDS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # of COCO's list of 90 (street sign, hat, ...)
COCO_IDS = tuple(category for category in range(1, 91) if category not in _UNUSED_IDS)

KNOWN_IMAGES = {"train2014": 82_783, "val2014": 40_504, "test2014": 40_775}
KNOWN_ANNOTATED = {"train2014": 82_081, "val2014": 40_137}  # with at least one annotation, be it a crowd's


Id = int | str


class ImageEntry(TypedDict):
    """An image of a file; `height` and `width` in px, which only a file read for its outlines needs to have."""

    id: Id
    file_name: str
    height: int
    width: int


class RunLengths(TypedDict):
    """A region as the lengths of its runs, down the columns, in turn outside and inside; a string is compressed."""

    size: list[int]
    counts: list[int] | str


class CocoAnnotation(TypedDict):
    """An object, or with `iscrowd` a region of many: polygons [x, y, x, y, ...] in px, or run lengths; `area` in px.

    `id` may be anything, `iscrowd` is 0 where the file does not say, `area` None. `segmentation` is what stands there.
    """

    id: object
    image_id: Id
    category_id: Id
    iscrowd: int
    area: float | None
    segmentation: list[list[float]] | RunLengths


class Content(TypedDict):
    """A file; annotations read without outlines have no `segmentation`.

    `shapeless` are the places in `annotations` of objects whose outline encloses nothing.
    """

    images: list[ImageEntry]
    categories: list[dict[str, Any]]
    annotations: list[CocoAnnotation]
    shapeless: list[int]


def find_annotations(root: Path, list_name: str, *, kind: Literal["instances", "image_info"] = "instances") -> Path:
    """The file of a list, in `annotations` or `Annotations` of the root or of its folder `coco2014`.

    Args:
        root: the data set's folder.
        list_name: such as "train2014".
        kind: "instances", or "image_info" for a list whose annotations nobody has.

    Raises:
        MissingListError: there is none; the message says where it was looked for.
    """
    name = f"{kind}_{list_name}.json"
    tried = _places(root, (f"annotations/{name}", f"Annotations/{name}"))
    for path in tried:
        if path.is_file():
            return path
    raise MissingListError(f"no {name}: put COCO's annotation file at one of {', '.join(map(str, tried))}.")


def find_images(root: Path, list_name: str) -> Path:
    """The folder of a list's images: `train2014`, below `images` or `JPEGImages`, or `JPEGImages/train`."""
    folders = (list_name, f"images/{list_name}", f"JPEGImages/{list_name}", f"JPEGImages/{_split(list_name)}")
    tried = _places(root, folders)
    return next((folder for folder in tried if folder.is_dir()), tried[0])


def find_masks(root: Path, list_name: str) -> Path:
    """The folder of a list's label maps: the first that holds a PNG, else where `wsss data prepare coco` writes them.

    These are `train2014` or `train` below `SegmentationClass`, `mask/train2014`, and `SegmentationClass` for all lists.
    """
    own = f"SegmentationClass/{list_name}"
    tried = _places(root, (own, f"SegmentationClass/{_split(list_name)}", f"mask/{list_name}", "SegmentationClass"))
    return next((folder for folder in tried if any(folder.glob("[!.]*.png"))), tried[0])


def _places(root: Path, names: Sequence[str]) -> list[Path]:
    return [base / name for base in (root, root / "coco2014") for name in names]


def _split(list_name: str) -> str:
    return list_name.rstrip("0123456789")


def class_numbers(content: Content, *, names: Sequence[str], path: Path, remedy: str = "data.names") -> dict[Id, int]:
    """Category id -> place in `names`, matched by the category's name.

    Raises:
        InputError: a category of `path` belongs to no class; `remedy` is the option that names all of them.
    """
    categories = {category["id"]: category["name"] for category in content["categories"]}
    if unknown := sorted(set(categories.values()) - set(names)):
        raise InputError(f"{path} has the category {unknown[0]!r}, which is no class: give all of them as {remedy}.")
    return {category: list(names).index(name) for category, name in categories.items()}


def by_image(content: Content) -> dict[Id, list[CocoAnnotation]]:
    """The annotations of every image that has one, crowds among them, in the file's order, by the image's number."""
    annotations: dict[Id, list[CocoAnnotation]] = defaultdict(list)
    for annotation in content["annotations"]:
        annotations[annotation["image_id"]].append(annotation)
    return dict(annotations)


def shapeless(content: Content) -> str:
    """How many objects have no outline, with the first of them; empty where all have one."""
    places = content["shapeless"]
    if not places:
        return ""
    first, count = content["annotations"][places[0]], len(content["annotations"])
    return (
        f"{len(places):,} of {count:,} objects have no outline that encloses anything, annotation {first['id']} of "
        f"image {first['image_id']} first"
    )
