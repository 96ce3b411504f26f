"""MS COCO 2014 as a source of tags: images and `instances_*.json`; no outline is decoded for them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.data.samples import IMAGENET_MEAN, IMAGENET_STD
from wsss_lightning.errors import InputError

if TYPE_CHECKING:
    import albumentations as A

# In the order of COCO's category ids, which run from 1 to 90 with ten gaps; mask index i + 1 is COCO_CLASSES[i].
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


class COCODataModule(SegmentationDataModule):
    """COCO's layout: `annotations/instances_<list>.json`, images in `<list>` or `images/<list>`.

    Label maps, which COCO does not have, are looked for at `SegmentationClass/<list>/<image>.png` with contiguous
    indices 1..80 and needed for evaluation alone.

    Args:
        root: the folder that holds `annotations`.
        names: all foreground classes by COCO's own names, in the order of the mask indices.
        train_list: such as "train2014".
        val_list: such as "val2014".
        untagged: keep the images without any annotation (702 of train2014, 367 of val2014).

    A crowd region tags its image as any instance does. The other arguments are those of `SegmentationDataModule`.

    Raises:
        InputError: the annotations are missing or damaged.
    """

    def __init__(
        self,
        *,
        root: Path | str,
        names: Sequence[str] = COCO_CLASSES,
        classes: Sequence[str] | None = None,
        train_list: str = "train2014",
        val_list: str = "val2014",
        test_list: str | None = None,
        untagged: bool = True,
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
            train_list=train_list,
            val_list=val_list,
            test_list=test_list,
            tags="instances",
            size=size,
            mean=mean,
            std=std,
            batch_size=batch_size,
            augmentation=augmentation,
            workers=workers,
            seed=seed,
        )
        self.untagged = untagged

    def read_records(self, list_name: str, *, tagged: bool) -> list[Record]:
        """See the base class; in the order of the file names."""
        # A test list is read from its image_info file.
        path = self.root / "annotations" / f"instances_{list_name}.json"
        content = _parse(path)
        shown = _shown(content, self.labels.names, path)
        folder = self._images(list_name)
        images = sorted(content["images"], key=lambda image: image["file_name"])
        kept = [image for image in images if self.untagged or image["id"] in shown]
        return [self._record(folder, list_name, image["file_name"], shown.get(image["id"], set())) for image in kept]

    def _record(self, folder: Path, list_name: str, file_name: str, shown: set[str]) -> Record:
        stem = Path(file_name).stem
        mask = self.root / "SegmentationClass" / list_name / f"{stem}.png"
        tags = np.array([name in shown for name in self.labels.names])
        return Record(image_id=stem, image=folder / file_name, mask=mask, tags=tags)

    def _images(self, list_name: str) -> Path:
        plain = self.root / list_name
        return plain if plain.is_dir() else self.root / "images" / list_name


def _parse(path: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): put COCO's annotation file there.") from None
    if missing := [key for key in ("images", "annotations", "categories") if key not in content]:
        raise InputError(f"{path} has no {', '.join(missing)}: put COCO's instances file there, not another one.")
    return content  # type: ignore[no-any-return]


def _shown(content: dict[str, list[dict[str, Any]]], names: Sequence[str], path: Path) -> dict[int, set[str]]:
    """The names of the classes in every annotated image, by the image's number."""
    categories = {category["id"]: category["name"] for category in content["categories"]}
    if unknown := sorted(set(categories.values()) - set(names)):
        raise InputError(f"{path} has the category {unknown[0]!r}, which is no class: give all of them as data.names.")
    shown: dict[int, set[str]] = defaultdict(set)
    for annotation in content["annotations"]:
        shown[annotation["image_id"]].add(categories[annotation["category_id"]])
    return dict(shown)
