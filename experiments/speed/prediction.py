"""Prediction of photographs from end to end (decode, network, PNG), beside the bare forward passes.

python experiments/speed/prediction.py ROOT [--backbone NAME] [--photographs N] [--workers N] [--rounds N] [--out D]

ROOT: photographs in VOC's layout with a list val. Measures on the GPU where there is one. Writes prediction.{json,md}.
"""

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytorch_lightning as pl
import torch
from measurement import Row, Task, machine, measure, on_device, operations, spread, timed
from networks import NAMES, devices, student
from torch.profiler import ProfilerActivity, profile

from wsss_lightning.allocator import keep_freed_memory
from wsss_lightning.data.base import SegmentationDataset
from wsss_lightning.data.samples import collate
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.methods.cam.student import Student
from wsss_lightning.stages.io import write_json
from wsss_lightning.stages.predict import write_predictions

WHOLE, BARE = "prediction, end to end", "bare forward passes"


def main(arguments: list[str]) -> None:
    """Measure and write; as `wsss` does, tell the allocator to keep what is freed."""
    options = _options(arguments)
    keep_freed_memory()
    data = VOCDataModule(root=options.root, classes=NAMES, train_list="val", size=None)
    images = data.dataset("val")
    images.records = images.records[: options.photographs]
    model = student(options.backbone, None)
    found = compare(model, images, data, workers=options.workers, rounds=options.rounds, device=devices()[-1])
    chosen = f"--backbone {options.backbone} --photographs {len(images)} --workers {options.workers}"
    found["machine"] = machine(f"python experiments/speed/prediction.py ROOT {chosen} --rounds {options.rounds}")
    write_json(options.out / "prediction.json", found)
    (options.out / "prediction.md").write_text("\n".join(page(found)) + "\n")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Prediction beside its forward passes.")
    parser.add_argument("root", type=Path, help="photographs in VOC's layout")
    parser.add_argument("--backbone", default="resnet50", choices=["resnet18", "resnet50"])
    parser.add_argument("--photographs", type=int, default=200, help="of the list val")
    parser.add_argument("--workers", type=int, default=_workers(), help="that decode")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions, after one to warm up")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args(arguments)


def _workers() -> int:
    return min(4, (os.cpu_count() or 1) // 4)


def compare(
    model: Student, images: SegmentationDataset, data: VOCDataModule, *, workers: int, rounds: int, device: str
) -> Row:
    """Seconds of both in turns; on a GPU the share of the whole time in which it computes."""
    model.to(device)
    given = [_moved(collate([images[index]]), device) for index in range(len(images))]
    end_to_end = partial(predict, model, images, data, workers=workers, device=device)
    bare = partial(forward, model, given, device)
    forms: dict[str, Callable[[], object]] = {WHOLE: end_to_end, BARE: bare}
    work = operations(bare)
    tasks = {name: Task(timed(form, device=device), operations=work) for name, form in forms.items()}
    rows, _ = measure(tasks, rounds=rounds, device=device)
    seconds = {name: row["median_s"] for name, row in rows.items()}
    busy = _kernel_seconds(end_to_end) / seconds[WHOLE] if device == "cuda" else None
    ratio = seconds[WHOLE] / seconds[BARE]
    return {"images": len(images), "seconds": seconds, "ratio": ratio, "busy_share": busy, "rows": rows}


def predict(model: Student, images: SegmentationDataset, data: VOCDataModule, *, workers: int, device: str) -> None:
    """As the stage does, into a folder that is thrown away."""
    with TemporaryDirectory() as folder:
        write_predictions(
            model,
            images,
            folder=Path(folder),
            decode=data.decode,
            keep=True,
            batch_size=data.inference_batch_size,
            trainer=partial(pl.Trainer, accelerator="gpu" if device == "cuda" else "cpu", devices=1),
            workers=workers,
            progress=False,
            description="prediction",
        )
    model.to(device)  # the trainer leaves it on the processor


@torch.inference_mode()
def forward(model: Student, given: list[dict[str, Any]], device: str) -> None:
    """The predicting step alone, with images that lie on the device; its results stay there."""
    for batch in given:
        model.predict_step(batch, 0)
    if device == "cuda":
        torch.cuda.synchronize()


def _moved(batch: dict[str, Any], device: str) -> dict[str, Any]:
    return {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in batch.items()}


def _kernel_seconds(function: Callable[[], object]) -> float:
    """Seconds in which the GPU computes during a call: kernels of one stream, which do not overlap."""
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        function()
    return sum(event.self_device_time_total for event in seen.key_averages()) / 1e6


def page(found: Row) -> list[str]:
    """The Markdown page."""
    seconds = found["seconds"]
    busy = (
        "" if found["busy_share"] is None else f" The GPU computes for {100 * found['busy_share']:.0f} % of the time."
    )
    conditions = (
        f"{on_device(found['machine'])} {found['images']} photographs; median of rounds in which both have their turn."
    )
    head = ["| | s | s an image | fastest - slowest |", "|---|---:|---:|---:|"]
    lines = [
        f"| {name} | {value:.2f} | {value / found['images']:.4f} | {spread(found['rows'][name], found['images'])} |"
        for name, value in seconds.items()
    ]
    words = f"- End to end takes {found['ratio']:.2f} times as long as the forward passes.{busy}"
    return [conditions, "", *head, *lines, "", words]


if __name__ == "__main__":
    main(sys.argv[1:])
