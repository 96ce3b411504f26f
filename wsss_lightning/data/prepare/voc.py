"""VOC 2012 with SBD: masks, lists and tags of the 10,582 training images that the field uses."""

from __future__ import annotations

import io
import pickle
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.atomic import replace_file
from wsss_lightning.data.lists import FOLDERS, MissingListError, find_list, read_list
from wsss_lightning.data.prepare.delivery import SBD, VOC, require, sbd_places, unpack_given, unpacked_voc_places
from wsss_lightning.data.prepare.sbd import MaskSource, Outcome, place_masks
from wsss_lightning.data.tags import tags_from_xml
from wsss_lightning.data.voc import VOC_CLASSES, VOC_COUNTS
from wsss_lightning.errors import InputError
from wsss_lightning.progress import track

# Lines of the publishers' lists, and of the two that follow from them.
KNOWN = {
    **{f"VOC {name}": VOC_COUNTS[name] for name in ("train", "val", "test")},
    "SBD train": 8498,
    "SBD val": 2857,
    "train_aug": VOC_COUNTS["train_aug"],
    "trainval_aug": VOC_COUNTS["train_aug"] + VOC_COUNTS["val"],
}
_DELIVERED = ("VOC train", "VOC val", "SBD train", "SBD val")
_WRITTEN = ("train_aug", "trainval_aug")
Lists = dict[str, list[str]]


@dataclass(frozen=True)
class PreparedVoc:
    """What `prepare_voc` found and did.

    Args:
        root: the folder VOC2012.
        counts: images of each list by its name in `KNOWN`; lists that are not there have none.
        copied: images that only SBD had.
        masks: of each file of SegmentationClassAug what became of it.
        tags: of cls_labels.npy: "written", "kept" (it was there) or "no XML to write it from".
    """

    root: Path
    counts: dict[str, int]
    copied: int
    masks: dict[Path, Outcome]
    tags: str

    @property
    def differing(self) -> list[Path]:
        """Masks that were there with other indices than VOC's or SBD's, and were kept."""
        return sorted(path for path, outcome in self.masks.items() if outcome == "differs")

    @property
    def outcomes(self) -> Counter[str]:
        """How many masks were written, kept or differ."""
        return Counter(self.masks.values())

    @property
    def is_known(self) -> bool:
        """Whether every list has its known length and no mask differs."""
        return not self.differing and all(self.counts[name] == KNOWN[name] for name in self.counts)


def prepare_voc(
    *,
    root: Path,
    sbd: Path | None = None,
    archives: Sequence[Path] = (),
    download: bool = False,
    processes: int = 1,
    progress: bool = True,
) -> PreparedVoc:
    """Complete a folder VOC2012: SegmentationClassAug, SegmentationAug's lists, `cls_labels.npy`.

    What is there already is kept, so that a run that was ended can be repeated. The lists are written last.

    Args:
        root: VOC2012, or the folder that holds or is to hold VOCdevkit/VOC2012.
        sbd: SBD's folder `dataset`, or one that holds it; by default it is looked for under `root`.
        archives: the publishers' archives, to be unpacked.
        download: fetch what is missing.
        processes: how many write masks at once.
        progress: show bars.

    Raises:
        InputError: something is missing or damaged, or a list is there already with other images.
    """
    places = {VOC: unpacked_voc_places(root), SBD: sbd_places(root, sbd)}
    for archive in archives:
        unpack_given(archive, places)
    fetch_to = root if download else None
    voc = require(VOC, places[VOC], download=fetch_to, option="--root")
    needs_sbd = not SBD.missing(SBD.best(places[SBD])) or not _is_augmented(voc)
    dataset = require(SBD, places[SBD], download=fetch_to, option="--sbd") if needs_sbd else None
    return _complete(voc, dataset, processes=processes, progress=progress)


def augmented(lists: Lists) -> list[str]:
    """(VOC train + SBD train + SBD val) without VOC val, each image once, in the order of these lists.

    Raises:
        InputError: the four lists have their known lengths, but the result has not 10,582 images.
    """
    val = set(lists["VOC val"])
    union = dict.fromkeys([*lists["VOC train"], *lists["SBD train"], *lists["SBD val"]])
    ids = [image_id for image_id in union if image_id not in val]
    if all(len(lists[name]) == KNOWN[name] for name in _DELIVERED) and len(ids) != KNOWN["train_aug"]:
        raise InputError(
            f"the lists of VOC and SBD have their known lengths but together {len(ids):,} training images, not "
            f"{KNOWN['train_aug']:,}: unpack both archives again, a list was changed."
        )
    return ids


def write_tag_file(path: Path, tags: dict[str, NDArray[np.float32]]) -> None:
    """Write `cls_labels.npy`: each image's id -> (C,) float32 of 0 and 1.

    An image is found by its id and, as IRNet looks it up, by the id as a number (2007_000032 -> 2007000032).
    """
    numbers = {image_id: image_id.replace("_", "") for image_id in tags}
    table = tags | {int(number): tags[image_id] for image_id, number in numbers.items() if number.isdecimal()}
    content = pickle.dumps(np.array(table, dtype=object), protocol=3)
    # numpy 1, which much of the field's code runs on, knows the module only by its old name.
    content = content.replace(b"cnumpy._core.", b"cnumpy.core.")

    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    replace_file(path, lambda temporary: temporary.write_bytes(header.getvalue() + content))


def _is_augmented(voc: Path) -> bool:
    """Whether the masks of train_aug are there already, so that SBD itself is not needed."""
    try:
        ids = read_list(find_list(voc, "train_aug"))
    except MissingListError:
        return False
    return all(_augmented_mask(voc, image_id).is_file() for image_id in ids)


def _augmented_mask(voc: Path, image_id: str) -> Path:
    return voc / "SegmentationClassAug" / f"{image_id}.png"


def _complete(voc: Path, dataset: Path | None, *, processes: int, progress: bool) -> PreparedVoc:
    lists = _read_lists(voc, dataset)
    for name in _WRITTEN:
        _require_agreement(voc, name, lists[name])
    copied = _copy_images(voc, dataset, lists["trainval_aug"])
    masks = place_masks(_mask_sources(voc, dataset, lists), processes=processes, progress=progress)
    tags = _write_tags(voc, lists["trainval_aug"], progress=progress)
    for name in _WRITTEN:
        _write_list(voc / "ImageSets" / "SegmentationAug" / f"{name}.txt", lists[name])
    counts = {name: len(ids) for name, ids in lists.items()}
    return PreparedVoc(root=voc, counts=counts, copied=copied, masks=masks, tags=tags)


def _read_lists(voc: Path, dataset: Path | None) -> Lists:
    folder = voc / "ImageSets" / "Segmentation"
    names = [name for name in ("train", "val", "test") if (folder / f"{name}.txt").is_file()]
    lists = {f"VOC {name}": read_list(folder / f"{name}.txt") for name in names}
    if dataset:
        lists |= {f"SBD {name}": read_list(dataset / f"{name}.txt") for name in ("train", "val")}
    train_aug = augmented(lists) if dataset else read_list(find_list(voc, "train_aug"))
    return lists | {"train_aug": train_aug, "trainval_aug": [*train_aug, *lists["VOC val"]]}


def _require_agreement(voc: Path, name: str, ids: Sequence[str]) -> None:
    for path in (voc / folder / f"{name}.txt" for folder in FOLDERS):
        if path.is_file() and set(read_list(path)) != set(ids):
            raise InputError(
                f"{path} names other images than the {len(ids):,} that follow from the lists of VOC and SBD: "
                "move it away, and it is written anew."
            )


def _copy_images(voc: Path, dataset: Path | None, ids: Sequence[str]) -> int:
    folder, source = voc / "JPEGImages", (dataset or voc) / "img"
    names = [f"{image_id}.jpg" for image_id in ids if not (folder / f"{image_id}.jpg").is_file()]
    lost = [name for name in names if not (source / name).is_file()]
    if lost:
        raise InputError(
            f"{folder} lacks {len(lost):,} images of the lists, {lost[0]} first, which {source} has not either: "
            f"give {VOC.archive} with --archive."
        )
    for name in names:
        replace_file(folder / name, partial(shutil.copyfile, source / name))
    return len(names)


def _mask_sources(voc: Path, dataset: Path | None, lists: Lists) -> list[MaskSource]:
    """VOC's own mask wherever there is one: only it leaves the border of objects out (255)."""
    own = {*lists["VOC train"], *lists["VOC val"]}
    sources = {image_id: voc / "SegmentationClass" / f"{image_id}.png" for image_id in own}
    if dataset:
        sources |= {i: dataset / "cls" / f"{i}.mat" for i in lists["train_aug"] if i not in own}
    ids, images = lists["trainval_aug"], voc / "JPEGImages"
    return [MaskSource(sources[i], _augmented_mask(voc, i), images / f"{i}.jpg") for i in ids if i in sources]


def _write_tags(voc: Path, ids: Sequence[str], *, progress: bool) -> str:
    path, folder = voc / "cls_labels.npy", voc / "Annotations"
    if path.exists():
        return "kept"
    if not any(folder.glob("*.xml")):
        return "no XML to write it from"
    tags = tags_from_xml(folder, names=VOC_CLASSES)
    bar = track(ids, description="tags", total=len(ids), enabled=progress)
    write_tag_file(path, {image_id: tags(image_id).astype(np.float32) for image_id in bar})
    return "written"


def _write_list(path: Path, ids: Sequence[str]) -> None:
    if not path.is_file():
        replace_file(path, lambda temporary: temporary.write_text("".join(f"{image_id}\n" for image_id in ids)))
