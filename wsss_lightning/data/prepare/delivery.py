"""What VOC 2012 and SBD are delivered as: which files they must have, in which archive they come, where to fetch it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath

from torchvision.datasets import SBDataset
from torchvision.datasets.utils import download_url
from torchvision.datasets.voc import DATASET_YEAR_DICT

from wsss_lightning.data.prepare.archives import check_md5, holds, unpack_archive
from wsss_lightning.errors import InputError


@dataclass(frozen=True)
class Delivery:
    """A data set as its publisher delivers it.

    Args:
        name: for messages.
        parts: files and folders that it must have.
        url: of its archive.
        md5: of its archive.
        inside: the archive's folder that holds the parts.
    """

    name: str
    parts: tuple[str, ...]
    url: str
    md5: str
    inside: str

    @property
    def archive(self) -> str:
        """The archive's file name."""
        return PurePosixPath(self.url).name

    def missing(self, folder: Path) -> list[str]:
        """The parts that a folder lacks."""
        return [part for part in self.parts if not (folder / part).exists()]

    def best(self, places: Sequence[Path]) -> Path:
        """The place that lacks the fewest parts, the first of several."""
        return min(places, key=lambda place: len(self.missing(place)))


VOC = Delivery(
    name="VOC 2012",
    parts=("JPEGImages", "SegmentationClass", "ImageSets/Segmentation/train.txt", "ImageSets/Segmentation/val.txt"),
    url=DATASET_YEAR_DICT["2012"]["url"],
    md5=DATASET_YEAR_DICT["2012"]["md5"],
    inside="VOCdevkit/VOC2012",
)
SBD = Delivery(
    name="SBD",
    parts=("cls", "train.txt", "val.txt"),
    url=SBDataset.url,
    md5=SBDataset.md5,
    inside="benchmark_RELEASE/dataset",
)
# Not to be had without an account; the sum that readers of the data set agree on.
_TEST_MD5 = {"VOC2012test.tar": "9065beb292b6c291fad82b2725749fda"}


def unpacked_voc_places(root: Path) -> list[Path]:
    """Where VOC can be under `root`; the first is where it is unpacked when it is nowhere."""
    below = [root / VOC.inside, root / "VOC2012"]
    return [root, *below] if root.name == "VOC2012" else [*below, root]


def sbd_places(root: Path, sbd: Path | None) -> list[Path]:
    """Where SBD can be: in `sbd`, else under `root`; the first is where it is unpacked when it is nowhere."""
    return [sbd, sbd / "dataset", sbd / SBD.inside] if sbd else [root / SBD.inside, root / "dataset", root]


def unpack_given(archive: Path, places: dict[Delivery, list[Path]]) -> None:
    """Unpack an archive of one of several data sets where that data set is, or is to be.

    Raises:
        InputError: it is an archive of none of them, is damaged, or has its publisher's name and another checksum.
    """
    known = {delivery.archive: delivery.md5 for delivery in places} | _TEST_MD5
    if archive.name in known:
        check_md5(archive, known[archive.name])
    for delivery, candidates in places.items():
        if holds(archive, delivery.inside):
            unpack_archive(archive, delivery.best(candidates), inside=delivery.inside)
            return
    folders = " or ".join(delivery.inside for delivery in places)
    raise InputError(f"{archive} has no folder {folders}: give the publisher's archive, or unpack it by hand.")


def require(delivery: Delivery, places: Sequence[Path], *, download: Path | None, option: str) -> Path:
    """The folder that has all parts of a data set, which is fetched if need be.

    Args:
        delivery: the data set.
        places: where it can be.
        download: the folder to fetch its archive to; None does not fetch it.
        option: of the command, which names another place.

    Raises:
        InputError: parts are missing, or the archive cannot be fetched.
    """
    if download and delivery.missing(delivery.best(places)):
        unpack_given(_fetch(delivery, download), {delivery: list(places)})
    folder = delivery.best(places)
    missing = delivery.missing(folder)
    if not missing:
        return folder
    others = ", ".join(str(place) for place in places if place != folder)
    raise InputError(
        f"{delivery.name} is not complete: {folder} lacks {', '.join(missing)} (also looked in {others}): "
        f"set {option}, give {delivery.archive} with --archive, or have it fetched with --download."
    )


def _fetch(delivery: Delivery, folder: Path) -> Path:
    try:
        download_url(delivery.url, folder, delivery.archive, delivery.md5)
    except (OSError, RuntimeError, HTTPException) as error:
        raise InputError(
            f"{delivery.url} cannot be fetched ({error}): fetch it by other means and give it with --archive."
        ) from error
    return folder / delivery.archive
