"""What experiments/gpu.sh does in Python: shrink photographs, see what a machine lacks, share out its seconds.

python experiments/gpu.py shrink VOC_ROOT ARCHIVE --bytes N [--first N] [--side PX] [--quality Q]
python experiments/gpu.py lacking SITE
python experiments/gpu.py device
python experiments/gpu.py steps TRAINING_JSON [--priors S] [--coseg S] [--patches S]
"""

import argparse
import importlib.metadata
import json
import re
import sys
import tarfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

LISTS = Path("ImageSets/Segmentation")
WHOLE = ("cls_labels.npy", "cls_labels_onehot.npy")  # files that are taken along as they are
PAPER = {  # steps of the phases, and in how many trainings of the tables they occur
    "localization": ((4000, 2000), 2),
    "segmenter": ((4000, 2000), 2),
    "generator": ((5000, 500), 1),
    "final": ((11000, 1500), 3),
}


def main(arguments: list[str]) -> None:
    """Do what is asked for."""
    options = _options(arguments)
    if options.verb == "shrink":
        settings = {"room": options.bytes, "first": options.first, "side": options.side, "quality": options.quality}
        taken = shrink(options.root, options.archive, **settings)
        print(", ".join(f"{name} {len(ids):,}" for name, ids in taken.items()))
    elif options.verb == "lacking":
        print(":".join(str(folder) for folder in lacking(options.site)))
    elif options.verb == "device":
        print(device())
    else:
        budgets = {"priors": options.priors, "coseg": options.coseg, "patches": options.patches}
        print("\n".join(f"{name}={value}" for name, value in steps(options.training, budgets).items()))


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Parts of experiments/gpu.sh.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    shrinking = verbs.add_parser("shrink")
    shrinking.add_argument("root", type=Path)
    shrinking.add_argument("archive", type=Path)
    shrinking.add_argument("--bytes", type=int, required=True, help="that the archive may have")
    shrinking.add_argument("--first", type=int, default=1000, help="photographs of the list train_first")
    shrinking.add_argument("--side", type=int, default=256, help="px, the longer")
    shrinking.add_argument("--quality", type=int, default=80, help="of JPEG")
    verbs.add_parser("lacking").add_argument("site", type=Path)
    verbs.add_parser("device")
    sharing = verbs.add_parser("steps")
    sharing.add_argument("training", type=Path)
    for method, seconds in {"priors": 60, "coseg": 90, "patches": 180}.items():
        sharing.add_argument(f"--{method}", type=float, default=seconds, help="seconds of its trainings")
    return parser.parse_args(arguments)


def shrink(root: Path, archive: Path, *, room: int, first: int, side: int, quality: int) -> dict[str, list[str]]:
    """Write val and, of train_aug, the first photographs that fit into an archive of at most `room` bytes.

    Photographs become JPEGs whose longer side has at most `side` px, masks palette PNGs of the same size by nearest
    neighbours; tag files are copied, the list train keeps what is left of it, and train_first has the first `first` of
    train_aug, since minutes are short. Returns the ids by list.
    """
    wanted = {name: _read_list(root, name) for name in ("val", "train_aug")}
    kept = room - sum((root / name).stat().st_size for name in WHOLE if (root / name).is_file()) - 2**17
    taken: dict[str, list[str]] = {name: [] for name in wanted}
    archive.parent.mkdir(parents=True, exist_ok=True)
    with archive.open("wb") as file, tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as tar:
        for name, ids in wanted.items():
            for image_id in ids:
                if file.tell() > kept:
                    break
                for path, content in _shrunk(root, image_id, side, quality):
                    _add(tar, path, content)
                taken[name].append(image_id)
        taken["train"] = [each for each in _read_list(root, "train") if each in {*taken["train_aug"]}]
        taken["train_first"] = taken["train_aug"][:first]
        for name, ids in taken.items():
            _add(tar, LISTS / f"{name}.txt", "".join(f"{each}\n" for each in ids).encode())
        for name in WHOLE:
            if (root / name).is_file():
                _add(tar, Path(name), (root / name).read_bytes())
    if len(taken["val"]) < len(wanted["val"]) or not taken["train_aug"]:
        archive.unlink()
        sys.exit(f"gpu.sh: {room:,} bytes do not hold the photographs of val and one to train on: give more room.")
    return taken


def _read_list(root: Path, name: str) -> list[str]:
    """Ids of a list, looked for where VOC and SegmentationAug have theirs; train may be lacking."""
    for path in (root / LISTS / f"{name}.txt", root / "ImageSets" / "SegmentationAug" / f"{name}.txt"):
        if path.is_file():
            return [Path(line.split()[0]).stem for line in path.read_text().splitlines() if line.strip()]
    if name == "train":
        return []
    sys.exit(f"gpu.sh: {root} has no list ImageSets/Segmentation/{name}.txt.")


def _shrunk(root: Path, image_id: str, side: int, quality: int) -> Iterator[tuple[Path, bytes]]:
    image = Path("JPEGImages") / f"{image_id}.jpg"
    with Image.open(root / image) as picture:
        size = _size(picture.size, side)
        yield image, _encoded(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS), "JPEG", quality=quality)
    for folder in ("SegmentationClass", "SegmentationClassAug"):
        path = Path(folder) / f"{image_id}.png"
        if (root / path).is_file():
            with Image.open(root / path) as mask:
                yield path, _encoded(mask.resize(size, Image.Resampling.NEAREST), "PNG", optimize=True)
    annotation = Path("Annotations") / f"{image_id}.xml"
    if (root / annotation).is_file():
        yield annotation, (root / annotation).read_bytes()


def _size(size: tuple[int, int], side: int) -> tuple[int, int]:
    factor = min(1.0, side / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _encoded(picture: Image.Image, form: str, *, quality: int = 75, optimize: bool = False) -> bytes:
    content = BytesIO()
    picture.save(content, form, quality=quality, optimize=optimize)  # 75: of JPEG, as Pillow has it
    return content.getvalue()


def _add(tar: tarfile.TarFile, path: Path, content: bytes) -> None:
    entry = tarfile.TarInfo(path.as_posix())
    entry.size = len(content)
    tar.addfile(entry, BytesIO(content))


def lacking(site: Path) -> list[Path]:
    """Folders of `site`, each named by a distribution, of those that this machine does not have itself."""
    return [folder for folder in sorted(site.iterdir()) if folder.is_dir() and not _installed(folder.name)]


def _installed(name: str) -> bool:
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def device() -> str:
    """The device's name as an end of files' names."""
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def steps(training: Path, budgets: dict[str, float]) -> dict[str, str]:
    """Shell assignments: the share of the papers' steps that fits into each method's seconds, and the steps of phases.

    `training`: what `speed/training.py` wrote; shares are 1, 1/2, 1/4, ...
    """
    cost = json.loads(training.read_text())["seconds_a_step"]
    found: dict[str, str] = {}
    for method, stages in {"PRIORS": ("localization", "segmenter"), "COSEG": ("generator", "final")}.items():
        whole = sum(sum(PAPER[stage][0]) * PAPER[stage][1] * cost[stage] for stage in stages)
        share = _share(budgets[method.lower()] / whole)
        found[f"{method}_SHARE"] = f"1/{round(1 / share)}"
        found |= {stage.upper(): _phases(PAPER[stage][0], share) for stage in stages}
    fit = budgets["patches"] / cost["patches"]
    return found | {"PATCHES": _phases((2, 1), fit / 3)}


def _share(fits: float) -> float:
    share = 1.0
    while share > fits and share > 1 / 4096:
        share /= 2
    return share


def _phases(whole: Sequence[int], share: float) -> str:
    return "[" + ",".join(str(max(1, int(count * share))) for count in whole) + "]"


if __name__ == "__main__":
    main(sys.argv[1:])
