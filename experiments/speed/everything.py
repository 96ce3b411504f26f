"""Every program of this folder that processors allow, one after the other, and the page anew after each.

python experiments/speed/everything.py [--images ROOT] [--berkeley ROOT] [--model FOLDER] [--only NAME ...]
    [--without NAME ...] [--quick] [--out D]

ROOT: photographs in VOC's layout, and those of the Berkeley data set; without the first, generated scenes stand for
photographs. FOLDER: a trained student of method cam; without it that of `forms` is random, and its mIoU means nothing.
Shortest first, so that one that is interrupted has most results. A program that fails is named at the end, and the exit
status is 1. About 40 minutes of two cores that do nothing else, of which `--without sweep` saves ten; the Berkeley data
set takes half an hour more. `--quick` takes few images and rounds, which tries everything and measures little.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from page import main as write_page
from quoted import main as write_quoted
from scenes import write_scenes

HERE = Path(__file__).parent
SCENES = 64


@dataclass(frozen=True)
class Program:
    """How a program is run.

    `minutes`: about how long, on two cores that do nothing else; `full`: its arguments (IMAGES: folder of photographs,
    IMAGE: the first of them, ROOT: in VOC's layout, BERKELEY and MODEL: as given); `quick`: what `--quick` adds;
    `file`: where it is not named as its results are; `needs`: an option without which it is left out.
    """

    minutes: float
    full: list[str]
    quick: list[str] = field(default_factory=list)
    file: str | None = None
    needs: str | None = None


# Shortest first, at the size of the committed results.
PROGRAMS: dict[str, Program] = {
    "regions": Program(0.5, ["IMAGES", "--photographs", "8", "--rounds", "3"], ["--photographs", "1", "--rounds", "1"]),
    "priors": Program(1, ["IMAGE", "--rounds", "3"], ["--rounds", "1"]),
    "training": Program(
        1,
        # The papers' sizes take over an hour of two cores.
        [
            "--only",
            "generator",
            "--backbone",
            "resnet18",
            "--steps",
            "8",
            "--size",
            "128",
            "--batch",
            "2",
            "--compiled",
        ],
        ["--steps", "2", "--size", "64", "--batch", "1"],
    ),
    "commands": Program(1.5, ["--images", "IMAGES", "--rounds", "3"], ["--rounds", "1"]),
    "patches": Program(1.5, ["--rounds", "2", "--threads", "1"], ["--rounds", "1", "--size", "48", "64"]),
    "points_images": Program(
        1.5, ["--only", "images", "--threads", "1", "--rounds", "5"], ["--rounds", "1"], file="points"
    ),
    "forms": Program(
        1.5,
        ["ROOT", "--model", "MODEL", "--photographs", "10", "--rounds", "2", "--compiled"],
        ["--photographs", "2", "--rounds", "1"],
    ),
    "coco_masks": Program(
        2,
        # COCO's train2014.
        ["--images", "500", "--parsed", "82783", "--rounds", "3"],
        ["--images", "4", "--parsed", "20", "--rounds", "1"],
    ),
    "manifest": Program(2, ["--images", "100000", "--rounds", "3"], ["--images", "20", "--rounds", "1"]),
    "cosegment": Program(
        2, ["ROOT", "--images", "50", "--name", "cat", "--other", "dog"], ["--images", "50"], needs="images"
    ),
    # VOC val's.
    "confusion": Program(2.5, ["--masks", "1449", "--rounds", "3"], ["--masks", "2", "--rounds", "1"]),
    "loader": Program(2.5, ["ROOT", "--list", "train", "--rounds", "4"], ["--rounds", "1"]),
    "crf": Program(
        3,
        ["IMAGES", "--photographs", "3", "--rounds", "2", "--labels", "7", "21", "81"],
        ["--photographs", "1", "--rounds", "1", "--labels", "7"],
    ),
    "cams": Program(
        3,
        ["IMAGES", "--backbone", "resnet50", "--photographs", "2", "--batch", "2", "--rounds", "2"],
        ["--backbone", "resnet18", "--rounds", "1"],
    ),
    "points_classifier": Program(
        3,
        ["--only", "classifier", "--threads", "1", "--steps", "200", "--rounds", "3"],
        ["--rounds", "1", "--images", "50", "--steps", "2"],
        file="points",
    ),
    "crf_cores": Program(
        4,
        ["IMAGES", "--photographs", "64", "--rounds", "1", "--labels", "7", "21"],
        ["--photographs", "2", "--labels", "3"],
    ),
    "prediction": Program(
        7, ["ROOT", "--backbone", "resnet18", "--photographs", "200", "--rounds", "1"], ["--photographs", "2"]
    ),
    "sweep": Program(
        10,
        ["--rows", "12", "--scenes", "400", "--rounds", "3"],
        ["--rows", "4", "--scenes", "16", "--rounds", "1", "--set", "tuning.classifier.steps=20"],
    ),
    "boundaries": Program(30, ["BERKELEY", "--rounds", "5"], ["--images", "1", "--rounds", "1"], needs="berkeley"),
}


def main(arguments: list[str]) -> None:
    """Run what can be run, and write the pages."""
    options = _options(arguments)
    chosen = [name for name in PROGRAMS if name in (options.only or PROGRAMS) and name not in options.without]
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        root = options.images or write_scenes(Path(folder), SCENES)
        for name in chosen:
            failed += [] if _run(name, root, options) else [name]
            _write(options.out)
    print(f"written: {options.out.parent / 'README.md'}")
    if failed:
        sys.exit(f"everything.py: these failed: {', '.join(failed)}.")


def _write(results: Path) -> None:
    """The page, and, of results that are to be committed, what other pages say of them."""
    write_page(["--results", str(results), "--out", str(results.parent / "README.md")])
    if results.resolve() == HERE / "results":
        write_quoted([])


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="All speed programs, and the page.")
    parser.add_argument("--images", type=Path, help="photographs in VOC's layout; default: generated scenes")
    parser.add_argument("--berkeley", type=Path, help="the Berkeley data set's images and groundTruth")
    parser.add_argument("--model", type=Path, help="folder of a fit_student stage, for forms; default: random")
    parser.add_argument("--only", nargs="+", choices=[*PROGRAMS], help="these programs")
    parser.add_argument("--without", nargs="+", choices=[*PROGRAMS], default=[], help="all but these programs")
    parser.add_argument("--quick", action="store_true", help="few images and rounds")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    return parser.parse_args(arguments)


def _run(name: str, root: Path, options: argparse.Namespace) -> bool:
    """Whether a program ran, or wants photographs that were not given."""
    program = PROGRAMS[name]
    if program.needs and getattr(options, program.needs) is None:
        print(f"{name}: left out, it needs --{program.needs}", flush=True)
        return True
    print(name if options.quick else f"{name}, about {program.minutes:g} min", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    path, start = HERE / f"{program.file or name}.py", time.monotonic()
    command = [sys.executable, str(path), *given(program, root, options), "--out", str(options.out)]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False).returncode == 0
    print(f"{name}: {'done' if done else 'failed'} after {(time.monotonic() - start) / 60:.1f} min", flush=True)
    return done


def given(program: Program, root: Path, options: argparse.Namespace) -> list[str]:
    """The program's arguments; without a model the option that names one is left out."""
    images = root / "JPEGImages"
    first = min(images.glob("*.jpg"), default=images)
    places = {"IMAGES": images, "IMAGE": first, "ROOT": root, "BERKELEY": options.berkeley, "MODEL": options.model}
    words = program.full + (program.quick if options.quick else [])
    if options.model is None and "MODEL" in words:
        del words[(at := words.index("MODEL")) - 1 : at + 1]
    return [str(places.get(word, word)) for word in words]


if __name__ == "__main__":
    main(sys.argv[1:])
