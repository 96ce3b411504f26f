"""Images from the web, retrieved by class name: one tag each, nobody has looked at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.folder import ALL, FolderReader
from wsss_lightning.data.prepare.web import IMAGES, TAGS
from wsss_lightning.data.reader import Reader
from wsss_lightning.data.voc import VOC_CLASSES
from wsss_lightning.errors import InputError

FILES_READ = "wsss_lightning.data.fingerprint.folder"


class WebReader(FolderReader):
    """`JPEGImages` and `tags.csv` as `wsss data prepare web` writes them (coseg sec. 4.1).

    Args:
        root: the folder that holds both, and lists `<name>.txt` if there are any; "all" is every image.
        names: all foreground classes in index order, where they are not VOC's.
        tags: the CSV file.
        masks: a folder of masks `<image id>.png` to score by, of generated images; images from the web have none.

    Raises:
        InputError: `tags.csv` is missing or at fault, or gives an image another number of tags than one.
    """

    def __init__(
        self, root: Path | str, *, names: Sequence[str] = VOC_CLASSES, tags: str = TAGS, masks: str | None = None
    ) -> None:
        super().__init__(root, names=names, images=IMAGES, tags=tags, masks=masks)
        for row in self.table.rows:
            if len(row.tags) != 1:
                where = f"{self.table.path}, line {row.line}"
                raise InputError(f"{where}: {row.image} has {len(row.tags)} tags, not one: open it with data=folder.")


@dataclass(kw_only=True, eq=False, repr=False)
class WebDataModule(SegmentationDataModule):
    """`SegmentationDataModule` of a `WebReader`, whose arguments it takes in place of the reader.

    Its val list is there to look at predictions: a network that is trained here is evaluated on another data set.
    """

    root: Path | str
    names: Sequence[str] = VOC_CLASSES
    tags: str = TAGS
    masks: str | None = None
    train_list: str | None = ALL
    val_list: str | None = ALL
    reader: Reader = field(init=False)

    def __post_init__(self) -> None:
        self.reader = WebReader(self.root, names=self.names, tags=self.tags, masks=self.masks)
        super().__post_init__()
