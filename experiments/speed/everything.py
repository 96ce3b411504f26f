"""Every program of this folder that processors allow, one after the other, then the page.

python experiments/speed/everything.py [--images ROOT] [--berkeley ROOT] [--only NAME ...] [--quick] [--out D]

ROOT: photographs in VOC's layout, and those of the Berkeley data set; without the first, generated scenes stand for
photographs. A program that fails is named at the end, and the exit status is 1. Half an hour of two cores; `--quick`
takes few images and rounds, which tries everything and measures little.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from page import main as write_page
from scenes import write_scenes

HERE = Path(__file__).parent
SCENES = 64
# Arguments in full and with --quick. IMAGES: folder of photographs, ROOT: in VOC's layout.
PROGRAMS: dict[str, tuple[list[str], list[str]]] = {
    "cams": (["IMAGES", "--photographs", "2", "--batch", "2"], ["--backbone", "resnet18", "--rounds", "1"]),
    "crf": (["IMAGES"], ["--photographs", "1", "--rounds", "1", "--labels", "7"]),
    "crf_cores": (["IMAGES"], ["--photographs", "2", "--labels", "3"]),
    "confusion": ([], ["--masks", "2", "--rounds", "1"]),
    "loader": (["ROOT", "--list", "train"], ["--rounds", "1"]),
    "prediction": (["ROOT", "--photographs", "20"], ["--backbone", "resnet18", "--photographs", "2", "--rounds", "1"]),
    "regions": (["IMAGES"], ["--photographs", "1", "--rounds", "1"]),
    "commands": (["--images", "IMAGES"], ["--rounds", "1"]),
    "sweep": ([], ["--rows", "4", "--scenes", "16", "--rounds", "1", "--set", "tuning.classifier.steps=20"]),
    "priors": (["IMAGE"], ["--rounds", "1"]),
    "points": ([], ["--rounds", "1", "--images", "50", "--steps", "2"]),
    "patches": ([], ["--rounds", "1", "--size", "48", "64"]),
    "manifest": ([], ["--images", "20", "--rounds", "1"]),
    "coco_masks": ([], ["--images", "4", "--parsed", "20", "--rounds", "1"]),
    "training": (["--backbone", "resnet18"], ["--steps", "2", "--size", "64", "--batch", "1"]),
    "forms": (["ROOT"], ["--photographs", "2", "--rounds", "1"]),
    "cosegment": (["ROOT", "--images", "50", "200"], ["--images", "50"]),
    "boundaries": (["BERKELEY"], ["--images", "1", "--rounds", "1"]),
}
PHOTOGRAPHS = {"cosegment": "images", "boundaries": "berkeley"}  # what needs real ones, and by which option


def main(arguments: list[str]) -> None:
    """Run what can be run, and write the page."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory() as folder:
        root = options.images or write_scenes(Path(folder), SCENES)
        failed = [name for name in options.only or PROGRAMS if not _run(name, root, options)]
    write_page(["--results", str(options.out), "--out", str(options.out.parent / "README.md")])
    print(f"written: {options.out.parent / 'README.md'}")
    if failed:
        sys.exit(f"everything.py: these failed: {', '.join(failed)}.")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="All speed programs, and the page.")
    parser.add_argument("--images", type=Path, help="photographs in VOC's layout; default: generated scenes")
    parser.add_argument("--berkeley", type=Path, help="the Berkeley data set's images and groundTruth")
    parser.add_argument("--only", nargs="+", choices=[*PROGRAMS], help="these programs")
    parser.add_argument("--quick", action="store_true", help="few images and rounds")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    return parser.parse_args(arguments)


def _run(name: str, root: Path, options: argparse.Namespace) -> bool:
    """Whether a program ran, or wants photographs that were not given."""
    needed = PHOTOGRAPHS.get(name)
    if needed and getattr(options, needed) is None:
        print(f"{name}: left out, it needs --{needed}", flush=True)
        return True
    print(name, flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(HERE / f"{name}.py"), *given(name, root, options), "--out", str(options.out)]
    return subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False).returncode == 0


def given(name: str, root: Path, options: argparse.Namespace) -> list[str]:
    """The program's arguments."""
    full, quick = PROGRAMS[name]
    images = root / "JPEGImages"
    places = {"IMAGES": images, "ROOT": root, "BERKELEY": options.berkeley}
    first = min(images.glob("*.jpg"), default=images)
    return [
        str(places.get(each, first if each == "IMAGE" else each)) for each in full + (quick if options.quick else [])
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
