"""Stages without torch for the pipeline's tests, reached as `_target_: fake_stages.write`."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsss_lightning import backends
from wsss_lightning.atomic import replace_file
from wsss_lightning.errors import InputError
from wsss_lightning.lifetime import end_with_parent
from wsss_lightning.opened import note_masks, note_truth
from wsss_lightning.parallel import in_parallel

if TYPE_CHECKING:
    from wsss_lightning.pipeline import Plan

MakePlan = Callable[..., "Plan"]  # the fixture of tests/pipeline/conftest.py


def stage(name: str, **parameters: Any) -> dict[str, Any]:
    """Node of a stage of this file."""
    return {"_target_": f"fake_stages.{name}", "out_dir": "${out_dir:}", **parameters}


def write(
    *,
    out_dir: str,
    value: Any = 0,
    previous: Any = None,
    data: Any = None,
    weights: str | None = None,
    workers: Any = None,
    loggers: Any = None,
) -> dict[str, float]:
    """Write what it was given; `calls` has a line for every call."""
    given = {"value": value, "previous": previous, "data": data, "weights": weights, "workers": workers}
    (Path(out_dir) / "given.json").write_text(json.dumps({**given, "loggers": loggers, "out_dir": out_dir}))
    _count(out_dir)
    return {"value": float(value) if isinstance(value, int | float) else 0.0}


def fail_without(*, out_dir: str, fuse: str, previous: Any = None) -> dict[str, float]:
    """Write five items one by one, but break down after the second as long as there is no file `fuse`."""
    _count(out_dir)
    missing = [number for number in range(5) if not (Path(out_dir) / f"item{number}").exists()]
    for number in missing:
        if number == 2 and not Path(fuse).exists():
            raise RuntimeError("broke down")
        (Path(out_dir) / f"item{number}").write_text("")
    return {"written": len(missing)}


def vanish(*, out_dir: str, previous: Any = None, fails: bool = False, upstream: bool = False) -> dict[str, float]:
    """Have the whole store, or what lies `upstream`, deleted, write on, and fail or not."""
    shutil.rmtree(str(previous) if upstream else Path(out_dir).parent)
    replace_file(Path(out_dir) / "item", lambda path: path.write_text("whole"))
    if fails:
        raise FileNotFoundError("what was there before")
    return {}


def refused_by_disk(*, out_dir: str, number: int, text: str | None = None) -> dict[str, float]:
    """Meet a disk that is full, or may only be read: an error with a number, or a library's with a text."""
    error = OSError(number, os.strerror(number)) if text is None else RuntimeError(text)

    def fail(path: Path) -> None:
        path.write_text("half")
        raise error

    replace_file(Path(out_dir) / "item", fail)
    return {}


def work_until_killed(*, out_dir: str, processes: int) -> dict[str, float]:
    """Have one of several joblib workers killed, as the kernel does for want of memory."""
    for _ in in_parallel(_killed, range(4), processes=processes, description="items", progress=False):
        pass
    return {}


def _killed(item: int) -> None:
    if multiprocessing.parent_process():
        os.kill(os.getpid(), signal.SIGKILL)


def write_images(
    *, out_dir: str, data: Any, split: str | None = None, splits: Sequence[str] | None = None
) -> dict[str, float]:
    """Write a file for every image."""
    for record in data.records(split):
        (Path(out_dir) / record.image_id).write_text("x" * 100)
    return {}


def backend(*, out_dir: str) -> None:
    """Tell where per-image work would run."""
    (Path(out_dir) / "backend").write_text(backends._current.get())


def square_into(number: int, *, folder: Path) -> tuple[int, int]:
    """The square, and who computed it; a file has a dot for every call."""
    note_masks([folder / str(number)])
    with (folder / str(number)).open("a") as file:
        file.write(".")
    if number < 0:
        raise InputError(f"{number} is negative.")
    return number * number, os.getpid()


def nan(*, out_dir: str) -> dict[str, float]:
    """A class that is in no image."""
    return {"value": float("nan")}


def show_devices(*, out_dir: str, row: int, trainer: Any, at_once: int = 1) -> None:
    """Leave what device this is, once so many jobs of the sweep have come so far."""
    (Path(out_dir) / "devices").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
    deadline = time.monotonic() + 60
    while len([*Path(out_dir).parent.glob("*/devices")]) < at_once and time.monotonic() < deadline:
        time.sleep(0.05)


def slow(*, out_dir: str, seconds: float) -> dict[str, float]:
    """Take some time."""
    _count(out_dir)
    time.sleep(seconds)
    return {"calls": float(len((Path(out_dir) / "calls").read_text().splitlines()))}


def refuse(*, out_dir: str, value: int, previous: str | None = None) -> dict[str, float]:
    """Refuse odd values."""
    _count(out_dir)
    if value % 2:
        raise InputError(f"value={value} is odd: give an even one.")
    return {"value": float(value)}


def part_sizes(*, out_dir: str, parts: Sequence[Part], scale: int = 1) -> dict[str, float]:
    """Take nested objects."""
    return {"size": float(scale * sum(part.size for part in parts))}


@dataclass
class Part:
    """A nested object."""

    size: int
    name: str = ""


class BigPart(Part):
    """A nested object that inherits its parameters."""


def open_truth(
    *,
    out_dir: str,
    checkpoint_every: Any = None,
    trainer: Any = None,
    previous: Any = None,
    train: int = 0,
    val: int = 0,
) -> None:
    """Open as many masks of either split; they lie in the store, beside a model."""
    (Path(out_dir) / "model.json").write_text('{"module": {}}')
    for split, count in (("train", train), ("val", val)):
        paths = [Path(out_dir) / f"{split}{number}.png" for number in range(5)]
        for path in paths:
            path.touch()
        note_truth(split, paths)
        note_masks(paths[:count])


def ranks(
    *, out_dir: str, trainer: Mapping[str, Any], refused_by: int | None = None, previous: str | None = None
) -> dict[str, float]:
    """Leave a file with the process id per process of the group."""
    rank, world = os.environ["RANK"], os.environ["WORLD_SIZE"]
    if refused_by == int(rank):
        raise InputError(f"Process {rank} refuses: ask another.")
    (Path(out_dir) / f"rank{rank}").write_text(str(os.getpid()))
    return {"world": float(world), "rank": float(rank)}


def descend(*, out_dir: str, trainer: Mapping[str, Any]) -> dict[str, float]:
    """Fit a line by the mean gradient of all processes, each with points of its own."""
    from datetime import timedelta

    import torch
    from torch import distributed

    distributed.init_process_group("gloo", timeout=timedelta(seconds=60))
    rank, world = distributed.get_rank(), distributed.get_world_size()
    x = torch.linspace(0, 1, 10)[rank::world].double()
    weights = torch.zeros(2, dtype=torch.float64)
    for _ in range(50):
        residual = weights[0] * x + weights[1] - (3 * x + 1)
        gradient = torch.stack([(residual * x).mean(), residual.mean()])
        distributed.all_reduce(gradient)
        weights -= 0.5 * gradient / world
    distributed.barrier()
    distributed.destroy_process_group()
    return {"slope": float(weights[0]), "offset": float(weights[1]), "world": float(world)}


def ranks_forever(*, out_dir: str, trainer: Mapping[str, Any], unless: str | None = None) -> dict[str, float]:
    """As `ranks`, and never end unless the store has a file `unless`."""
    world = ranks(out_dir=out_dir, trainer=trainer)
    if unless is None or not (Path(out_dir).parent / unless).exists():
        signal.pause()
    return world


def fork_and_wait(*, out_dir: str, seconds: float) -> None:
    """Have a forked child that outlives a killed parent by `seconds`."""
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(seconds,))
    child.start()
    (Path(out_dir) / "child").write_text(str(child.pid))
    signal.pause()


def wait_as_worker(file: str) -> None:
    """Leave the process id in a file and wait for the end of the parent."""
    end_with_parent()
    Path(file).write_text(str(os.getpid()))
    signal.pause()


def _count(out_dir: str) -> None:
    with (Path(out_dir) / "calls").open("a") as stream:
        stream.write("called\n")


def forget_files(store: Path) -> None:
    """Let records of a store list no files, so that some may be deleted that later stages must not need."""
    for record in store.glob("*/stage.json"):
        content = json.loads(record.read_text())
        record.write_text(
            json.dumps({name: value for name, value in content.items() if name not in {"files", "hashes"}})
        )
