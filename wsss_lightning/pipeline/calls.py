"""Calling what a stage's node describes: in this process, or in a process group of its own."""

import json
import os
import platform
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate

from wsss_lightning.atomic import with_nan, write_json
from wsss_lightning.errors import InputError
from wsss_lightning.opened import recorded
from wsss_lightning.pipeline.identity import TRAINS
from wsss_lightning.pipeline.memory import peak_memory, reset_peak_memory
from wsss_lightning.pipeline.signatures import constant_beside
from wsss_lightning.pipeline.teams import call_together, ended, start

# What stages give Lightning's trainer; a value of the user's would have no effect.
_OURS = {
    *("logger", "default_root_dir", "use_distributed_sampler", "num_sanity_val_steps", "enable_progress_bar"),
    *("enable_model_summary", "enable_checkpointing", "barebones", "limit_predict_batches", "limit_test_batches"),
    "profiler",
}
_CHOICES = {
    "accelerator": ("auto", "cpu", "gpu", "cuda", "mps", "tpu"),  # what Lightning itself has
    # Each process has the whole network, and the stage starts the processes.
    "strategy": ("auto", "ddp", "ddp_find_unused_parameters_true", "ddp_find_unused_parameters_false"),
}

CallOutcome = dict[str, Any]  # metrics, opened, peak_memory_bytes, device, threads


def arguments(node: dict[str, Any]) -> dict[str, Any]:
    """What of a node reaches the stage: `revision` only makes another key."""
    return {name: value for name, value in node.items() if name != "revision"}


def processes(node: dict[str, Any]) -> int:
    """How many processes a stage runs in: one for every device that its trainer asks for, on all machines."""
    return devices(node) * machines(node)


def devices(node: dict[str, Any]) -> int:
    """How many devices of each machine a stage's trainer asks for."""
    asked = (node.get("trainer") or {}).get("devices", 1)
    count = len(asked) if isinstance(asked, list) else asked
    if not isinstance(count, int) or count < 1:
        raise InputError(f"trainer.devices={asked}: give the number of devices of one machine, 1 or more.")
    return count


def machines(node: dict[str, Any]) -> int:
    """How many machines a stage's trainer asks for."""
    count = (node.get("trainer") or {}).get("num_nodes", 1)
    if not isinstance(count, int) or count < 1:
        raise InputError(f"trainer.num_nodes={count}: give the number of machines, 1 or more.")
    return count


def check_trainer(node: dict[str, Any], *, where: str) -> None:
    """Raise `InputError` for what a stage decides itself, unknown devices, fewer images in a batch than devices.

    A stage whose module says `SHARES = "classes"` shares those among devices, and has one image a step.
    """
    trainer = node.get("trainer") or {}
    if ours := sorted(_OURS & trainer.keys()):
        raise InputError(f"{where}.trainer.{ours[0]} is decided by the stage: leave it out.")
    for name, choices in _CHOICES.items():
        if not isinstance(chosen := trainer.get(name, "auto"), dict) and chosen not in choices:
            raise InputError(f"{where}.trainer.{name}={chosen}: choose one of {', '.join(choices)}.")
    by_class = constant_beside(node["_target_"], "SHARES") == "classes"
    if by_class and trainer.get("accumulate_grad_batches", 1) != 1:
        raise InputError(f"{where} learns from one image a step: set {where}.trainer.accumulate_grad_batches=1.")
    count, size = processes(node), node.get("batch_size", _of_data(node, "batch_size"))
    if TRAINS in node and not by_class and isinstance(size, int) and size < count:
        alone = " ".join(f"{where}.trainer.{name}=1" for name in ("num_nodes", "devices") if trainer.get(name, 1) != 1)
        raise InputError(f"{where}: a batch of {size} cannot be shared by {count} devices: enlarge it, or set {alone}.")


def _of_data(node: dict[str, Any], name: str) -> Any:
    data = node.get("data")
    return data.get(name) if isinstance(data, dict) else None  # what is no description is told by its kind


def check_image_size(node: dict[str, Any], *, where: str) -> None:
    """Raise `InputError` for images that are smaller than what the backbone's global vector is made of.

    The module of a backbone says so, `SMALLEST = {"name": px a side}`.
    """
    size, backbone = _of_data(node, "size"), node.get("backbone") or {}
    sides = [side for side in (size if isinstance(size, list) else [size]) if isinstance(side, int)]
    module, _, name = str(backbone.get("_target_", "")).rpartition(".")
    least = (constant_beside(f"{module}.{name}", "SMALLEST") or {}).get(name) if module else None
    if node.get("global_features") and least and sides and min(sides) < least:
        raise InputError(
            f"{where}: data.size={size} is too small for {name}, whose fully connected layers see {least} x {least} "
            f"px: set 'data.size=[{least},{least}]' or more."
        )


def call(node: dict[str, Any]) -> CallOutcome:
    """Call a stage in this process."""
    reset_peak_memory()
    try:
        with recorded() as opened:
            metrics = instantiate(node, _convert_="all") or {}
    except InstantiationException as error:
        # Hydra wraps what a constructor or a stage raises; the wrapped error says more.
        raise error.__cause__ or error from None
    numbers = {name: float(value) for name, value in metrics.items()}
    masks: dict[str, Any] = {"ground_truth_masks": opened.ground_truth()}
    if opened.imports:
        masks["imported"] = opened.imports
    used = {"peak_memory_bytes": peak_memory(), "device": _device(), "threads": _torch_threads()}
    return {"metrics": numbers, "opened": masks, **used}


def call_group(node: dict[str, Any], *, folder: Path, lock: int | None) -> CallOutcome:
    """Call a stage in a process for every device, which end when this one does; the outcome is that of the first.

    Lightning's own relaunch repeats the command line, which under `-m` is the whole sweep, in every child. The
    launcher inherits the descriptor `lock`: as long as it lives, the key stays locked.
    """
    path, answer = folder / "request.json", folder / "answer.json"
    answer.unlink(missing_ok=True)
    request = {"node": node, "answer": str(answer), "processes": devices(node)}
    descriptors = () if lock is None else (lock,)
    if machines(node) == 1:
        write_json(path, request)
        code = ended(start(path, number=0, pass_fds=descriptors))
    else:
        code = call_together(request, path=path, machines=machines(node), pass_fds=descriptors)
    outcome: CallOutcome = json.loads(answer.read_text()) if answer.is_file() else {}
    if "error" in outcome:
        raise InputError(outcome["error"])
    if code != 0 or not outcome:
        count = processes(node)
        raise InputError(f"The {count} processes of {folder.name} ended with status {code}: see their output above.")
    path.unlink()
    answer.unlink()
    return {**outcome, "metrics": with_nan(outcome["metrics"])}


def threads(node: dict[str, Any], *, count: int) -> int | None:
    """How many threads torch will compute with in each of `count` processes; None for a stage without torch."""
    if count > 1:
        return int(os.environ.get("OMP_NUM_THREADS", "1"))  # torch.distributed.run gives each a single one by itself
    with suppress(Exception):  # whatever is wrong with the target is told when it is called
        get_object(node["_target_"])
    return _torch_threads()


def _torch_threads() -> int | None:
    torch = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())


def _device() -> str:
    torch = sys.modules.get("torch")  # a stage that has not imported torch has used no accelerator
    if torch is not None and torch.cuda.is_initialized():
        return str(torch.cuda.get_device_name())
    return f"CPU, {platform.machine()}"
