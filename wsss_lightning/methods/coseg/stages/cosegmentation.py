"""What the steps of a co-segmentation share: settings, the images of each class, files that are there or are made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from wsss_lightning.atomic import replace_file
from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.data.images import read_image
from wsss_lightning.errors import InputError
from wsss_lightning.methods.coseg.exemplars import Exemplars
from wsss_lightning.methods.coseg.hog import Floats, Image, Scan, Shape, shrunk
from wsss_lightning.methods.coseg.joint_segmentation import Joint
from wsss_lightning.methods.coseg.subcategories import Merging
from wsss_lightning.methods.coseg.subcategory_detectors import Detectors
from wsss_lightning.parallel import in_parallel
from wsss_lightning.stages.records import draw_records

Item = TypeVar("Item")
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Cosegmentation:
    """Settings of the algorithm of Chen, Shrivastava & Gupta (CVPR 2014), step by step.

    Attributes:
        side: px, the longer side that images are worked on at; smaller ones stay as they are.
        edges: image (H, W, 3) -> strength of its edges, at any size.
        box: edges and the image's size -> the box (4,) that an exemplar is taken from, see `seed_box`.
        scan, exemplars, merging, joint, detectors: see there.
        seed: of all that is drawn; no result depends on the number of workers.
    """

    side: int
    edges: Callable[[Image], Floats]
    box: Callable[[Floats, Shape], Floats]
    scan: Scan
    exemplars: Exemplars
    merging: Merging
    joint: Joint
    detectors: Detectors
    seed: int

    def working_image(self, record: Record) -> Image:
        """The image of a record as it is worked on, (H, W, 3)."""
        return shrunk(read_image(record.image), self.side)


@dataclass(frozen=True)
class Collection:
    """The images of one class, of label `label`, and those among them that become exemplars."""

    label: int
    records: Sequence[Record]
    exemplars: Sequence[Record]


@dataclass(frozen=True)
class Passes:
    """Passes over many items, each of which leaves one file: what is there stays, the rest is made in processes."""

    folder: Path
    workers: int
    progress: bool

    def write(self, name: str, work: Callable[[Path, Item], None], items: Sequence[tuple[str, Item]]) -> None:
        """Call work(path, item) for each (key, item) whose file `<name>/<key>.npz` is not there yet."""
        paths = [(self.folder / name / f"{key}.npz", item) for key, item in items]
        missing = [(path, item) for path, item in paths if not path.exists()]
        job, about = partial(_in_one_thread, work), name.replace("_", " ")
        for _ in in_parallel(job, missing, processes=self.workers, description=about, progress=self.progress):
            pass


def _in_one_thread(work: Callable[[Path, Item], None], task: tuple[Path, Item]) -> None:
    # A product of matrices differs in its last bits with the number of threads, which follows that of the processes.
    with threadpool_limits(1):
        work(*task)


def single_tag_records(source: SegmentationDataModule) -> dict[int, list[Record]]:
    """The training images of each label 1..C that carry its tag and no other.

    Raises:
        InputError: no image has a single tag.
    """
    records = [record for record in source.records("train") if record.tags.sum() == 1]
    if not records:
        raise InputError(f"{source.root}: no training image has exactly one tag, which co-segmentation needs.")
    labels = range(1, source.num_classes + 1)
    return {label: [record for record in records if record.tags[label - 1]] for label in labels}


def draw_collections(source: SegmentationDataModule, *, most: int, seed: int) -> list[Collection]:
    """Collections of the classes that have images; at most `most` exemplars of each, drawn at random."""
    by_label = {label: records for label, records in single_tag_records(source).items() if records}
    return [Collection(label, records, draw_records(records, most, seed=seed)) for label, records in by_label.items()]


def write_arrays(path: Path, **arrays: NDArray[Any] | float) -> None:
    """Write an .npz file, atomically."""
    replace_file(path, lambda temporary: np.savez(temporary, **arrays))  # type: ignore[arg-type]


def read_arrays(path: Path) -> Arrays:
    """What `write_arrays` wrote.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError, BadZipFile) as error:
        raise InputError(f"{path} cannot be read ({error}): delete it to compute it again.") from error


def write_segmentation(path: Path, mask: NDArray[np.bool_]) -> None:
    """Write the mask (H, W) of a working image, a bit to a pixel."""
    write_arrays(path, mask=np.packbits(mask, axis=1), width=mask.shape[1])


def read_segmentation(folder: Path, image_id: str) -> NDArray[np.bool_]:
    """What `write_segmentation` wrote as `segmentations/<image_id>.npz`."""
    stored = read_arrays(folder / "segmentations" / f"{image_id}.npz")
    return np.unpackbits(stored["mask"], axis=1, count=int(stored["width"])).astype(bool)
