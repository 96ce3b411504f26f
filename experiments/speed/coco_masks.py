"""COCO's label maps: images per second on generated annotations of COCO's statistics, and what 120k images would take.

python experiments/speed/coco_masks.py [--images N] [--parsed N] [--rounds N] [--processes N] [--out D]

Writes coco_masks.{json,md}.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measurement import Row, Task, machine, measure, timed
from points import write
from pycocotools import mask as coder

from wsss_lightning.data.coco_annotations import COCO_CLASSES, COCO_IDS, KNOWN_IMAGES
from wsss_lightning.data.coco_conventions import CocoConvention
from wsss_lightning.data.coco_masks import paint_objects
from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.prepare.coco import prepare_list

HEIGHT, WIDTH = 480, 640
OBJECTS, POINTS = 7.3, 30  # means: of an image that has any, of a polygon
# Log-normal, so that 41 % are below 32 x 32 px and 24 % above 96 x 96, as COCO's page on detection says of its objects.
AREA_MEAN, AREA_SPREAD = 7.5, 2.4
EMPTY, CROWDS, DIVIDED = 0.01, 0.01, 0.1  # shares: images without annotation, crowds, objects of two polygons
INDICES = {category: index for index, category in enumerate(COCO_IDS, 1)}
ALL_IMAGES = KNOWN_IMAGES["train2014"] + KNOWN_IMAGES["val2014"]


def write_annotations(path: Path, *, images: int, seed: int = 0) -> None:
    """An instances file of generated images, written piece by piece: one of train2014's size has 330 MB."""
    rng = np.random.default_rng(seed)
    entries = [{"id": n, "file_name": f"{n:012d}.jpg", "height": HEIGHT, "width": WIDTH} for n in range(images)]
    categories = [{"id": i, "name": name} for i, name in zip(COCO_IDS, COCO_CLASSES, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        file.write(json.dumps({"images": entries, "categories": categories})[:-1] + ', "annotations": [')
        for number, annotation in enumerate(a for n in range(images) for a in random_objects(rng, n)):
            file.write(("," if number else "") + json.dumps(annotation))
        file.write("]}")


def random_objects(rng: np.random.Generator, image: int) -> Iterator[dict[str, Any]]:
    """The annotations of an image."""
    for _ in range(0 if rng.random() < EMPTY else rng.geometric(1 / OBJECTS)):
        area = min(rng.lognormal(AREA_MEAN, AREA_SPREAD), 0.8 * HEIGHT * WIDTH)
        crowd = rng.random() < CROWDS
        parts = [polygon(rng, area) for _ in range(1 + (rng.random() < DIVIDED))]
        yield {
            "id": int(rng.integers(1 << 30)),
            "image_id": image,
            "category_id": int(rng.choice(COCO_IDS)),
            "iscrowd": int(crowd),
            "area": area,
            "bbox": [0.0, 0.0, 1.0, 1.0],
            "segmentation": run_lengths(parts[0]) if crowd else parts,
        }


def polygon(rng: np.random.Generator, area: float) -> list[float]:
    """A star of about `area` px around a random point, cut off at the border."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, 3 + rng.poisson(POINTS - 3)))
    radii = np.sqrt(area / np.pi) * rng.uniform(0.7, 1.3, len(angles))
    across = np.clip(rng.uniform(0, WIDTH) + radii * np.cos(angles), 0, WIDTH)
    down = np.clip(rng.uniform(0, HEIGHT) + radii * np.sin(angles), 0, HEIGHT)
    points: list[float] = np.stack([across, down], axis=1).round(2).ravel().tolist()
    return points


def run_lengths(points: list[float]) -> dict[str, Any]:
    """A crowd's uncompressed run lengths."""
    inside = coder.decode(coder.frPyObjects([points], HEIGHT, WIDTH)[0])
    changes = np.flatnonzero(np.diff(inside.ravel(order="F"), prepend=0, append=2))
    return {"size": [HEIGHT, WIDTH], "counts": np.diff(changes, prepend=0).tolist()}


def parts(root: Path, *, images: int, rounds: int) -> dict[str, Any]:
    """Seconds per image of painting, of writing, and of painting as a loop over pycocotools' masks, in one process."""
    rng = np.random.default_rng(1)
    drawn: list[Any] = [list(random_objects(rng, n)) for n in range(images)]
    masks = [paint_objects(annotations, size=(HEIGHT, WIDTH), indices=INDICES) for annotations in drawn]
    assert all(np.array_equal(mask, plain(annotations)) for mask, annotations in zip(masks, drawn, strict=True))
    functions = {
        "paint": lambda n: paint_objects(drawn[n], size=(HEIGHT, WIDTH), indices=INDICES),
        "paint, as a loop over pycocotools' masks": lambda n: plain(drawn[n]),
        "write the PNG": lambda n: write_mask(root / "mask.png", masks[n]),
    }
    tasks = {name: each(function, images) for name, function in functions.items()}
    rows, limits = measure(tasks, rounds=rounds)
    return {"rows": rows, "limits": limits, "objects": sum(map(len, drawn)) / images}


def each(function: Any, images: int) -> Task:
    """One image of a loop over all; whatever is done with a label map, its pixels are written or read once."""
    whole = timed(lambda: [function(n) for n in range(images)])
    return Task(lambda: whole() / images, traffic=HEIGHT * WIDTH)


def plain(annotations: list[Any]) -> np.ndarray[Any, Any]:
    """The same label map as short scripts paint it: smallest objects first, each where nothing is yet."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for annotation in sorted(annotations, key=lambda found: (found["iscrowd"], found["area"])):
        outline = annotation["segmentation"]
        found = coder.frPyObjects(outline, HEIGHT, WIDTH)
        inside = coder.decode(coder.merge(found) if isinstance(outline, list) else found)
        index = 255 if annotation["iscrowd"] else INDICES[annotation["category_id"]]
        mask = np.where(mask > 0, mask, inside * np.uint8(index))
    return mask


def whole(root: Path, *, images: int, processes: int, rounds: int) -> list[float]:
    """Seconds of `prepare_list`, parsing included, once to warm up and then `rounds` times."""
    write_annotations(root / "annotations" / "instances_generated.json", images=images)
    seconds = []
    for _ in range(rounds + 1):
        shutil.rmtree(root / "SegmentationClass", ignore_errors=True)
        start = time.perf_counter()
        prepare_list(root, "generated", convention=CocoConvention(), processes=processes)
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


# In a fresh process, whose largest resident size is that of the parsing.
_PARSE = """
import json, resource, sys, time
from pathlib import Path
from wsss_lightning.data.coco_json import read_annotations
start = time.perf_counter()
content = read_annotations(Path(sys.argv[1]), outlines=sys.argv[2] == "with_outlines")
seconds = time.perf_counter() - start
print(json.dumps({"s": seconds, "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
"""


def parsing(root: Path, *, images: int) -> Row:
    """What it takes to read a file of so many images, with outlines for painting and without them for tags."""
    path = root / "parsed.json"
    write_annotations(path, images=images, seed=2)
    found: Row = {"images": images, "bytes": path.stat().st_size}
    for name in ("with_outlines", "for_tags"):
        command = [sys.executable, "-c", _PARSE, str(path), name]
        found[name] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


def main(arguments: list[str]) -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description="COCO's label maps: images per second.")
    parser.add_argument("--images", type=int, default=1000, help="generated images that are painted")
    parser.add_argument("--parsed", type=int, default=KNOWN_IMAGES["train2014"], help="images of the file to parse")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of everything, after one to warm up")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        found = parts(root, images=min(options.images, 200), rounds=options.rounds)
        found["whole"] = {
            n: whole(root, images=options.images, processes=n, rounds=options.rounds) for n in options.processes
        }
        found["parsing"] = parsing(root, images=options.parsed)
    asked = f"--images {options.images} --parsed {options.parsed} --rounds {options.rounds}"
    found |= {"images": options.images, "machine": machine(f"python experiments/speed/coco_masks.py {asked}")}
    write(options.out, "coco_masks", found, words(found))


def words(found: Row) -> list[str]:
    """What follows from the numbers."""
    read = found["parsing"]
    said = [
        f"Times are per image of {HEIGHT} x {WIDTH} px with {found['objects']:.1f} objects, polygons of about {POINTS} "
        "points. The loop over pycocotools' masks gives the same label maps, as is checked first.",
    ]
    for processes, seconds in found["whole"].items():
        median = statistics.median(seconds)
        rate = found["images"] / median
        spread = f"{min(seconds):.1f} - {max(seconds):.1f} s"
        said.append(
            f"`wsss data prepare coco --processes {processes}` on {found['images']:,} images, parsing included: "
            f"{rate:.0f} images a second ({median:.1f} s, {spread}); all {ALL_IMAGES:,} of train2014 and val2014 would "
            f"take {ALL_IMAGES / rate / 60:.0f} minutes, extrapolated."
        )
    return [*said, *(_on_parsing(read, *pair) for pair in (("with_outlines", "painting"), ("for_tags", "tags")))]


def _on_parsing(read: Row, name: str, purpose: str) -> str:
    return (
        f"Reading a file of {read['images']:,} images, {read['bytes'] / 1e6:.0f} MB, for {purpose}: "
        f"{read[name]['s']:.0f} s, largest resident size {read[name]['peak_bytes'] / 1e9:.2f} GB."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
