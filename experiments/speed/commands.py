"""Processor seconds of what a user types often, beside an interpreter that does nothing and needed imports.

python experiments/speed/commands.py [--images FOLDER] [--rounds N] [--out D]

FOLDER: photographs, of which 60 are checked; default: 60 generated ones. Each command is a process of its own, all in
turns. Writes commands.{json,md}. Set OMP_NUM_THREADS=1.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from measurement import Row, machine

from wsss_lightning.stages.io import write_json

WSSS = [sys.executable, "-m", "wsss_lightning.cli"]
CHECKED = 60
NOTHING, TORCH, LIGHTNING = "python -c pass", "import torch", "import pytorch_lightning"
HELP, PLAN, CHECK = "wsss --help", "wsss plan", f"wsss data check, {CHECKED} photographs"


def main(arguments: list[str]) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Processor seconds of commands.")
    parser.add_argument("--images", type=Path, help="folder of photographs; default: generated ones")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions, after one to warm up")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder) / "data", options.images, CHECKED)
        found = compare(commands(Path(folder)), rounds=options.rounds)
    shown = "--images IMAGES " if options.images else ""
    found["machine"] = machine(
        f"OMP_NUM_THREADS=1 python experiments/speed/commands.py {shown}--rounds {options.rounds}"
    )
    write_json(options.out / "commands.json", found)
    (options.out / "commands.md").write_text("\n".join(page(found)) + "\n")


def commands(folder: Path) -> dict[str, list[str]]:
    """What is timed, `folder/data` being checked and the store in `folder/runs`."""
    return {
        NOTHING: [sys.executable, "-c", "pass"],
        TORCH: [sys.executable, "-c", "import torch"],
        LIGHTNING: [sys.executable, "-c", "import pytorch_lightning"],
        HELP: [*WSSS, "--help"],
        PLAN: [*WSSS, "plan", f"paths.root={folder / 'runs'}"],
        CHECK: [*WSSS, "data", "check", "folder", "--root", str(folder / "data")],
    }


def write_photographs(root: Path, images: Path | None, count: int) -> None:
    """A folder with a CSV of tags; where none are given, noise of a photograph's size and smoothness."""
    (root / "images").mkdir(parents=True)
    if images is None:
        rng = np.random.default_rng(0)
        for number in range(count):
            noise = rng.integers(0, 256, (25, 35, 3), np.uint8)
            cv2.imwrite(str(root / "images" / f"{number:03}.jpg"), cv2.resize(noise, (500, 375)))
    else:
        for path in sorted(images.glob("*.jpg"))[:count]:
            shutil.copy(path, root / "images" / path.name)
    names = sorted(path.name for path in (root / "images").iterdir())
    lines = [f"{name},{'cat' if number % 2 else 'dog'}\n" for number, name in enumerate(names)]
    (root / "tags.csv").write_text("image,tags\n" + "".join(lines))


def compare(given: Mapping[str, Sequence[str]], *, rounds: int) -> Row:
    """Processor and wall seconds of each, all in turns."""
    turns = [{name: run(command) for name, command in given.items()} for _ in range(rounds + 1)][1:]
    return {
        "rounds": rounds,
        "seconds": {
            name: {clock: statistics.median(turn[name][clock] for turn in turns) for clock in ("processor_s", "wall_s")}
            | {"processor_least_s": min(turn[name]["processor_s"] for turn in turns)}
            for name in given
        },
    }


def run(command: Sequence[str]) -> Row:
    """Seconds of one process and its children, its output thrown away.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    message = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise subprocess.CalledProcessError(status, list(command), stderr=message.decode())
    return {"wall_s": time.perf_counter() - start, "processor_s": used.ru_utime + used.ru_stime}


def page(found: Row) -> list[str]:
    """The Markdown page."""
    at = found["machine"]
    return [
        f"`{at['command']}`, {at['date']}, commit {at['commit']}, {at['processor']}, {at['cores']} cores, load average "
        f"{at['load_average_1_5_15_min']}. Medians of {found['rounds']}.",
        "",
        "| | processor, s | least, s | wall, s |",
        "|---|---:|---:|---:|",
        *(
            f"| `{name}` | {row['processor_s']:.2f} | {row['processor_least_s']:.2f} | {row['wall_s']:.2f} |"
            for name, row in found["seconds"].items()
        ),
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
