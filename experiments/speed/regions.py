"""Superpixels and graph cuts beside those of OpenCV's contributed modules and OR-Tools.

python experiments/speed/regions.py IMAGES [--photographs N] [--rounds N] [--out D]

IMAGES: folder of photographs; of those with a mask in SegmentationClassAug or SegmentationClass beside it, how well
superpixels follow objects is measured, too. Peers that are not installed are left out: OpenCV's contributed modules
exclude the package that is used here, so that they go into a folder of their own, first in PYTHONPATH (`pip install
--no-deps --target FOLDER opencv-contrib-python-headless`). Writes regions.{json,md}. Set OMP_NUM_THREADS=1.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
from measurement import Row, clocks, machine, on_one_core, single_core
from numpy.typing import NDArray
from PIL import Image

from wsss_lightning.data.images import read_image
from wsss_lightning.methods.coseg import graph_cut as module
from wsss_lightning.methods.coseg.graph_cut import GridEdges, contrast_edges, graph_cut
from wsss_lightning.methods.patches.superpixels import superpixels
from wsss_lightning.stages.io import write_json

Pixels = NDArray[np.uint8]
Costs = tuple[NDArray[np.float64], NDArray[np.float64]]

_UNITS, _MOST = 1000, 10_000_000  # of graph_cut's whole numbers
SETTINGS: dict[str, Any] = {"scale": 100.0, "sigma": 0.8, "min_size": 20}  # conf/method/patches.yaml
SEGMENTS, CUT = "superpixels, skimage", "graph_cut, scipy"
OPENCV, ORTOOLS = "superpixels, OpenCV contrib", "graph_cut, OR-Tools"


def main(arguments: list[str]) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Superpixels and graph cuts beside their peers.")
    parser.add_argument("images", type=Path, help="folder of photographs")
    parser.add_argument("--photographs", type=int, default=8, help="evenly from the folder, by name")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions, after one to warm up")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    single_core()
    paths = sorted(options.images.glob("*.jpg"))
    paths = paths[:: max(1, len(paths) // options.photographs)][: options.photographs]
    masks = [read_mask(path) for path in paths]
    found = compare([np.ascontiguousarray(read_image(path)) for path in paths], masks, rounds=options.rounds)
    chosen = f"--photographs {len(paths)} --rounds {options.rounds}"
    found["machine"] = machine(f"OMP_NUM_THREADS=1 python experiments/speed/regions.py IMAGES {chosen}")
    write_json(options.out / "regions.json", found)
    (options.out / "regions.md").write_text("\n".join(page(found)) + "\n")


def read_mask(path: Path) -> NDArray[np.uint8] | None:
    """The ground truth of a photograph in VOC's layout, where there is one: labels, 255 where there is none."""
    folders = ("SegmentationClassAug", "SegmentationClass")
    found = [path.parents[1] / folder / f"{path.stem}.png" for folder in folders]
    return next((np.array(Image.open(each)) for each in found if each.is_file()), None)


def achievable(segments: NDArray[np.integer[Any]], mask: NDArray[np.uint8]) -> tuple[int, int]:
    """Pixels that are right where each segment has its commonest label, and all that have a label.

    Their ratio is the achievable segmentation accuracy (Liu et al., CVPR 2011).
    """
    known = mask != 255
    counts = np.bincount(segments[known].astype(np.int64) * 256 + mask[known], minlength=256 * (segments.max() + 1))
    return int(counts.reshape(-1, 256).max(axis=1).sum()), int(known.sum())


def accuracies(results: Mapping[str, Sequence[Any]], masks: Sequence[NDArray[np.uint8] | None]) -> dict[str, float]:
    """Of each way to superpixels over all pixels of the photographs that have a mask; empty without any."""
    pairs = {
        name: [achievable(x, mask) for x, mask in zip(found, masks, strict=True) if mask is not None]
        for name, found in results.items()
        if "superpixels" in name
    }
    return {name: sum(right for right, _ in each) / sum(n for _, n in each) for name, each in pairs.items() if each}


def compare(images: Sequence[Pixels], masks: Sequence[NDArray[np.uint8] | None], *, rounds: int) -> Row:
    """Processor seconds an image of each, all in turns; segments, energies and pixels of another label."""
    edges = [contrast_edges(image, smoothness=2.0, neighbours=8) for image in images]
    cuts = [(*costs_of(image), each) for image, each in zip(images, edges, strict=True)]
    ways: dict[str, Callable[[], list[Any]]] = {
        SEGMENTS: lambda: [superpixels(image, **SETTINGS) for image in images],
        CUT: partial(cut_by, "scipy", cuts),
    }
    if hasattr(cv2, "ximgproc"):
        ways[OPENCV] = lambda: [by_opencv(image) for image in images]
    if find_spec("ortools"):
        ways[ORTOOLS] = partial(cut_by, "ortools", cuts)
    results = {name: way() for name, way in ways.items()}
    times = clocks(ways, rounds=rounds, warm=True)
    return {
        "images": len(images),
        "sizes": [list(image.shape[:2]) for image in images],
        "seconds_an_image": {name: row["processor_s"] / len(images) for name, row in times.items()},
        "segments": {
            name: [int(x.max()) + 1 for x in found] for name, found in results.items() if "superpixels" in name
        },
        "accuracy": accuracies(results, masks),
        "photographs_with_masks": sum(mask is not None for mask in masks),
        "energy": {
            name: [energy(x, *each) for x, each in zip(found, cuts, strict=True)]
            for name, found in results.items()
            if "cut" in name
        },
        "pixels_of_another_label": sum(
            int((a != b).sum()) for a, b in zip(results[CUT], results.get(ORTOOLS, results[CUT]), strict=True)
        ),
        "times": times,
    }


def costs_of(image: Pixels) -> Costs:
    """As co-segmentation's: foreground likely in the middle, background outside, by colour and place; (H, W) each."""
    height, width = image.shape[:2]
    down, across = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    colour = image.astype(np.float64).mean(axis=2) / 255
    score = 1.5 - 2.5 * np.hypot(down, across) + 2 * (colour - colour.mean())
    return np.logaddexp(0, -score), np.logaddexp(0, score)


def by_opencv(image: Pixels) -> NDArray[np.int32]:
    """The same algorithm as skimage's felzenszwalb; its images are BGR, which changes no distance."""
    made = cv2.ximgproc.segmentation.createGraphSegmentation(  # type: ignore[attr-defined]
        SETTINGS["sigma"], SETTINGS["scale"], SETTINGS["min_size"]
    )
    return made.processImage(image)  # type: ignore[no-any-return]


def cut_by(backend: str, cuts: Sequence[tuple[Any, ...]]) -> list[NDArray[np.bool_]]:
    """`graph_cut` by "scipy" or "ortools"."""
    with mock.patch.object(module, "_has_ortools", lambda: backend == "ortools"):
        return [graph_cut(*each) for each in cuts]


def whole(
    foreground: NDArray[np.float64], background: NDArray[np.float64], edges: GridEdges
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What each pixel gains as foreground, and what a boundary between two costs, in thousandths."""
    gain = ((background - foreground).ravel() * _UNITS).clip(-_MOST, _MOST).round().astype(np.int64)
    return gain, (edges[2] * _UNITS).round().clip(0, _MOST).astype(np.int64)


def energy(
    labels: NDArray[np.bool_], foreground: NDArray[np.float64], background: NDArray[np.float64], edges: GridEdges
) -> int:
    """Of a labelling, in thousandths, less what all of it as background costs."""
    gain, between = whole(foreground, background, edges)
    inside = labels.ravel()
    return int(between[inside[edges[0]] != inside[edges[1]]].sum() - gain[inside].sum())


def page(found: Row) -> list[str]:
    """The Markdown page."""
    conditions = (
        f"{on_one_core(found['machine'])} {found['images']} photographs, seconds an image of the processor; median of "
        "rounds in which all have their turn."
    )
    segments = {name: f"{sum(each) / len(each):.0f} segments" for name, each in found["segments"].items()}
    energies = {name: f"energy {sum(each):,}" for name, each in found["energy"].items()}
    result = segments | energies
    for name, value in found["accuracy"].items():
        result[name] += f", accuracy {100 * value:.2f} %"
    head = ["| | s an image | least - most | result |", "|---|---:|---:|---|"]
    lines = [
        f"| {name} | {value:.4f} | {_spread(found, name)} | {result[name]} |"
        for name, value in found["seconds_an_image"].items()
    ]
    words = [
        "- Superpixels: skimage's felzenszwalb, with the settings of conf/method/patches.yaml; segments are a mean. "
        "OpenCV's contributed modules give others, and exclude the package of OpenCV that is used here: not taken.",
        "- Accuracy: pixels that are right where each segment has its commonest label of the ground truth, over "
        f"{found['photographs_with_masks']} photographs; more segments have a higher one.",
        f"- Graph cuts: energies in thousandths, summed; {found['pixels_of_another_label']} pixels have another label.",
    ]
    return [conditions, "", *head, *lines, "", *words]


def _spread(found: Row, name: str) -> str:
    row, images = found["times"][name], found["images"]
    return f"{row['processor_least_s'] / images:.4f} - {row['processor_most_s'] / images:.4f}"


if __name__ == "__main__":
    main(sys.argv[1:])
