"""Class activation maps at four scales with mirror images, beside the loop of one image and one scale at a time.

python experiments/speed/cams.py IMAGES [--backbone NAME] [--weights FILE] [--photographs N] [--rounds N] [--out D]

IMAGES: folder of photographs. Measures on the GPU where there is one. Writes cams.{json,md}.
"""

import argparse
import copy
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measurement import Row, Task, machine, measure, on_device, operations, processor_of, spread, timed
from networks import Batch, batches, classifier, devices, photographs
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.allocator import keep_freed_memory
from wsss_lightning.stages.io import write_json
from wsss_lightning.stages.tag_classifier import TagClassifier

LOOP, OURS = "loop of one image and one scale", "ours, one image at a time"


def main(arguments: list[str]) -> None:
    """Measure and write; as `wsss` does, tell the allocator to keep what is freed."""
    options = _options(arguments)
    keep_freed_memory()
    device = devices()[-1]
    model = classifier(options.backbone, options.weights).to(device)
    images = photographs(options.images, options.photographs)
    found = compare(model, images, batch=options.batch, rounds=options.rounds, device=device)
    chosen = f"--backbone {options.backbone} --photographs {len(images)} --batch {options.batch}"
    found["machine"] = machine(f"python experiments/speed/cams.py IMAGES {chosen} --rounds {options.rounds}")
    write_json(options.out / "cams.json", found)
    (options.out / "cams.md").write_text("\n".join(page(found)) + "\n")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Class activation maps beside a plain loop.")
    parser.add_argument("images", type=Path, help="folder of photographs")
    parser.add_argument("--backbone", default="resnet50", choices=["resnet18", "resnet50"])
    parser.add_argument("--weights", help="state dict as torchvision has it; default: random")
    parser.add_argument("--photographs", type=int, default=16, help="of the commonest size")
    parser.add_argument("--batch", type=int, default=8, help="images of the larger batches")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions, after one to warm up")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args(arguments)


@torch.inference_mode()
def compare(model: TagClassifier, images: Sequence[Any], *, batch: int, rounds: int, device: str) -> Row:
    """Seconds an image of the loop and of ours in both precisions, all in turns, and how far their maps differ."""
    single, several = (batches(images, size=size, device=device) for size in (1, batch))
    plain = copy.deepcopy(model.trunk.backbone).to(memory_format=torch.contiguous_format)
    loop, ours = partial(loop_maps, model, plain, single), partial(our_maps, model, single)
    forms = {LOOP: loop, OURS: ours, f"ours, {batch} images at a time": partial(our_maps, model, several)}
    forms |= {f"{name}, bf16": partial(_in_bf16, form, device) for name, form in forms.items()}
    work = operations(loop)
    clock = processor_of(device)
    tasks = {name: Task(timed(form, device=device, clock=clock), operations=work) for name, form in forms.items()}
    rows, limits = measure(tasks, rounds=rounds, device=device, clock=clock)
    seconds = {name: row["median_s"] / len(images) for name, row in rows.items()}
    return {
        "images": len(images),
        "size": list(images[0].shape[:2]),
        "seconds_an_image": seconds,
        "times_as_fast": {name: seconds[LOOP] / value for name, value in seconds.items()},
        "largest_difference": _difference(ours, loop),
        "rows": rows,
        "limits": limits,
    }


def our_maps(model: TagClassifier, given: Sequence[Batch]) -> list[Tensor]:
    """By the predicting step of the stage."""
    return [each.maps for batch in given for each in model.predict_step(batch, 0)]


def loop_maps(model: TagClassifier, backbone: Any, given: Sequence[Batch]) -> list[Tensor]:
    """As published code makes them: an image and its mirror image at one scale, scores of all classes, enlarged."""
    return [_loop(model, backbone, batch) for batch in given]


def _loop(model: TagClassifier, backbone: Any, batch: Batch) -> Tensor:
    image, kernel = batch["image"], model.linear.weight[:, :, None, None]
    size = (image.shape[-2], image.shape[-1])
    total = image.new_zeros(1, len(kernel), *size)
    for scale in dict.fromkeys(variant.scale for variant in model.variants):
        scaled = F.interpolate(image, model.trunk.image_size(size, scale), mode="bilinear", antialias=True)
        deep = backbone.features(torch.cat([scaled, scaled.flip(-1)]), with_global=False).maps[-1]
        straight, mirrored = model.trunk.enlarge(F.conv2d(deep, kernel).float(), size).split(1)
        total += straight + mirrored.flip(-1)
    maps = total[0][batch["tags"][0]].relu()
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(maps.dtype).tiny)


def _in_bf16(form: Callable[[], list[Tensor]], device: str) -> list[Tensor]:
    with torch.autocast(device, torch.bfloat16):
        return form()


def _difference(ours: Callable[[], list[Tensor]], loop: Callable[[], list[Tensor]]) -> float:
    """The largest, with all digits of float32."""
    with torch.backends.cudnn.flags(allow_tf32=False):
        return max(float((a - b).abs().max()) for a, b in zip(ours(), loop(), strict=True))


def page(found: Row) -> list[str]:
    """The Markdown page."""
    conditions = (
        f"{on_device(found['machine'])} {found['images']} photographs of {found['size'][0]} x {found['size'][1]} px; "
        "median of rounds in which all have their turn. A product of float32 matrices reaches "
        f"{found['limits']['gflop_s']:,.0f} GFLOP/s."
    )
    head = ["| | s an image | fastest - slowest | times as fast as the loop | times the floor of float32 |"]
    lines = [
        f"| {name} | {seconds:.4f} | {spread(found['rows'][name], found['images'])} | "
        f"{found['times_as_fast'][name]:.2f} | {found['rows'][name]['times_floor']:.2f} |"
        for name, seconds in found["seconds_an_image"].items()
    ]
    words = f"- Ours and the loop's maps, in 0..1, differ by {found['largest_difference']:.0e} at most (float32)."
    return [conditions, "", *head, "|---|" + "---:|" * 4, *lines, "", words]


if __name__ == "__main__":
    main(sys.argv[1:])
