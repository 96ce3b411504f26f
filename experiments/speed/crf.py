"""Dense CRF: the lattice in torch beside pydensecrf, on one core, with the labels that both give.

python experiments/speed/crf.py IMAGES [--photographs N] [--rounds N] [--labels 7 21 81] [--out D]

IMAGES: folder of photographs. Writes crf.{json,md}. Set OMP_NUM_THREADS=1.
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measurement import Row, clocks, machine, on_one_core, single_core
from priors import soft_labels

from wsss_lightning.data.images import read_image
from wsss_lightning.ops.crf import dense_crf, unary_from_probabilities
from wsss_lightning.pipeline.configuration import compose
from wsss_lightning.stages.io import write_json

SETS = ("krahenbuehl", "deeplab_v2", "coseg")  # sec coincides with the first
BACKENDS = ("pydensecrf", "lattice")


def main(arguments: list[str]) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Two backends of the dense CRF, side by side.")
    parser.add_argument("images", type=Path, help="folder of photographs")
    parser.add_argument("--photographs", type=int, default=4, help="evenly from the folder, by name")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions, after one to warm up")
    parser.add_argument("--labels", type=int, nargs="+", default=[7, 21, 81])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    single_core()
    paths = sorted(options.images.glob("*.jpg"))
    paths = paths[:: max(1, len(paths) // options.photographs)][: options.photographs]
    images = [np.ascontiguousarray(read_image(path)) for path in paths]
    rows = [
        compare(images, field=name, labels=labels, rounds=options.rounds) for name in SETS for labels in options.labels
    ]
    command = (
        f"OMP_NUM_THREADS=1 python experiments/speed/crf.py IMAGES --photographs {len(images)} "
        f"--rounds {options.rounds} --labels {' '.join(map(str, options.labels))}"
    )
    measured: Row = {"rows": rows, "sizes": [list(image.shape[:2]) for image in images], "machine": machine(command)}
    write_json(options.out / "crf.json", measured)
    (options.out / "crf.md").write_text("\n".join(page(measured)) + "\n")


def compare(images: list[Any], *, field: str, labels: int, rounds: int) -> Row:
    """Processor seconds an image of both backends, in turns, and how far their results differ."""
    crf = partial(dense_crf, **parameters(field))
    unaries = [unary_from_probabilities(soft_labels(image, labels=labels)) for image in images]
    pairs = list(zip(images, unaries, strict=True))

    def run(backend: str) -> list[Any]:
        return [crf(image, unary, backend=backend) for image, unary in pairs]

    results = [run(backend) for backend in BACKENDS]
    times = clocks({backend: partial(run, backend) for backend in BACKENDS}, rounds=rounds, warm=True)
    seconds = {backend: times[backend]["processor_s"] / len(images) for backend in BACKENDS}
    return {
        "field": field,
        "labels": labels,
        "seconds_an_image": seconds,
        "speed_of_lattice": seconds["pydensecrf"] / seconds["lattice"],
        "largest_difference": max(float(np.abs(a - b).max()) for a, b in zip(*results, strict=True)),
        "pixels_of_another_label": sum(int((a.argmax(0) != b.argmax(0)).sum()) for a, b in zip(*results, strict=True)),
        "pixels": sum(a[0].size for a in results[0]),
    }


def parameters(name: str) -> dict[str, Any]:
    """A parameter set of conf/crf without its backend and device."""
    node = compose([f"crf={name}"]).crf
    return {key: value for key, value in node.items() if not key.startswith("_") and key not in ("backend", "device")}


def page(measured: Row) -> list[str]:
    """The Markdown page."""
    rows, sizes = measured["rows"], measured["sizes"]
    conditions = (
        f"{on_one_core(measured['machine'])} {len(sizes)} photographs, seconds an image of the processor; median of "
        "rounds in which both backends have their turn. Probabilities are smooth noise."
    )
    head = [
        "| parameters | labels | pydensecrf, s | lattice, s | speed of the lattice | largest difference of a marginal "
        "| pixels of another label |",
        "|---|" + "---:|" * 6,
    ]
    lines = [
        f"| {row['field']} | {row['labels']} | {row['seconds_an_image']['pydensecrf']:.2f} "
        f"| {row['seconds_an_image']['lattice']:.2f} | {row['speed_of_lattice']:.2f} "
        f"| {row['largest_difference']:.0e} | {row['pixels_of_another_label']} of {row['pixels']:,} |"
        for row in rows
    ]
    return [conditions, "", *head, *lines]


if __name__ == "__main__":
    main(sys.argv[1:])
