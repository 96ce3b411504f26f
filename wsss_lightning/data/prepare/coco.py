"""COCO's label maps, one palette PNG an image, painted from the outlines of its objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from wsss_lightning.data.coco_annotations import (
    COCO_CLASSES,
    COCO_IDS,
    CocoAnnotation,
    Content,
    Id,
    by_image,
    class_numbers,
    find_annotations,
    shapeless,
)
from wsss_lightning.data.coco_conventions import (
    RECORD,
    CocoConvention,
    Ids,
    Untagged,
    read_convention,
    write_convention,
)
from wsss_lightning.data.coco_json import read_annotations
from wsss_lightning.data.coco_masks import paint_objects
from wsss_lightning.data.masks import write_mask
from wsss_lightning.errors import InputError
from wsss_lightning.parallel import in_parallel


@dataclass(frozen=True)
class PreparedCoco:
    """Counts of a list: its images, those with an annotation, its label maps, and those painted by this call.

    `shapeless` says which objects have no outline and are painted as nothing; empty where all have one.
    """

    images: int
    annotated: int
    masks: int
    painted: int
    shapeless: str


@dataclass(frozen=True)
class _Drawing:
    """A label map to paint; `size` is (H, W)."""

    target: Path
    size: tuple[int, int]
    annotations: list[CocoAnnotation]


def prepare_list(
    root: Path,
    list_name: str,
    *,
    convention: CocoConvention,
    overwrite: bool = False,
    strict: bool = False,
    processes: int = 1,
) -> PreparedCoco:
    """Paint the label maps of a list into its `masks_folder`, those that are there already excepted.

    The annotations are parsed once, here; a process gets those of its images alone.

    Args:
        root: the data set's folder.
        list_name: such as "train2014".
        convention: how to paint; it is recorded beside the label maps before the first of them is.
        overwrite: delete what label maps there are first.
        strict: refuse objects without an outline.
        processes: how many paint at once.

    Raises:
        InputError: the annotations are missing or damaged, or there are label maps of another convention.
    """
    return paint_annotations(
        find_annotations(root, list_name),
        masks_folder(root, list_name),
        convention=convention,
        overwrite=overwrite,
        strict=strict,
        processes=processes,
    )


def paint_annotations(
    path: Path,
    folder: Path,
    *,
    convention: CocoConvention,
    unused: Sequence[str] = (),
    overwrite: bool = False,
    strict: bool = False,
    processes: int = 1,
) -> PreparedCoco:
    """`prepare_list` of any file in COCO's form, into any folder; `unused`: categories that no annotation is of."""
    check_convention(folder, convention=convention, overwrite=overwrite)
    content = read_annotations(path, outlines=True)
    if strict and (missing_outlines := shapeless(content)):
        raise InputError(f"{path}: {missing_outlines}: add the outlines, or prepare without --strict.")
    drawings = _drawings(content, folder, untagged=convention.untagged)
    indices = _indices(content, path, names=[*convention.names, *unused], ids=convention.ids)
    write = partial(_write, source=path, indices=indices, convention=convention)
    if overwrite:
        for stale in folder.glob("[!.]*.png"):
            stale.unlink()
    write_convention(folder, convention)
    missing = [drawing for drawing in drawings if not drawing.target.is_file()]
    for _ in in_parallel(write, missing, processes=processes, description=f"label maps of {path.stem}"):
        pass
    return PreparedCoco(len(content["images"]), len(by_image(content)), len(drawings), len(missing), shapeless(content))


def masks_folder(root: Path, list_name: str) -> Path:
    """Where the label maps of a list are written."""
    return root / "SegmentationClass" / list_name


def check_convention(folder: Path, *, convention: CocoConvention, overwrite: bool) -> None:
    """Refuse to add to label maps of another convention, or of an unknown one.

    Raises:
        InputError: there are such, and `overwrite` is not set.
    """
    if overwrite:
        return
    recorded = read_convention(folder)
    if recorded is None and any(folder.glob("[!.]*.png")):
        raise InputError(f"{folder} holds masks but no {RECORD}: move them away, or replace them with --overwrite.")
    # Those of an older version do not say their classes, which were most likely COCO's own.
    said = recorded and replace(recorded, names=recorded.names or COCO_CLASSES)
    if said not in (None, convention):
        raise InputError(
            f"{folder} was painted with other options ({recorded}): repeat those, or replace it with --overwrite."
        )


def _drawings(content: Content, folder: Path, *, untagged: Untagged) -> list[_Drawing]:
    annotations = by_image(content)
    return [
        _Drawing(
            target=folder / f"{Path(image['file_name']).stem}.png",
            size=(image["height"], image["width"]),
            annotations=annotations.get(image["id"], []),
        )
        for image in content["images"]
        if untagged is Untagged.KEEP or image["id"] in annotations
    ]


def _indices(content: Content, path: Path, *, names: Sequence[str], ids: Ids) -> dict[Id, int]:
    """Mask index of every category id of the file."""
    numbers = class_numbers(content, names=names, path=path, remedy="--names")
    if ids is Ids.RAW and tuple(names) != COCO_CLASSES:
        raise InputError("raw ids are those of COCO's own classes: paint other --names with --ids contiguous.")
    own = COCO_IDS if ids is Ids.RAW else range(1, len(names) + 1)
    return {category: own[number] for category, number in numbers.items()}


def _write(drawing: _Drawing, *, source: Path, indices: Mapping[Id, int], convention: CocoConvention) -> None:
    try:
        mask = paint_objects(
            drawing.annotations,
            size=drawing.size,
            indices=indices,
            overlap=convention.overlap,
            crowd=convention.crowd,
        )
    except ValueError as error:
        raise InputError(f"{source}, image {drawing.target.stem}: {error}; correct it there.") from None
    write_mask(drawing.target, mask)
