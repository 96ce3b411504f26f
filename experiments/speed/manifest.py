"""What a plan pays for a data set of many files that have not changed, beside a plan of a folder of two images.

python experiments/speed/manifest.py [--images N] [--rounds N] [--out D]

A data set in VOC's layout, each image with a mask; files are empty. Writes manifest.{json,md}. In every round each way
has its turn, in a process of its own, as a user's `wsss plan` is.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measurement import Row, machine

from wsss_lightning.pipeline.manifest import MANIFEST, write_manifest

EMPTY, FILES, LISTED = "two images", "files looked at", "manifest"
PLAN = "from wsss_lightning import pipeline; import sys; pipeline.plan(sys.argv[1:])"


def make(root: Path, images: int) -> None:
    """Half of the images train, half of them val; tags lie in a file for each."""
    for folder in ("ImageSets/Segmentation", "JPEGImages", "SegmentationClass", "Annotations"):
        (root / folder).mkdir(parents=True)
    ids = [f"{number:08}" for number in range(images)]
    for name, part in (("train", ids[::2]), ("val", ids[1::2])):
        (root / "ImageSets" / "Segmentation" / f"{name}.txt").write_text("".join(f"{each}\n" for each in part))
    for each in ids:
        for name in (f"JPEGImages/{each}.jpg", f"SegmentationClass/{each}.png"):
            os.close(os.open(f"{root}/{name}", os.O_CREAT))
    (root / "cls_labels.npy").touch()


def seconds(root: Path, store: Path) -> Row:
    """Wall and processor seconds of one plan of stages that read all."""
    overrides = ["data=voc", f"data.root={root}", "data.train_list=train", "data.tags=npy", f"paths.root={store}"]
    overrides += ["method=cam", "backbone=tiny", "backbone.weights=null"]
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", PLAN, *overrides])
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0
    return {"wall_s": time.perf_counter() - start, "processor_s": used.ru_utime + used.ru_stime}


def compare(folder: Path, *, images: int, rounds: int) -> Row:
    """Medians of each way, the first plan of each left out, and what a manifest takes to write."""
    empty, full = folder / "empty", folder / "full"
    make(empty, 2)
    make(full, images)
    took, first = {}, {}
    for way in (EMPTY, FILES, LISTED):
        if way == LISTED:
            start = time.perf_counter()
            files, _ = write_manifest(full)
            took["write"] = time.perf_counter() - start
        first[way] = seconds(empty if way == EMPTY else full, folder / "runs" / way.replace(" ", "_"))
    turns: dict[str, list[Row]] = {way: [] for way in (EMPTY, FILES, LISTED)}
    for _ in range(rounds):
        for way in turns:
            if way == FILES:
                (full / MANIFEST).rename(full / ".hidden")
            turns[way].append(seconds(empty if way == EMPTY else full, folder / "runs" / way.replace(" ", "_")))
            if way == FILES:
                (full / ".hidden").rename(full / MANIFEST)
    rows = {
        way: {name: statistics.median(turn[name] for turn in each) for name in each[0]} for way, each in turns.items()
    }
    return {
        "images": images,
        "files": files,
        "rounds": rounds,
        "first": first,
        "rows": rows,
        "manifest_s": took["write"],
    }


def main(arguments: list[str]) -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description="Plans of a large data set that has not changed.")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = compare(Path(folder), images=options.images, rounds=options.rounds)
    command = f"python experiments/speed/manifest.py --images {options.images} --rounds {options.rounds}"
    found["machine"] = machine(command)
    write_page(options.out, found)


def write_page(out: Path, found: Row) -> None:
    """A table and what follows from it."""
    at, rows = found["machine"], found["rows"]
    lines = [
        f"`{at['command']}`, {at['date']}, commit {at['commit']}, {at['processor']}, {at['cores']} cores, load average "
        f"{at['load_average_1_5_15_min']}.",
        "",
        f"One `wsss plan` in a process of its own, {found['files']:,} files that have not changed; medians of "
        f"{found['rounds']} rounds.",
        "",
        "| plan of | processor, s | wall, s | more than of two images, processor s | the first, processor s |",
        "|---|---:|---:|---:|---:|",
    ]
    for way, row in rows.items():
        more = row["processor_s"] - rows[EMPTY]["processor_s"]
        lines.append(
            f"| {way} | {row['processor_s']:.2f} | {row['wall_s']:.2f} | {more:.2f} | "
            f"{found['first'][way]['processor_s']:.2f} |"
        )
    lines += ["", f"Writing the manifest takes {found['manifest_s']:.1f} s by the clock."]
    out.mkdir(parents=True, exist_ok=True)
    (out / "manifest.json").write_text(json.dumps(found, indent=2) + "\n")
    (out / "manifest.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
