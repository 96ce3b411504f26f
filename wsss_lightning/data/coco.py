"""MS COCO 2014: images with tags from `instances_*.json`, whose outlines are not read; label maps for evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.coco_annotations import (
    COCO_CLASSES,
    COCO_IDS,
    KNOWN_ANNOTATED,
    KNOWN_IMAGES,
    Content,
    ImageEntry,
    by_image,
    class_numbers,
    find_annotations,
    find_images,
    find_masks,
    shapeless,
)
from wsss_lightning.data.coco_conventions import Ids, read_convention, require_names
from wsss_lightning.data.coco_json import read_annotations, read_image_info
from wsss_lightning.data.doubts import counted, strays
from wsss_lightning.data.labels import IGNORE, LabelMap, Mask
from wsss_lightning.data.lists import MissingListError
from wsss_lightning.data.reader import Reader
from wsss_lightning.data.samples import Record
from wsss_lightning.data.tag_table import IMAGE_SUFFIXES
from wsss_lightning.errors import InputError

__all__ = ["COCO_CLASSES", "COCO_IDS", "COCODataModule", "COCOReader"]
FILES_READ = "wsss_lightning.data.fingerprint.coco"


class COCOReader(Reader):
    """COCO's layout: `annotations/instances_<list>.json`, images in `<list>`; other repositories' are found too.

    Label maps, which COCO does not have, are painted by `wsss data prepare coco` and needed for evaluation alone. One
    is called as its image or by the image's number; `find_images` and `find_masks` say which folders are looked at.
    A list is "train2014", "val2014" or the like, a test list is read from its image_info file. A crowd region tags its
    image as any instance does.

    Args:
        root: the folder that holds `annotations` or `coco2014`.
        names: all foreground classes by COCO's own names, in the order of the mask indices.
        untagged: keep the images without any annotation (702 of train2014, 367 of val2014).
        ids: of the label maps: "contiguous" (1..80), "raw" (COCO's category ids, up to 90), or "auto": what is
            recorded beside them, contiguous where nothing is. Never mixed: an index that cannot be is refused.

    Raises:
        InputError: `ids` is unknown, or label maps are recorded to have other `ids`; later, the annotations are missing
            or damaged.
    """

    def __init__(
        self, root: Path | str, *, names: Sequence[str] = COCO_CLASSES, untagged: bool = True, ids: str = "auto"
    ) -> None:
        if ids not in (choices := ("auto", *Ids)):
            raise InputError(f"ids={ids!r} is unknown: choose from {', '.join(choices)}.")
        super().__init__(root, names=names, tags="instances")
        self.untagged, self.ids = untagged, ids
        self._doubts: dict[str, list[str]] = {}  # about each list that was read
        self._shapeless: dict[str, str] = {}

    def label_map(self, kept: Sequence[str], lists: Sequence[str]) -> LabelMap:
        """See the base class."""
        folders = [find_masks(self.root, list_name) for list_name in lists]
        for folder in folders:
            require_names(folder, self.names)
        said = {str(folder): convention.ids for folder in folders if (convention := read_convention(folder))}
        if self.ids != "auto":
            said["data.ids"] = Ids(self.ids)
        if len(set(said.values())) > 1:
            words = ", ".join(f"{ids} in {where}" for where, ids in said.items())
            again = "paint some again (wsss data prepare coco --ids)"
            raise InputError(f"label maps of two conventions ({words}): {again}.")
        return COCOLabels(self.names, tuple(kept), ids=next(iter(said.values()), Ids.CONTIGUOUS))

    def read_records(self, list_name: str, *, tagged: bool) -> list[Record]:
        """See the base class; in the order of the file names. Not `tagged`, a list is read from its image_info file."""
        path = find_annotations(self.root, list_name, kind="instances" if tagged else "image_info")
        content = read_annotations(path, outlines=False) if tagged else read_image_info(path)
        numbers = class_numbers(content, names=self.names, path=path)
        self._note(list_name, content, path)
        shown = {
            image: {numbers[annotation["category_id"]] for annotation in annotations}
            for image, annotations in by_image(content).items()
        }
        images = sorted(content["images"], key=lambda image: image["file_name"])
        record = partial(
            self._record,
            images=find_images(self.root, list_name),
            masks=find_masks(self.root, list_name),
            stems={PurePosixPath(image["file_name"]).stem for image in images},
        )
        kept = (image for image in images if self.untagged or not tagged or image["id"] in shown)
        return [record(image, shown.get(image["id"], set())) for image in kept]

    def _record(self, image: ImageEntry, shown: set[int], *, images: Path, masks: Path, stems: set[str]) -> Record:
        path = images / image["file_name"]
        names = [path.stem, *({str(image["id"])} - stems)]  # a number that is another image's name is that one's
        candidates = [masks / f"{name}.png" for name in names]
        tags = np.isin(np.arange(len(self.names)), list(shown))
        return Record(path.stem, path, next((mask for mask in candidates if mask.is_file()), candidates[0]), tags)

    def listed(self, list_name: str) -> list[Record]:
        """See the base class; a list that has annotations is not read from an image_info file."""
        try:
            find_annotations(self.root, list_name)
        except MissingListError:
            return super().listed(list_name)
        return self.read_records(list_name, tagged=True)

    def warnings(self, lists: Sequence[str]) -> list[str]:
        """See the base class; of the lists that were read, also images and label maps that their file does not name."""
        return [*super().warnings(lists), *(about for name in sorted({*lists}) for about in self._doubts.get(name, []))]

    def shapeless(self, lists: Sequence[str]) -> list[str]:
        """See the base class."""
        return [self._shapeless[name] for name in sorted({*lists}) if self._shapeless.get(name)]

    def _note(self, list_name: str, content: Content, path: Path) -> None:
        folder, masks = find_images(self.root, list_name), find_masks(self.root, list_name)
        names = {PurePosixPath(image["file_name"]).name for image in content["images"]}
        there = {file.name for file in folder.glob("*") if file.suffix.lower() in IMAGE_SUFFIXES}
        known = {str(image["id"]) for image in content["images"]} | {PurePosixPath(name).stem for name in names}
        if outlines := shapeless(content):
            self._shapeless[list_name] = f"{path}: {outlines}: they are background in label maps painted from it."
        self._doubts[list_name] = [
            *counted(there - names, f"image of {folder} is", f"images of {folder} are", f"in no entry of {path.name}"),
            *(strays(masks, ".png", known, of=path.name) if masks.name != "SegmentationClass" else []),
        ]

    @property
    def known_counts(self) -> Mapping[str, int]:
        """See the base class; of files with other classes nothing is known."""
        known = KNOWN_IMAGES if self.untagged else KNOWN_IMAGES | KNOWN_ANNOTATED
        return known if self.names == COCO_CLASSES else {}


@dataclass(kw_only=True, eq=False, repr=False)
class COCODataModule(SegmentationDataModule):
    """`SegmentationDataModule` of a `COCOReader`, whose arguments it takes in place of the reader."""

    root: Path | str
    names: Sequence[str] = COCO_CLASSES
    train_list: str | None = "train2014"
    val_list: str | None = "val2014"
    untagged: bool = True
    ids: str = "auto"
    reader: Reader = field(init=False)

    def __post_init__(self) -> None:
        self.reader = COCOReader(self.root, names=self.names, untagged=self.untagged, ids=self.ids)
        super().__post_init__()


@dataclass(frozen=True)
class COCOLabels(LabelMap):
    """`LabelMap` of label maps whose indices are `ids`; raw ones exist of COCO's own classes alone."""

    ids: Ids

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ids is Ids.RAW and self.names[: len(COCO_CLASSES)] != COCO_CLASSES:
            raise InputError("raw ids are those of COCO's own classes: set data.ids=contiguous for other data.names.")

    def encode(self, mask: Mask, path: Path) -> Mask:
        """See `LabelMap.encode`; an index that `ids` does not have is refused."""
        known = [*range(len(self.names) + 1), IGNORE]
        contiguous = np.full(256, -1, np.int16)
        contiguous[self._own()[known]] = known
        labels = contiguous[mask]
        if (labels < 0).any():
            index, other = mask[labels < 0][0], next(other for other in Ids if other is not self.ids)
            raise InputError(
                f"{path} holds index {index}, which is none of the {self.ids} ids: set data.ids={other}, or paint "
                "it again."
            )
        return super().encode(labels.astype(np.uint8), path)

    def decode(self, labels: Mask) -> Mask:
        """See `LabelMap.decode`."""
        return self._own()[super().decode(labels)]

    def _own(self) -> Mask:
        """(256,) what stands in a label map for every contiguous index; classes beyond COCO's follow its last id."""
        own = np.arange(256, dtype=np.uint8)
        if self.ids is Ids.RAW:
            beyond = len(self.names) - len(COCO_IDS)
            own[1 : len(self.names) + 1] = [*COCO_IDS, *range(91, 91 + beyond)]
        return own
