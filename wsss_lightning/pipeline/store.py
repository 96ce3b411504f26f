"""The stage store on disk: records, locks and what a record says about the code that wrote it."""

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.signatures import module_path, sources, targets

RECORD = "stage.json"
_PACKAGES = ("torch", "torchvision", "pytorch-lightning", "numpy", "pydensecrf2", "albumentations", "hydra-core")


def read_record(folder: Path) -> dict[str, Any] | None:
    """`stage.json` of a finished stage, or None; an unreadable one is an `InputError`."""
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text())
    except ValueError:
        raise InputError(f"{path} is no JSON file: delete the folder to compute the stage again.") from None
    return record


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON under a temporary name, then rename: the file is whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(value, indent=2, sort_keys=False) + "\n")
    temporary.replace(path)


@contextmanager
def locked(folder: Path) -> Iterator[FileLock]:
    """Hold the lock of one key; whoever comes second waits here and then finds the stage done."""
    path = folder.parent / ".locks" / f"{folder.name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    with lock:
        yield lock


def source_hashes(node: object) -> dict[str, str]:
    """Hash of every file that the targets of a node import from their own package, by path inside it."""
    found: dict[str, str] = {}
    for target in sorted(targets(node)):
        module = target.rpartition(".")[0]
        top = module_path(module.split(".")[0])
        if top is not None and "site-packages" not in top.parts:
            found |= {str(path.relative_to(top.parents[1])): _hash(path) for path in sources(module)}
    return dict(sorted(found.items()))


def changed_sources(record: dict[str, Any]) -> list[str]:
    """Files that a finished stage was computed with and that read differently today."""
    now = source_hashes(record["node"])
    before: dict[str, str] = record["sources"]
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


@cache
def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def provenance() -> dict[str, Any]:
    """Versions, commit and device: what a record says about where a result came from."""
    return {
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "commit": _commit(),
        "device": _device(),
        "cores": os.cpu_count(),
    }


@cache
def _commit() -> str | None:
    """The checkout's commit, with a `+` where files were changed since; None outside a checkout."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True)
        status = subprocess.run(["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if status.stdout.strip() else "")


def _device() -> str:
    torch = sys.modules.get("torch")  # a stage that has not imported torch has used no accelerator
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return f"CPU, {platform.machine()}"
