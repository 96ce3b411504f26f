"""The training loader beside bare loops of decoding and resizing, and beside loaders of OpenCV and torchvision.

All with as many processes.

python experiments/speed/loader.py ROOT [--list NAME] [--processes N] [--rounds N] [--out D]

ROOT: photographs in VOC's layout. Writes loader.{json,md}.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import albumentations as A
import cv2
import numpy as np
import torch
import torch.nn.functional as F
from measurement import Row, machine, timed
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.io import decode_image
from torchvision.transforms.v2.functional import resize

from wsss_lightning.allocator import keep_freed_memory
from wsss_lightning.data import transforms
from wsss_lightning.data.images import read_image
from wsss_lightning.data.samples import Record, collate
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.stages.io import write_json

Seconds = Callable[[], float]

SIZE, BATCH = (320, 320), 16  # coseg sec. 4.2
PLAIN = "loader: resized, not augmented"
AUGMENTATIONS: dict[str, A.Compose | None] = {
    "loader: coseg's scale, crop, mirroring": transforms.crop_augmentation(SIZE),
    "loader: priors' squeeze, crop, mirroring": transforms.priors_augmentation(SIZE, frame=(366, 366)),
    "loader: patches' jitter": transforms.jitter_augmentation(SIZE),
    PLAIN: None,
}


def main(arguments: list[str]) -> None:
    """Measure and write; as `wsss` does, tell the allocator to keep what is freed."""
    options = _options(arguments)
    keep_freed_memory()
    data = {name: _data(options, augmentation) for name, augmentation in AUGMENTATIONS.items()}
    found = measure_loaders(data, processes=options.processes, rounds=options.rounds)
    write(options.out, found | {"machine": machine(_command(options))})


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The training loader beside a bare loop.")
    parser.add_argument("root", type=Path)
    parser.add_argument("--list", default="train_aug")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of everything, after one to warm up")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args(arguments)


def _command(options: argparse.Namespace) -> str:
    """The command without where things lie."""
    chosen = f"--list {options.list} --processes {options.processes} --rounds {options.rounds}"
    return f"python experiments/speed/loader.py ROOT {chosen}"


def _data(options: argparse.Namespace, augmentation: A.Compose | None) -> VOCDataModule:
    return VOCDataModule(
        root=options.root,
        train_list=options.list,
        size=SIZE,
        batch_size=BATCH,
        augmentation=augmentation,
        workers=options.processes,
    )


def measure_loaders(data: Mapping[str, VOCDataModule], *, processes: int, rounds: int) -> Row:
    """Every loop and loader has its turn in every round, so that a busy machine slows all; the first warms up."""
    records = next(iter(data.values())).records("train")
    shares = [[record.image for record in records[start::processes]] for start in range(processes)]
    # One thread each, as in the loaders' workers.
    with Pool(processes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        turns = {name: _bare(pool, loop, shares) for name, loop in LOOPS.items()}
        turns |= {name: _of_ones_own(records, read, processes) for name, read in PEERS.items()}
        turns |= {name: _through(module) for name, module in data.items()}
        times = [{name: seconds() for name, seconds in turns.items()} for _ in range(rounds + 1)][1:]
    rows = {name: _row(times, name, beside=FLOAT if name in {FLOAT, PLAIN} else UINT8) for name in turns}
    for name in data:
        rows[name]["beside_peers"] = {peer: rows[name]["images_per_s"] / rows[peer]["images_per_s"] for peer in PEERS}
    parts = _parts(next(iter(data.values())), rounds=rounds)
    return {"images": len(records), "size": SIZE, "batch": BATCH, "processes": processes, "rows": rows, "parts": parts}


def _pillow(paths: Sequence[Path]) -> None:
    for path in paths:
        with Image.open(path) as picture:
            np.asarray(picture.convert("RGB").resize(SIZE[::-1], Image.Resampling.BILINEAR))


def _opencv(paths: Sequence[Path]) -> None:
    for path in paths:
        picture = cv2.imread(str(path))
        assert picture is not None
        cv2.resize(picture, SIZE[::-1])


def _torch(paths: Sequence[Path]) -> None:
    for path in paths:
        with Image.open(path) as picture:
            pixels = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).float()
        F.interpolate(pixels[None], SIZE, mode="bilinear", antialias=True)


UINT8, FLOAT = "bare loop: Pillow decodes and resizes", "bare loop: Pillow decodes, torch resizes in float32"
LOOPS = {UINT8: _pillow, FLOAT: _torch, "bare loop: OpenCV, nothing against aliasing": _opencv}


def _bare(pool: Pool, loop: Callable[[Sequence[Path]], None], shares: Sequence[Sequence[Path]]) -> Seconds:
    """Seconds per image of a loop that throws away what it reads; each process has its share of the files."""
    once = timed(lambda: pool.map(loop, shares, chunksize=1))
    return lambda: once() / sum(map(len, shares))


class Plain(Dataset[torch.Tensor]):
    """What a loader of one's own decodes and resizes: (H, W, 3) or (3, H, W) uint8."""

    def __init__(self, paths: Sequence[Path], read: Callable[[Path], torch.Tensor]) -> None:
        self.paths, self.read = paths, read

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.read(self.paths[index])


def by_opencv(path: Path) -> torch.Tensor:
    """Bilinear, nothing against aliasing."""
    picture = cv2.imread(str(path))
    assert picture is not None
    return torch.from_numpy(cv2.cvtColor(cv2.resize(picture, SIZE[::-1]), cv2.COLOR_BGR2RGB))


def by_torchvision(path: Path) -> torch.Tensor:
    """torchvision.io decodes, and resizes as its transforms do by default, against aliasing."""
    return resize(decode_image(str(path), mode="RGB"), list(SIZE), antialias=True)


PEERS = {"loader of one's own: OpenCV": by_opencv, "loader of one's own: torchvision.io": by_torchvision}


def _of_ones_own(records: Sequence[Record], read: Callable[[Path], torch.Tensor], processes: int) -> Seconds:
    """Seconds per image of an epoch of batches of bytes, which are not normalised."""
    images = Plain([record.image for record in records], read)
    return _epoch(
        DataLoader(
            images,
            batch_size=BATCH,
            shuffle=True,
            drop_last=len(images) >= BATCH,
            num_workers=processes,
            persistent_workers=processes > 0,
        ),
        images=len(images),
    )


def _through(module: VOCDataModule) -> Seconds:
    """Seconds per image of an epoch of the training loader, whose workers stay from epoch to epoch."""
    return _epoch(module.train_dataloader(), images=len(module.records("train")))


def _epoch(loader: Any, *, images: int) -> Seconds:
    once, seen = timed(lambda: sum(1 for _ in loader)), len(loader) * min(BATCH, images)
    return lambda: once() / seen


def _row(times: Sequence[Mapping[str, float]], name: str, *, beside: str) -> Row:
    ratios = [time[beside] / time[name] for time in times]
    return {
        "images_per_s": 1 / statistics.median(time[name] for time in times),
        "beside": beside,
        "ratio": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
    }


def _parts(module: VOCDataModule, *, rounds: int) -> dict[str, float]:
    """Milliseconds per image of one batch's parts, in this process alone."""
    dataset = module.dataset("train")
    assert dataset.augmentation is not None
    transform, paths = dataset.augmentation, [record.image for record in dataset.records[:BATCH]]
    images = [read_image(path) for path in paths]

    def moved(image: transforms.Image) -> transforms.Image:
        return transforms.augment(transform, {"image": image}, seed=0, step=0, image_id="a")["image"]

    pieces = [moved(image) for image in images]
    samples = [dataset.at(index, step=0) for index in range(len(paths))]
    parts = {
        "decode": timed(lambda: [read_image(path) for path in paths]),
        "augment": timed(lambda: [moved(image) for image in images]),
        "normalise": timed(lambda: [dataset.normalise(piece) for piece in pieces]),
        "collate": timed(lambda: collate(samples)),
    }
    times = [{name: seconds() for name, seconds in parts.items()} for _ in range(rounds + 1)][1:]
    return {name: 1000 * statistics.median(time[name] for time in times) / len(paths) for name in parts}


def write(folder: Path, found: Row) -> None:
    """`loader.json` with everything and `loader.md` with a table and what one process spends on a batch's parts."""
    write_json(folder / "loader.json", found)
    at, parts = found["machine"], found["parts"]
    conditions = (
        f"`{at['command']}`, {at['date']}, commit {at['commit']}, torch {at['torch']}, {at['processor']}, "
        f"{at['cores']} cores, load average {at['load_average_1_5_15_min']}. {found['images']:,} photographs, results "
        f"of {SIZE[0]} x {SIZE[1]}, batches of {BATCH}, {found['processes']} processes for each loop and each loader."
    )
    head = ["| | images/s | beside | ratio | least - most |", "|---|---:|---|---:|---:|"]
    spent = ", ".join(f"{name} {value:.2f}" for name, value in parts.items())
    page = [conditions, "", *head, *(_line(*row) for row in found["rows"].items()), ""]
    page += [f"- {name.partition(': ')[2]} beside {_peers(found['rows'][name])}." for name in AUGMENTATIONS]
    page += [f"- Parts of a batch with the first augmentation, one process, ms per image: {spent}."]
    (folder / "loader.md").write_text("\n".join(page) + "\n")


def _peers(row: Row) -> str:
    return "; ".join(f"{peer}: {ratio:.2f}" for peer, ratio in row["beside_peers"].items())


def _line(name: str, row: Row) -> str:
    beside, spread = row["beside"].partition(": ")[2], f"{row['least']:.2f} - {row['most']:.2f}"
    return f"| {name} | {row['images_per_s']:.0f} | {beside} | {row['ratio']:.2f} | {spread} |"


if __name__ == "__main__":
    main(sys.argv[1:])
