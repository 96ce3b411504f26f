"""Devices of this machine that jobs share, one job on each at a time; asked without torch."""

import getpass
import logging
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

ALL = "WSSS_DEVICES"  # environment variable: those that jobs share, as CUDA_VISIBLE_DEVICES names them
WORKERS = "WSSS_WORKERS"  # environment variable: loading processes, whatever the machine
_MOST_WORKERS = 4
_SHOWN = "CUDA_VISIBLE_DEVICES"
_PROCESSOR = Path("/proc/cpuinfo")
_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # its words for instructions of bfloat16, on x86 and Arm
_LOOK = 0.5  # seconds between two looks for a free one

log = logging.getLogger(__name__)
_taken: list[str] = []  # by this process, which cannot change them once CUDA has started


def shared_devices() -> list[str]:
    """Names of the devices that jobs on this machine share; none on a machine without GPUs."""
    named = os.environ.get(ALL, os.environ.get(_SHOWN))
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    return [str(number) for number, _ in enumerate(sorted(Path("/proc/driver/nvidia/gpus").glob("*")))]


def remember() -> None:
    """Let child processes know them, whatever a launcher makes of `CUDA_VISIBLE_DEVICES`."""
    os.environ[ALL] = ",".join(shared_devices())


def jobs_at_once(devices: int | Sequence[int]) -> int:
    """How many jobs of so many devices fit on this machine; -1, one a core, without GPUs."""
    each = devices if isinstance(devices, int) else len(devices)
    return max(1, len(shared_devices()) // max(each, 1)) if shared_devices() else -1


def loading_workers(accelerator: str, devices: int | str | Sequence[int]) -> int:
    """Loading processes of each device, four at most: its share of the cores but one, of a fourth where cores compute.

    None on two or three cores that compute. `WSSS_WORKERS` overrides it.
    """
    if (told := os.environ.get(WORKERS, "")).isdigit():
        return int(told)
    shared = len(shared_devices())
    on_gpus = accelerator != "cpu" and shared > 0
    sharing = shared if devices in (-1, "-1", "auto") else devices if isinstance(devices, int) else len(devices)
    each = _cores() // (1 if on_gpus else 4) // max(sharing, 1)
    return min(max(each - on_gpus, 0), _MOST_WORKERS)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def emulates_bf16() -> bool:
    """Whether stages compute on a processor without instructions for bfloat16; False where that cannot be told."""
    words = set(_PROCESSOR.read_text().split()) if _PROCESSOR.is_file() else _BF16
    return not shared_devices() and not words & _BF16


def emulated(nodes: Iterable[dict[str, Any]]) -> str:
    """What to tell of stages whose trainer wants bfloat16 where it is emulated; empty where nothing is to be told."""
    asked = {str((node.get("trainer") or {}).get("precision")) for node in nodes}
    if not (slow := sorted(name for name in asked if "bf16" in name)) or not emulates_bf16():
        return ""
    return f"trainer.precision={slow[0]} takes many times as long as 32-true: this processor has no bf16 instructions"


def gpus_of_job(devices: int | Sequence[int]) -> int:
    """GPUs that Ray is asked for, for a job of so many devices; none where its cluster is this machine, without any."""
    each = devices if isinstance(devices, int) else len(devices)
    return each if shared_devices() or os.environ.get("RAY_ADDRESS") else 0


@contextmanager
def own(count: int) -> Iterator[list[str]]:
    """Have `count` of the machine's devices alone, and show no others to torch; waits until so many are free.

    Nothing is done where none are wanted or there are fewer. A process that has had some waits for the same ones.
    """
    remember()
    known = shared_devices()
    if not count or len(known) < count:
        yield known
        return
    with ExitStack() as held:
        chosen = _free(held, _taken or known, count)
        _taken[:] = chosen
        os.environ[_SHOWN] = ",".join(chosen)
        log.info("on device %s", os.environ[_SHOWN])
        yield chosen


def _free(held: ExitStack, names: Sequence[str], count: int) -> list[str]:
    folder = Path(tempfile.gettempdir()) / f"wsss-devices-{getpass.getuser()}"
    folder.mkdir(exist_ok=True)
    told = False
    while True:
        with ExitStack() as own:
            chosen: list[str] = []
            for name in names:
                lock = FileLock(folder / f"{name.replace('/', '-')}.lock")
                try:
                    lock.acquire(timeout=0)
                except Timeout:
                    continue
                own.callback(lock.release)
                chosen.append(name)
                if len(chosen) == count:
                    held.push(own.pop_all())
                    return chosen
        if not told:
            told = True
            log.info("waiting for %d free of the devices %s", count, ",".join(names))
        time.sleep(_LOOK)
