"""Dense CRF of many photographs on all cores, beside a plain loop over pydensecrf on one.

python experiments/speed/crf_cores.py IMAGES [--photographs N] [--rounds N] [--labels 7 21] [--processes N] [--out D]

IMAGES: folder of photographs. Both sides read an image, take smooth noise for its probabilities and keep the labels.
Writes crf_cores.{json,md}. Set OMP_NUM_THREADS=1 and leave the machine alone: times are of the wall's clock.
"""

import argparse
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from crf import parameters
from joblib.externals.loky import get_reusable_executor
from measurement import Row, clocks, machine, single_core
from numpy.typing import NDArray
from priors import soft_labels

from wsss_lightning import parallel
from wsss_lightning.data.images import read_image
from wsss_lightning.ops.crf import dense_crf, unary_from_probabilities
from wsss_lightning.parallel import in_parallel
from wsss_lightning.stages.io import write_json

FIELD = "deeplab_v2"


def main(arguments: list[str]) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="A field over many photographs, on all cores and in a plain loop.")
    parser.add_argument("images", type=Path, help="folder of photographs")
    parser.add_argument("--photographs", type=int, default=64, help="evenly from the folder, by name")
    parser.add_argument("--rounds", type=int, default=1, help="repetitions, after one to warm up")
    parser.add_argument("--labels", type=int, nargs="+", default=[7, 21])
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    single_core()
    paths = sorted(options.images.glob("*.jpg"))
    paths = paths[:: max(1, len(paths) // options.photographs)][: options.photographs]
    rows = [compare(paths, labels=n, processes=options.processes, rounds=options.rounds) for n in options.labels]
    command = (
        f"OMP_NUM_THREADS=1 python experiments/speed/crf_cores.py IMAGES --photographs {len(paths)} --rounds "
        f"{options.rounds} --labels {' '.join(map(str, options.labels))} --processes {options.processes}"
    )
    measured: Row = {"rows": rows, "photographs": len(paths), "machine": machine(command)}
    write_json(options.out / "crf_cores.json", measured)
    (options.out / "crf_cores.md").write_text("\n".join(page(measured)) + "\n")


def compare(paths: list[Path], *, labels: int, processes: int, rounds: int) -> Row:
    """Seconds of both sides for all photographs, in turns, and how many pixels they label otherwise."""
    work = partial(label_by_ours, labels=labels)

    def ours() -> list[Any]:
        return list(in_parallel(work, paths, processes=processes, description="dense CRF", progress=False))

    def plain() -> list[Any]:
        return [label_by_pydensecrf(path, labels=labels) for path in paths]

    get_reusable_executor().shutdown(wait=True)
    parallel._used = float("-inf")
    start = time.perf_counter()
    labelled = ours()
    seconds = {"ours, workers to be started": time.perf_counter() - start}
    other = sum(int((a != b).sum()) for a, b in zip(labelled, plain(), strict=True))
    times = clocks({"ours": ours, "plain": plain}, rounds=rounds, warm=True)
    seconds |= {name: row["wall_s"] for name, row in times.items()}
    gain = seconds["plain"] / seconds["ours"]
    share = {"plain_over_cores": seconds["plain"] / processes, "gain": gain, "gain_a_core": gain / processes}
    return {"labels": labels, "processes": processes, "seconds": seconds, "pixels_of_another_label": other} | share


def label_by_ours(path: Path, *, labels: int) -> NDArray[np.intp]:
    """Labels of a photograph by `ops.crf`, as the stages call it."""
    image = np.ascontiguousarray(read_image(path))
    unary = unary_from_probabilities(soft_labels(image, labels=labels))
    best: NDArray[np.intp] = dense_crf(image, unary, **parameters(FIELD)).argmax(axis=0)
    return best


def label_by_pydensecrf(path: Path, *, labels: int) -> NDArray[np.intp]:
    """The same as its own examples do it."""
    from pydensecrf.densecrf import DenseCRF2D

    image, given = np.ascontiguousarray(read_image(path)), parameters(FIELD)
    field = DenseCRF2D(image.shape[1], image.shape[0], labels)
    field.setUnaryEnergy(unary_from_probabilities(soft_labels(image, labels=labels)).reshape(labels, -1))
    field.addPairwiseGaussian(sxy=given["spatial_sigma"], compat=given["spatial_weight"])
    colours = {"sxy": given["bilateral_sigma"], "srgb": given["color_sigma"], "compat": given["bilateral_weight"]}
    field.addPairwiseBilateral(rgbim=image, **colours)
    best: NDArray[np.intp] = np.array(field.inference(given["iterations"])).argmax(axis=0).reshape(image.shape[:2])
    return best


def page(measured: Row) -> list[str]:
    """The Markdown page."""
    at = measured["machine"]
    head = [
        "| labels | processes | ours, workers to be started, s | ours, s | plain loop on one core, s | gain "
        "| gain a core | pixels of another label |",
        "|---:|" + "---:|" * 7,
    ]
    lines = [
        f"| {row['labels']} | {row['processes']} | {row['seconds']['ours, workers to be started']:.1f} "
        f"| {row['seconds']['ours']:.1f} | {row['seconds']['plain']:.1f} "
        f"| {row['gain']:.2f} | {row['gain_a_core']:.2f} | {row['pixels_of_another_label']} |"
        for row in measured["rows"]
    ]
    conditions = (
        f"`{at['command']}`, {at['date']}, commit {at['commit']}, {at['processor']}, {at['cores']} cores, load average "
        f"{at['load_average_1_5_15_min']}. {measured['photographs']} photographs, seconds of the wall's clock."
    )
    return [conditions, "", *head, *lines]


if __name__ == "__main__":
    main(sys.argv[1:])
