"""Dense CRF on a GPU: seconds of a photograph beside those of one core, by the clock.

python experiments/speed/crf_device.py IMAGES [--photographs N] [--rounds N] [--labels 7 21] [--out D]

IMAGES: folder of photographs. The core takes pydensecrf where it is installed, else the lattice; the GPU, or the core
where there is none, takes the lattice. Writes crf_device.{json,md}. Set OMP_NUM_THREADS=1.
"""

import argparse
import statistics
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from crf import parameters
from measurement import Row, machine, on_device, single_core, timed
from networks import devices, photographs
from priors import soft_labels

from wsss_lightning.ops.crf import dense_crf, unary_from_probabilities
from wsss_lightning.stages.io import write_json

FIELD = "deeplab_v2"


def main(arguments: list[str]) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="The dense CRF on a GPU beside one core.")
    parser.add_argument("images", type=Path, help="folder of photographs")
    parser.add_argument("--photographs", type=int, default=16, help="of the commonest size")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions, after one to warm up")
    parser.add_argument("--labels", type=int, nargs="+", default=[7, 21])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    single_core()
    images = photographs(options.images, options.photographs)
    rows = [compare(images, labels=labels, rounds=options.rounds) for labels in options.labels]
    chosen = f"--photographs {len(images)} --rounds {options.rounds} --labels {' '.join(map(str, options.labels))}"
    command = f"OMP_NUM_THREADS=1 python experiments/speed/crf_device.py IMAGES {chosen}"
    found: Row = {"rows": rows, "size": list(images[0].shape[:2]), "images": len(images), "machine": machine(command)}
    write_json(options.out / "crf_device.json", found)
    (options.out / "crf_device.md").write_text("\n".join(page(found)) + "\n")


def compare(images: list[Any], *, labels: int, rounds: int) -> Row:
    """Seconds an image on one core and on the device, in turns."""
    device, core = devices()[-1], "pydensecrf" if find_spec("pydensecrf") else "lattice"
    crf = partial(dense_crf, **parameters(FIELD))
    pairs = [(image, unary_from_probabilities(soft_labels(image, labels=labels))) for image in images]

    def run(backend: str, place: str) -> list[Any]:
        return [crf(image, unary, backend=backend, device=place) for image, unary in pairs]

    tasks = {f"one core, {core}": partial(run, core, "cpu"), f"{device}, lattice": partial(run, "lattice", device)}
    turns = [{name: timed(task)() for name, task in tasks.items()} for _ in range(rounds + 1)][1:]
    seconds = [statistics.median(turn[name] for turn in turns) / len(images) for name in tasks]
    labelled = [[q.argmax(0) for q in task()] for task in tasks.values()]
    return {
        "labels": labels,
        "seconds_an_image": dict(zip(tasks, seconds, strict=True)),
        "times_as_fast": seconds[0] / seconds[1],
        "pixels_of_another_label": sum(int((a != b).sum()) for a, b in zip(*labelled, strict=True)),
        "pixels": sum(each.size for each in labelled[0]),
    }


def page(found: Row) -> list[str]:
    """The Markdown page."""
    forms = [*found["rows"][0]["seconds_an_image"]]
    conditions = (
        f"{on_device(found['machine'])} {found['images']} photographs of {found['size'][0]} x {found['size'][1]} px, "
        f"crf={FIELD}; images go to the device and marginals come back."
    )
    head = [f"| labels | {forms[0]}, s | {forms[1]}, s | times as fast | pixels of another label |", "|---" * 5 + "|"]
    lines = [
        f"| {row['labels']} | {' | '.join(f'{value:.4f}' for value in row['seconds_an_image'].values())} "
        f"| {row['times_as_fast']:.2f} | {row['pixels_of_another_label']} of {row['pixels']:,} |"
        for row in found["rows"]
    ]
    return [conditions, "", *head, *lines]


if __name__ == "__main__":
    main(sys.argv[1:])
