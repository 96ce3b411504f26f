"""Images from the web, retrieved by class name: one tag each, nobody has looked at them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wsss_lightning.data.folder import ALL, FolderDataModule
from wsss_lightning.data.prepare.web import IMAGES, TAGS
from wsss_lightning.data.samples import IMAGENET_MEAN, IMAGENET_STD
from wsss_lightning.data.voc import VOC_CLASSES
from wsss_lightning.errors import InputError

if TYPE_CHECKING:
    import albumentations as A


class WebDataModule(FolderDataModule):
    """`JPEGImages` and `tags.csv` as `wsss data prepare web` writes them (coseg sec. 4.1).

    Args:
        root: the folder that holds both.
        names: all foreground classes in index order, where they are not VOC's.
        train_list: "all", or the name of a list `<name>.txt` in the root.
        masks: a folder of masks `<image id>.png` to score by, of generated images; images from the web have none.
        val_list: the same; to look at predictions, since a network trained here is evaluated on another data set.

    The other arguments are those of `SegmentationDataModule`.

    Raises:
        InputError: `tags.csv` is missing or at fault, or gives an image another number of tags than one.
    """

    def __init__(
        self,
        *,
        root: Path | str,
        names: Sequence[str] = VOC_CLASSES,
        classes: Sequence[str] | None = None,
        tags: str = TAGS,
        masks: str | None = None,
        train_list: str = ALL,
        val_list: str = ALL,
        test_list: str | None = None,
        size: tuple[int, int] | None = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        batch_size: int = 1,
        augmentation: A.Compose | None = None,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(
            root=root,
            names=names,
            classes=classes,
            images=IMAGES,
            tags=tags,
            masks=masks,
            train_list=train_list,
            val_list=val_list,
            test_list=test_list,
            size=size,
            mean=mean,
            std=std,
            batch_size=batch_size,
            augmentation=augmentation,
            workers=workers,
            seed=seed,
        )
        for row in self.table.rows:
            if len(row.tags) != 1:
                where = f"{self.table.path}, line {row.line}"
                raise InputError(f"{where}: {row.image} has {len(row.tags)} tags, not one: open it with data=folder.")
