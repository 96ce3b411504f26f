"""Seconds a step of the trainings in which all layers learn, by Lightning, and what precision and layout bring.

python experiments/speed/training.py [--backbone NAME] [--steps N] [--out D] [--size PX] [--batch N]

Random weights, images and masks, which no time depends on; nothing is loaded. Measures on the GPU where there is one.
Writes training.{json,md}; experiments/gpu.sh shares its minutes out by it.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from measurement import Row, machine, on_device, processor_of
from networks import NAMES, backbone, devices
from torch.utils.data import DataLoader

from wsss_lightning.allocator import keep_freed_memory
from wsss_lightning.methods.coseg.network import CosegNetwork
from wsss_lightning.methods.coseg.segmenter import CosegModule, mask_loss
from wsss_lightning.methods.patches.module import PatchModule
from wsss_lightning.methods.patches.network import PatchNetwork
from wsss_lightning.methods.priors.localization import LocalizationModule
from wsss_lightning.methods.priors.localization_network import localization_resnet
from wsss_lightning.methods.priors.segmenter import SegmenterModule, pixels
from wsss_lightning.nn.deeplab import deeplab_resnet
from wsss_lightning.nn.tag_losses import softmax_cross_entropy
from wsss_lightning.ops.pooling import pool_log_sum_exp
from wsss_lightning.stages.fit import quiet
from wsss_lightning.stages.io import write_json
from wsss_lightning.stages.network_forms import ChannelsLast, Compiled

LABELS = len(NAMES) + 1
_RATES = {"rates": [1e-4], "steps": [10**6]}


@dataclass(frozen=True)
class Training:
    """A module and the size (batch, height, width) of what it learns from."""

    make: Callable[[str], Any]
    size: tuple[int, int, int]


@dataclass(frozen=True)
class Form:
    """How a training is run."""

    precision: str = "32-true"
    channels_last: bool = False
    compiled: bool = False


FORMS = {
    "float32": Form(),
    "bf16": Form("bf16-mixed"),
    "bf16, channels last": Form("bf16-mixed", channels_last=True),
    "bf16, compiled": Form("bf16-mixed", compiled=True),
}


def main(arguments: list[str]) -> None:
    """Measure and write; as `wsss` does, tell the allocator to keep what is freed."""
    options = _options(arguments)
    keep_freed_memory()
    made, compiled = trainings(options.size, options.batch), options.compiled or devices()[-1] == "cuda"
    made = {name: each for name, each in made.items() if name in (options.only or made)}
    found = compare(made, options.backbone, steps=options.steps, compiled=compiled)
    chosen = {name: getattr(options, name) for name in ("backbone", "steps", "size", "batch")}
    words = [f"--{name} {value}" for name, value in chosen.items() if value is not None]
    words += [f"--only {' '.join(options.only)}"] if options.only else []
    words += ["--compiled"] if options.compiled else []
    found["machine"] = machine(" ".join(["python experiments/speed/training.py", *words]))
    write_json(options.out / "training.json", found)
    (options.out / "training.md").write_text("\n".join(page(found)) + "\n")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Steps of the trainings in which all layers learn.")
    parser.add_argument("--backbone", default="resnet50", choices=["resnet18", "resnet50"])
    parser.add_argument("--steps", type=int, default=30, help="of each training, half of them to warm up")
    parser.add_argument("--size", type=int, help="px of all images; default: the papers'")
    parser.add_argument("--batch", type=int, help="images; default: the papers'")
    parser.add_argument("--only", nargs="+", help="these trainings")
    parser.add_argument("--compiled", action="store_true", help="on a CPU, too: minutes of a C++ compiler")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args(arguments)


def trainings(side: int | None, batch: int | None) -> dict[str, Training]:
    """All of them at the papers' sizes, unless others are given; images of 256 px are the segmenter's own."""
    made = {
        "localization": Training(_localization, (15, 224, 224)),
        "segmenter": Training(_segmenter, (1, 192, 256)),
        "generator": Training(partial(_coseg, branch=None), (16, 320, 320)),
        "final": Training(partial(_coseg, branch="added"), (16, 320, 320)),
        "patches": Training(_patches, (9, 95, 95)),
    }
    return {
        name: Training(each.make, (batch or each.size[0], side or each.size[1], side or each.size[2]))
        if name != "patches"
        else each
        for name, each in made.items()
    }


def _localization(name: str) -> LocalizationModule:
    return LocalizationModule(
        backbone=backbone(name, None),
        network=localization_resnet,
        num_classes=len(NAMES),
        loss=softmax_cross_entropy,
        **_RATES,
    )


def _segmenter(name: str) -> SegmenterModule:
    network, loss = partial(deeplab_resnet, kernel=3, dilation=12), partial(pixels, sharpness=5.0)
    return SegmenterModule(backbone=backbone(name, None), network=network, class_names=NAMES, loss=loss, **_RATES)


def _coseg(name: str, *, branch: Any) -> CosegModule:
    return CosegModule(
        backbone=backbone(name, None),
        network=partial(CosegNetwork, hidden=512, dilation=12, dropout=0.5, branch_hidden=1024),
        branch=branch,
        num_classes=len(NAMES),
        loss=partial(mask_loss, balance=float(branch is not None), present="mask"),
        **_RATES,
    )


def _patches(_: str) -> PatchModule:
    network = partial(PatchNetwork, filters=[40, 80, 160, 320], kernels=[8, 3, 5], pools=[4, 4], bounded=True)
    return PatchModule(network=network, pooling=partial(pool_log_sum_exp, sharpness=1.0), rate=1e-3, target=NAMES[0])


def batch_of(size: tuple[int, int, int]) -> dict[str, Any]:
    """Noise under all names that a training step reads."""
    count, height, width = size
    draw = torch.Generator().manual_seed(0)
    image = torch.randn(count, 3, height, width, generator=draw)
    return {
        "image": image,
        "tags": torch.rand(count, len(NAMES), generator=draw) > 0.5,
        "mask": torch.randint(LABELS, (count, height, width), generator=draw),
        "share": torch.tensor(1.0),
        "patches": image,
        "positive": torch.tensor([True]),
    }


def compare(made: dict[str, Training], name: str, *, steps: int, compiled: bool = False) -> Row:
    """Seconds a step by training and form; the refusal of a training whose layers have no deterministic form here."""
    device = devices()[-1]
    rows, refusals = {}, {}
    forms = {name: form for name, form in FORMS.items() if compiled or not form.compiled}
    for training, each in made.items():
        batch = batch_of(each.size)
        rows[training] = {form: _seconds(each.make(name), batch, how, steps, device) for form, how in forms.items()}
        refusals[training] = _refusal(each.make(name), batch, device)
    chosen = {training: row["float32" if training == "patches" else "bf16"] for training, row in rows.items()}
    sizes = {training: each.size for training, each in made.items()}
    return {"seconds_a_step": chosen, "rows": rows, "refusals": refusals, "sizes": sizes, "steps": steps}


class _Stamps(pl.Callback):
    """When each step ended, by the processor where it computes; a GPU is waited for."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.clock = processor_of("cuda" if torch.cuda.is_available() else "cpu")

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any) -> None:  # noqa: ARG002
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append(self.clock())


def _seconds(model: Any, batch: dict[str, Any], form: Form, steps: int, device: str) -> float | None:
    """The median step of the second half; None for a form that is not tried on this device, or fails."""
    stamps = _Stamps()
    forms = [*([ChannelsLast()] if form.channels_last else []), *([Compiled()] if form.compiled else [])]
    try:
        _fit(model, batch, steps, device, precision=form.precision, callbacks=[stamps, *forms])
    except (RuntimeError, AssertionError) as error:  # the second of compiled code that torch makes wrong
        print(f"{type(model).__name__}, {form}: {error}", file=sys.stderr)
        return None
    gaps = [after - before for before, after in zip(stamps.times, stamps.times[1:], strict=False)]
    return statistics.median(gaps[len(gaps) // 2 :])


def _refusal(model: Any, batch: dict[str, Any], device: str) -> str | None:
    try:
        _fit(model, batch, 1, device, precision="32-true", callbacks=[], deterministic=True)
    except RuntimeError as error:
        return str(error).partition(".")[0]
    finally:
        torch.use_deterministic_algorithms(False)
    return None


def _fit(
    model: Any,
    batch: dict[str, Any],
    steps: int,
    device: str,
    *,
    precision: Any,
    callbacks: Sequence[pl.Callback],
    deterministic: bool = False,
) -> None:
    with quiet():
        pl.Trainer(
            accelerator="gpu" if device == "cuda" else "cpu",
            devices=1,
            precision=precision,
            max_steps=steps,
            max_epochs=1,
            callbacks=list(callbacks),
            deterministic=deterministic,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(model, DataLoader([batch] * steps, batch_size=None))  # type: ignore[arg-type]


def page(found: Row) -> list[str]:
    """The Markdown page."""
    conditions = (
        f"{on_device(found['machine'])} Seconds a step, median of {found['steps'] // 2}, forward, backward and "
        "optimiser by Lightning; images lie in memory."
    )
    forms = [*next(iter(found["rows"].values()))]
    head = ["| training | batch | " + " | ".join(forms) + " |", "|---|---|" + "---:|" * len(forms)]
    lines = [
        f"| {name} | {' x '.join(map(str, found['sizes'][name]))} | "
        + " | ".join("-" if value is None else f"{value:.4f}" for value in row.values())
        + " |"
        for name, row in found["rows"].items()
    ]
    refused = [f"- {name}, deterministic: {why}." for name, why in found["refusals"].items() if why]
    return [conditions, "", *head, *lines, "", *(refused or ["- All of them have a deterministic form here."])]


if __name__ == "__main__":
    main(sys.argv[1:])
