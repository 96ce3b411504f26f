"""Memory and open files while thousands of images are worked on: a loader, a pass in processes, inference.

python experiments/reliability/growth.py [--images N] [--what loader,processes,inference] [--out D]

Images are links to a few generated scenes. Sizes are proportional set sizes of this process and all its children, so
that shared pages count once. Writes growth.json.
"""

import argparse
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from stores import machine

from wsss_lightning.allocator import keep_freed_memory
from wsss_lightning.data.base import Record
from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.shapes import write_scenes
from wsss_lightning.nn.vgg import tiny
from wsss_lightning.ops.crf import dense_crf, unary_from_probabilities
from wsss_lightning.pipeline.objects import open_data
from wsss_lightning.stages.io import write_json
from wsss_lightning.stages.missing import write_missing
from wsss_lightning.stages.refine import smooth
from wsss_lightning.stages.store_maps import store_maps

_PICTURES, _SIZE, _LABELS = 40, 64, 9
_CRF = partial(
    dense_crf,
    spatial_weight=3,
    spatial_sigma=3,
    bilateral_weight=10,
    bilateral_sigma=80,
    color_sigma=13,
    iterations=10,
)
_EVERY = 0.5  # seconds between two looks

Look = tuple[int, int, int]  # images done, bytes, open files


def main(arguments: list[str]) -> int:
    """Measure and write; status 1 where memory grows by a tenth, or a file stays open, in the second half."""
    options = _options(arguments)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        data = linked_scenes(Path(folder) / "data", images=options.images)
        passes = {"loader": load, "processes": smooth_all, "inference": infer_all}
        found = {
            name: summary(watched(partial(work, data, Path(folder) / name), Path(folder) / name), options.images)
            for name, work in passes.items()
            if name in options.what
        }
    command = f"python experiments/reliability/growth.py --images {options.images}"
    write_json(options.out / "growth.json", {"command": command, **found, "machine": machine()})
    print(found)
    return int(not all(each["flat"] for each in found.values()))


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Memory and open files over many images.")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--what", type=lambda text: text.split(","), default=["loader", "processes", "inference"])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args(arguments)


def linked_scenes(root: Path, *, images: int) -> Any:
    """A data set of so many training images, each a link to one of a few scenes."""
    write_scenes(root, train=_PICTURES, val=1, size=_SIZE, seed=0)
    own = (root / "ImageSets" / "Segmentation" / "train.txt").read_text().split()
    ids = [f"link_{number:06d}" for number in range(images)]
    for folder, suffix in (("JPEGImages", ".jpg"), ("SegmentationClass", ".png"), ("Annotations", ".xml")):
        for number, image_id in enumerate(ids):
            (root / folder / f"{image_id}{suffix}").symlink_to(root / folder / f"{own[number % len(own)]}{suffix}")
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("".join(f"{image_id}\n" for image_id in ids))
    return open_data("shapes", root=root, overrides=["data.batch_size=8"])


def load(data: Any, folder: Path, done: Callable[[], None]) -> None:  # noqa: ARG001
    """All training batches, from two loading processes."""
    data.workers = 2
    for batch in data.train_dataloader():
        for _ in batch["image_id"]:
            done()


def smooth_all(data: Any, folder: Path, done: Callable[[], None]) -> None:  # noqa: ARG001
    """A dense CRF of every image in two processes, as a `refine` stage runs it."""
    write_missing(
        partial(_smooth, folder=folder), data.records("train"), folder, processes=2, description="CRF", progress=False
    )


def _smooth(record: Record, *, folder: Path) -> None:
    image = read_image(record.image)
    probs = np.random.default_rng(0).dirichlet(np.ones(_LABELS), size=image.shape[:2]).astype(np.float32)
    probs = np.ascontiguousarray(probs.transpose(2, 0, 1))
    labels = smooth(image, probs, None, unary=unary_from_probabilities, crf=_CRF)
    write_mask(folder / f"{record.image_id}.png", labels.astype(np.uint8))


def infer_all(data: Any, folder: Path, done: Callable[[], None]) -> None:  # noqa: ARG001
    """`Trainer.predict` of a small trunk, whose maps are written, with two loading processes."""
    backbone = tiny(weights=None, num_classes=_LABELS)
    store_maps(
        out_dir=str(folder),
        data=data,
        backbone=backbone,
        split="train",
        stride=16,
        layers={"deep": [1.0]},
        mirror=False,
        trainer=partial(pl.Trainer, accelerator="cpu", devices=1),
        workers=2,
        progress=False,
    )


def watched(work: Callable[[Callable[[], None]], None], folder: Path) -> list[Look]:
    """What a pass holds, looked at from a thread while it works; what it writes is taken for the images done."""
    folder.mkdir(parents=True)
    looks: list[Look] = []
    counted = [0]

    def count() -> None:
        counted[0] += 1

    with _looking(lambda: looks.append((max(counted[0], len(os.listdir(folder))), *_held()))):  # noqa: PTH208
        work(count)
    return looks


@contextmanager
def _looking(look: Callable[[], None]) -> Iterator[None]:
    ended = threading.Event()

    def again() -> None:
        while not ended.wait(_EVERY):
            look()

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _held() -> tuple[int, int]:
    """Bytes and open files of this process and its children; one that ends meanwhile counts nothing."""
    size = files = 0
    for process in _family(os.getpid()):
        try:
            rolled = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            files += len(os.listdir(f"/proc/{process}/fd"))  # noqa: PTH208
        except OSError:
            continue
        size += sum(1024 * int(line.split()[1]) for line in rolled if line.startswith("Pss:"))
    return size, files


def _family(process: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [process, *(each for child in children for each in _family(child))]


def summary(looks: list[Look], images: int) -> dict[str, Any]:
    """Medians over the third and the last fifth of the images; the first ones fill caches."""
    fifths = [[look for look in looks if images * part <= 5 * look[0] < images * (part + 1)] for part in (2, 4)]
    (before, after), (opened, left) = ([int(np.median([look[i] for look in part])) for part in fifths] for i in (1, 2))
    flat = after < 1.1 * before and left <= opened
    megabytes = {"megabytes_third_fifth": round(before / 1e6), "megabytes_last_fifth": round(after / 1e6)}
    return {"images": images, "flat": flat, **megabytes, "files_third_fifth": opened, "files_last_fifth": left}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
