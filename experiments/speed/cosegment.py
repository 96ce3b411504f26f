"""Co-segmentation of a class of 50, 200 and 800 photographs: processor seconds per image of every step.

python experiments/speed/cosegment.py ROOT [--images N ...] [--name NAME] [--other NAME] [--out D]

ROOT: a data set in VOC's layout with that many single-tag images. Writes cosegment.{json,md}. Set OMP_NUM_THREADS=1.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from measurement import Row, machine, on_one_core

from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.methods.coseg.stages.cosegment_masks import Placing, transfer_masks
from wsss_lightning.methods.coseg.stages.cosegmentation import (
    Collection,
    Cosegmentation,
    Passes,
    single_tag_records,
)
from wsss_lightning.methods.coseg.stages.discover import STEPS
from wsss_lightning.stages.io import write_json
from wsss_lightning.stages.records import draw_records

OTHERS = 50  # images of the other class, which a class is told from
CONF = Path(__file__).resolve().parents[2] / "conf"


def main(arguments: list[str]) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description="Co-segmentation of a class.")
    parser.add_argument("root", type=Path)
    parser.add_argument("--images", type=int, nargs="+", default=[50, 200, 800])
    parser.add_argument("--name", default="cat", help="the class")
    parser.add_argument("--other", default="dog", help="the class that gives the images of other things")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    classes = [options.name, options.other]  # no other tag counts: a cat on a sofa is a cat
    source = VOCDataModule(root=options.root, classes=classes, train_list="train_aug", tags="npy")
    labels = [source.class_names.index(name) + 1 for name in classes]
    rows = [measured(source, labels, images) for images in options.images]
    shown = f"ROOT --images {' '.join(map(str, options.images))} --name {options.name} --other {options.other}"
    write(
        options.out,
        {"runs": rows, "machine": machine(f"OMP_NUM_THREADS=1 python experiments/speed/cosegment.py {shown}")},
    )


def measured(source: VOCDataModule, labels: Sequence[int], images: int) -> Row:
    """Processor seconds of the steps for a class of so many images beside one of 50, and the peak memory so far."""
    (settings, placing), found = read_settings(), single_tag_records(source)
    records = [draw_records(found[label], count, seed=0) for label, count in zip(labels, (images, OTHERS), strict=True)]
    if len(records[0]) < images:
        raise SystemExit(f"only {len(records[0])} images have the tag of the class and no other.")
    most = settings.exemplars.most
    collections = [
        Collection(label, each, draw_records(each, most, seed=0)) for label, each in zip(labels, records, strict=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        passes = Passes(Path(folder), workers=1, progress=False)
        seconds = {step.__name__: _seconds(lambda step=step: step(collections, settings, passes)) for step in STEPS}
        cut = lambda: transfer_masks(collections, passes.folder, placing, passes)  # noqa: E731
        seconds["transfer_masks"] = _seconds(cut)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    each = sum(seconds.values()) / (images + OTHERS)
    found = {"images": images, "all_images": images + OTHERS, "seconds": seconds, "seconds_an_image": each}
    return found | {"peak_bytes": peak, "graph_cuts": "OR-Tools" if find_spec("ortools") else "scipy"}


def read_settings() -> tuple[Cosegmentation, Placing]:
    """Those of conf/method/coseg.yaml, of discovery and of the cuts."""
    with initialize_config_dir(str(CONF), version_base=None):
        config: Any = compose("config", overrides=["method=coseg"]).coseg.cosegmentation
    made: dict[str, Any] = instantiate(config, _convert_="all")
    del made["kept"]
    placing = Placing(*(made[name] for name in ("side", "edges", "box")), made.pop("transfer"), made["seed"])
    return Cosegmentation(**made), placing


def _seconds(work: Any) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def write(folder: Path, found: Row) -> None:
    """`cosegment.json` with everything and `cosegment.md` with a table and what follows."""
    write_json(folder / "cosegment.json", found)
    (folder / "cosegment.md").write_text("\n".join([_conditions(found), "", *_table(found), "", *_words()]) + "\n")


def _conditions(found: Row) -> str:
    return (
        f"{on_one_core(found['machine'])} Processor seconds per image, in one process, of a class of n "
        f"photographs beside one of {OTHERS}; graph cuts by {found['runs'][0]['graph_cuts']}."
    )


def _table(found: Row) -> list[str]:
    runs = found["runs"]
    head = ["| step | " + " | ".join(f"n = {run['images']}" for run in runs) + " |", "|---|" + "---:|" * len(runs)]
    names = [*(step.__name__ for step in STEPS), "transfer_masks"]
    rows = {name.replace("_", " "): [run["seconds"][name] for run in runs] for name in names}
    rows["all"] = [sum(run["seconds"].values()) for run in runs]
    each = [
        f"| {name} | " + " | ".join(f"{s / run['all_images']:.3f}" for s, run in zip(row, runs, strict=True)) + " |"
        for name, row in rows.items()
    ]
    peaks = "| peak memory, MiB | " + " | ".join(f"{run['peak_bytes'] / 2**20:.0f}" for run in runs) + " |"
    return [*head, *each, peaks]


def _words() -> list[str]:
    return [
        "- Every exemplar's detector is run on every image of its class (detect), and merging compares every two: "
        "both are quadratic in n until `exemplars.most` bounds the number of detectors. `joint.most` bounds the "
        "members of a subcategory that are segmented together.",
        "- The background's statistics and the factors of its covariances are made once for all classes.",
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
