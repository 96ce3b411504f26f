"""PASCAL VOC 2012, with or without the SBD masks, and data sets written in its layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.doubts import counted, strays
from wsss_lightning.data.fingerprint import TAG_FILES, voc_places, voc_root
from wsss_lightning.data.lists import AUGMENTED, FOLDERS, find_list, read_list
from wsss_lightning.data.reader import Reader
from wsss_lightning.data.samples import Record
from wsss_lightning.data.tags import TagSource, no_tags, tags_from_masks, tags_from_npy, tags_from_xml
from wsss_lightning.errors import InputError

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
# VOC 2012's own lists; train_aug is (VOC train + SBD train + SBD val) without VOC val.
VOC_COUNTS = {"train": 1464, "val": 1449, "trainval": 2913, "test": 1456, **dict.fromkeys(AUGMENTED, 10582)}
_SOURCES = ("auto", "xml", "npy", "masks")
FILES_READ = "wsss_lightning.data.fingerprint.voc"


class VOCReader(Reader):
    """VOC's layout: `JPEGImages`, `ImageSets`, `SegmentationClass`, `SegmentationClassAug`, `Annotations`.

    Args:
        root: the folder `VOC2012`, or one that holds it or `VOCdevkit/VOC2012`.
        names: all foreground classes in index order, where they are not VOC's.
        tags: "xml" (`Annotations`), "npy" (`cls_labels.npy` or `cls_labels_onehot.npy` in the root), "masks", or
            "auto": the first of xml and npy that is there. Masks are strong supervision and are never chosen silently.

    Raises:
        InputError: there is no such data set at `root`, or `tags` is unknown.
    """

    def __init__(self, root: Path | str, *, names: Sequence[str] = VOC_CLASSES, tags: str = "auto") -> None:
        if tags not in _SOURCES:
            raise InputError(f"tags={tags!r} is unknown: choose from {', '.join(_SOURCES)}.")
        folder = voc_root(Path(root))
        if folder is None:
            tried, below = ", ".join(map(str, voc_places(Path(root)))), _found_below(Path(root))
            raise InputError(f"no VOC data set: none of {tried} has a folder JPEGImages; set data.root={below}.")
        super().__init__(folder, names=names, tags=tags)

    @cached_property
    def tags_source(self) -> str:
        """The source in use: "xml", "npy" or "masks".

        Raises:
            InputError: `tags` is "auto" and the root has neither XML nor a tag file.
        """
        if self.tags != "auto":
            return self.tags
        if any((self.root / "Annotations").glob("*.xml")):
            return "xml"
        if any((self.root / name).is_file() for name in TAG_FILES):
            return "npy"
        raise InputError(
            f"{self.root} has no image tags: add Annotations/*.xml or one of {', '.join(TAG_FILES)}, "
            'or set tags="masks" to derive them from the masks.'
        )

    @property
    def known_counts(self) -> Mapping[str, int]:
        """See the base class; of data with other classes in VOC's layout nothing is known."""
        return VOC_COUNTS if self.names == VOC_CLASSES else {}

    def read_records(self, list_name: str, *, tagged: bool) -> list[Record]:
        """See the base class."""
        tags = self.tag_source() if tagged else no_tags(len(self.names))
        ids, images = read_list(find_list(self.root, list_name)), self.root / "JPEGImages"
        return [Record(each, images / f"{each}.jpg", self._mask(each), tags(each)) for each in ids]

    def _mask(self, image_id: str) -> Path:
        # VOC's own mask first: it leaves object borders out (255), which SBD's masks and some conversions do not.
        own = self.root / "SegmentationClass" / f"{image_id}.png"
        return own if own.is_file() else self.root / "SegmentationClassAug" / f"{image_id}.png"

    def warnings(self, lists: Sequence[str]) -> list[str]:
        """See the base class; an image that any list of the folder names is used."""
        images = {path.stem for path in (self.root / "JPEGImages").glob("*.jpg")}
        files = [path for folder in FOLDERS for path in (self.root / folder).glob("*.txt")]
        listed = {image_id for path in files for image_id in read_list(path)}
        place = f"of {self.root / 'JPEGImages'}"
        unused = counted(images - listed, f"image {place} is", f"images {place} are", "in no list of ImageSets")
        places = (("Annotations", ".xml"), ("SegmentationClass", ".png"), ("SegmentationClassAug", ".png"))
        lost = [about for name, suffix in places for about in strays(self.root / name, suffix, images, of="JPEGImages")]
        return [*super().warnings(lists), *unused, *lost]

    def tag_source(self) -> TagSource:
        """See the base class."""
        names = self.names
        if self.tags_source == "xml":
            return tags_from_xml(self.root / "Annotations", names=names)
        if self.tags_source == "masks":
            return tags_from_masks(self._mask, names=names)
        files = [self.root / name for name in TAG_FILES if (self.root / name).is_file()]
        return tags_from_npy(files[0] if files else self.root / TAG_FILES[0], names=names)


def _found_below(root: Path) -> Path | str:
    """A child folder that is a VOC data set, else a word for one."""
    return next((folder for folder in sorted(root.glob("*/")) if voc_root(folder) is not None), "FOLDER")


@dataclass(kw_only=True, eq=False, repr=False)
class VOCDataModule(SegmentationDataModule):
    """`SegmentationDataModule` of a `VOCReader`, whose arguments it takes in place of the reader."""

    root: Path | str
    names: Sequence[str] = VOC_CLASSES
    tags: str = "auto"
    train_list: str | None = "train_aug"
    val_list: str | None = "val"
    reader: Reader = field(init=False)

    def __post_init__(self) -> None:
        self.reader = VOCReader(self.root, names=self.names, tags=self.tags)
        super().__post_init__()
