"""What precision, memory layout and torch.compile change in a prediction: seconds, probabilities, labels, mIoU.

python experiments/speed/forms.py ROOT [--model FOLDER] [--photographs N] [--rounds N] [--compiled] [--out D]

ROOT: photographs in VOC's layout with a list val; FOLDER: a trained student of method cam, else one at random, whose
mIoU means nothing. Measures on the GPU where there is one. Writes forms.{json,md}. Set OMP_NUM_THREADS=1.
"""

import argparse
import copy
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measurement import Row, machine, on_device, processor_of, timed
from networks import NAMES, devices, student
from torch import Tensor

from wsss_lightning import models
from wsss_lightning.allocator import keep_freed_memory
from wsss_lightning.data.base import SegmentationDataset
from wsss_lightning.data.samples import read_target
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.metrics.segmentation import confusion_matrix, mean_iou
from wsss_lightning.stages.io import write_json

PLAIN, LAST, BF16, COMPILED = "float32, contiguous", "float32, channels last (ours)", "bf16", "float32, compiled"


def main(arguments: list[str]) -> None:
    """Measure and write; as `wsss` does, tell the allocator to keep what is freed."""
    parser = argparse.ArgumentParser(description="A prediction in several forms.")
    parser.add_argument("root", type=Path, help="photographs in VOC's layout")
    parser.add_argument("--model", type=Path, help="folder of a fit_student stage; default: random, on a ResNet-18")
    parser.add_argument("--photographs", type=int, default=20, help="of the list val")
    parser.add_argument("--rounds", type=int, default=2, help="repetitions, after one to warm up")
    parser.add_argument("--compiled", action="store_true", help="on a CPU, too: minutes of a C++ compiler")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    keep_freed_memory()
    data = VOCDataModule(root=options.root, classes=NAMES, train_list="val", size=None)
    images = data.dataset("val")
    images.records = images.records[: options.photographs]
    model, device = student("resnet18", None) if options.model is None else models.load(options.model), devices()[-1]
    compiled = options.compiled or device == "cuda"
    found = compare(model.to(device), images, data, rounds=options.rounds, compiled=compiled, device=device)
    given = " --model MODEL" if options.model else ""
    chosen = f"{given} --photographs {len(images)} --rounds {options.rounds}" + (" --compiled" * options.compiled)
    found["machine"] = machine(f"OMP_NUM_THREADS=1 python experiments/speed/forms.py ROOT{chosen}")
    found["trained"] = options.model is not None
    write_json(options.out / "forms.json", found)
    (options.out / "forms.md").write_text("\n".join(page(found)) + "\n")


@torch.inference_mode()
def compare(
    model: Any, images: SegmentationDataset, data: VOCDataModule, *, rounds: int, compiled: bool, device: str
) -> Row:
    """Seconds an image of every form, all in turns, and what its probabilities and labels are beside float32's."""
    given = [images[index]["image"][None].to(device) for index in range(len(images))]
    targets = [torch.from_numpy(read_target(record, data.encode)) for record in images.records]
    forms = ways(model, given, compiled=compiled, device=device)
    results = {name: form() for name, form in forms.items()}
    clocks = {name: timed(form, device=device, clock=processor_of(device)) for name, form in forms.items()}
    turns = [{name: seconds() for name, seconds in clocks.items()} for _ in range(rounds)]
    return {
        "images": len(images),
        "rows": {
            name: _row(sorted(turn[name] for turn in turns), found, results[PLAIN], targets)
            for name, found in results.items()
        },
    }


def ways(model: Any, given: Sequence[Tensor], *, compiled: bool, device: str) -> dict[str, Callable[[], list[Tensor]]]:
    """Each gives the probabilities of all images, (L, H, W)."""
    plain, other = copy.deepcopy(model), copy.deepcopy(model)
    plain.trunk.forward = partial(_contiguous, plain.trunk.to(memory_format=torch.contiguous_format))
    other.trunk.backbone.features = torch.compile(other.trunk.backbone.features, dynamic=True)
    forms = {PLAIN: partial(probabilities, plain, given), LAST: partial(probabilities, model, given)}
    forms[BF16] = partial(_in_bf16, forms[LAST], device)
    return forms | ({COMPILED: partial(probabilities, other, given)} if compiled else {})


def probabilities(model: Any, given: Sequence[Tensor]) -> list[Tensor]:
    """Softmax of the logits at the images' own sizes."""
    return [model(image).float().softmax(dim=1)[0].cpu() for image in given]


def _contiguous(trunk: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    shallow, deep = trunk.backbone.features(images.contiguous(), with_global=False).maps[-2:]
    return shallow, deep


def _in_bf16(form: Callable[[], list[Tensor]], device: str) -> list[Tensor]:
    with torch.autocast(device, torch.bfloat16):
        return form()


def _row(times: list[float], found: list[Tensor], exact: list[Tensor], targets: list[Tensor]) -> Row:
    labels, pixels = [each.argmax(dim=0) for each in found], sum(each.numel() for each in targets)
    same = sum(int((one == two.argmax(dim=0)).sum()) for one, two in zip(labels, exact, strict=True))
    total = sum(confusion_matrix(one, two, len(found[0])) for one, two in zip(labels, targets, strict=True))
    return {
        "seconds_an_image": times[len(times) // 2] / len(found),
        "largest_difference": max(float((a - b).abs().max()) for a, b in zip(found, exact, strict=True)),
        "same_labels": same / pixels,
        "miou": float(mean_iou(torch.as_tensor(total))),
    }


def page(found: Row) -> list[str]:
    """The Markdown page."""
    rows, plain = found["rows"], found["rows"][PLAIN]["seconds_an_image"]
    model = "A trained student." if found["trained"] else "A student at random, whose mIoU means nothing."
    conditions = f"{on_device(found['machine'])} {found['images']} photographs, median of rounds in turns. {model}"
    head = ["| | s an image | times as fast | largest difference | same labels | mIoU |", "|---|" + "---:|" * 5]
    lines = [
        f"| {name} | {row['seconds_an_image']:.3f} | {plain / row['seconds_an_image']:.2f} "
        f"| {row['largest_difference']:.0e} | {100 * row['same_labels']:.3f} % | {100 * row['miou']:.2f} |"
        for name, row in rows.items()
    ]
    return [conditions, "", *head, *lines]


if __name__ == "__main__":
    main(sys.argv[1:])
