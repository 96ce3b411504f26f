"""The stage store on disk: records, locks and what a record says about the code that wrote it."""

import errno
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from wsss_lightning.atomic import with_nan
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.identity import with_current_targets
from wsss_lightning.pipeline.leases import elsewhere, leased
from wsss_lightning.pipeline.modules import module_path, sources, targets

RECORD = "stage.json"
NODE = "node.json"  # written when a stage starts
MODEL = "model.json"  # of a stage that leaves a trained model
COMMIT = ".commit"  # of a copy of the code, which is no checkout
_VERSION = re.compile(rb'^__version__ = "[^"]*"$', re.MULTILINE)
_STANDARD_LIBRARY = sysconfig.get_path("stdlib")
_PACKAGES = (
    *("wsss-lightning", "torch", "torchvision", "pytorch-lightning", "numpy"),
    *("pydensecrf2", "albumentations", "hydra-core", "torchmetrics", "timm", "scipy", "scikit-learn"),
    *("scikit-image", "opencv-python-headless", "higra", "pycocotools", "pillow", "safetensors", "joblib"),
)
# What of a record its readers rely on; entries of `_LATER` may be absent.
_NEEDED: dict[str, type] = {
    **dict.fromkeys(("stage", "key"), str),
    **dict.fromkeys(("node", "upstream", "bindings", "metrics", "card"), dict),
    **dict.fromkeys(("sources", "packages", "files", "hashes", "opened"), dict),
}
_LATER = {"bindings", "files", "hashes", "opened", "packages"}
_VALUES: dict[str, Any] = {
    "upstream": str,
    "metrics": (int, float, type(None)),
    "sources": str,
    "files": int,
    "hashes": str,
    "opened": dict,
}
_KINDS: dict[Any, str] = {str: "text", dict: "a mapping", int: "a whole number", (int, float, type(None)): "a number"}
_WITHOUT_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}
_CODE = ("wsss_lightning", "conf")

log = logging.getLogger(__name__)


def read_record(folder: Path) -> dict[str, Any] | None:
    """`stage.json` of a finished stage, or None; an unreadable one is an `InputError`."""
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise InputError(f"{path} is no JSON file: delete the folder to compute the stage again.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): give this account the right to.") from None
    if fault := _fault(record):
        raise InputError(f"{path} is no stage's record ({fault}): delete the folder to compute the stage again.")
    return {**record, "bindings": record.get("bindings", {}), "metrics": with_nan(record["metrics"])}


def _fault(record: Any) -> str | None:
    """What of a record has not the type that all its readers rely on."""
    if not isinstance(record, dict):
        return f"it holds {type(record).__name__}, not a mapping"
    for name, kind in _NEEDED.items():
        if not isinstance(record.get(name, kind() if name in _LATER else None), kind):
            return f"its {name} should be {_KINDS[kind]}"
    for name, kinds in _VALUES.items():
        if wrong := [key for key, value in record.get(name, {}).items() if not isinstance(value, kinds)]:
            return f"{name}.{wrong[0]} should be {_KINDS[kinds]}"
    if not isinstance(record["node"].get("_target_"), str):
        return "its node names no _target_"
    artifacts = {key: value for key, value in record.get("bindings", {}).items() if key.startswith("<artifact:")}
    if wrong := [key for key, value in artifacts.items() if not isinstance(value, str)]:
        return f"bindings.{wrong[0]} should be text"
    return None


@contextmanager
def locked(folder: Path) -> Iterator[int | None]:
    """Hold the lock of one key, and so do all forked children; whoever comes second waits here.

    On one machine that is the operating system's lock, among machines a claim (`leases`), which needs none. Yields
    the descriptor that other children must inherit to hold the lock, too.
    """
    path = _lock_path(folder)
    with ExitStack() as held:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = held.enter_context(_system_lock(path))
            held.enter_context(leased(_lease_path(folder), alone=descriptor is not None))
        except OSError as error:
            raise InputError(f"The store {folder.parent} cannot be written ({error}): set paths.root.") from error
        yield descriptor


@contextmanager
def _system_lock(path: Path) -> Iterator[int | None]:
    """Hold the operating system's lock; yields its descriptor, None where the file system knows no locks."""
    lock = FileLock(path)
    try:
        with suppress(Timeout):
            lock.acquire(timeout=0)
        if not lock.is_locked:
            log.info("waiting for the job that computes %s", path.stem)
            lock.acquire()
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
    except NotImplementedError:  # what filelock makes of one of these
        pass
    held = lock._context.lock_file_fd
    # A copy, since filelock closes its own descriptor in forked children.
    copy = None if held is None else os.dup(held)
    try:
        yield copy
    finally:
        lock.release()
        if copy is not None:
            os.close(copy)


def in_progress(folder: Path) -> bool:
    """Whether a job holds the lock of this key, on this machine or on another."""
    path = _lock_path(folder)
    if elsewhere(_lease_path(folder)):
        return True
    if not path.is_file():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a store that may only be read: nobody computes in it from here
        return False


def _lock_path(folder: Path) -> Path:
    return folder.parent / ".locks" / f"{folder.name}.lock"


def _lease_path(folder: Path) -> Path:
    return folder.parent / ".locks" / f"{folder.name}.lease"


@contextmanager
def replacing(folder: Path, *, anew: bool) -> Iterator[None]:
    """Keep what `folder` holds until the stage that is computed in it, `anew` or going on, has ended.

    It lies out of every reader's sight meanwhile, is put back when the stage fails, and outlives a killed process
    until a later one has ended the stage.
    """
    old = folder.parent / ".replaced" / folder.name
    if anew and not old.exists() and folder.exists():
        old.parent.mkdir(exist_ok=True)
        folder.rename(old)
    elif anew:
        shutil.rmtree(folder, ignore_errors=True)  # half done, by whatever code there was
    try:
        yield
    except BaseException:
        if anew and old.exists():
            shutil.rmtree(folder, ignore_errors=True)
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def source_hashes(node: object) -> dict[str, str]:
    """Hash of every file of ours, or of the user's, that the targets of a node import, by path in its package."""
    hashes: dict[str, str] = {}
    for module in sorted(target.rpartition(".")[0] for target in targets(node)):
        top = module_path(module.split(".")[0])
        if top is not None and top.suffix == ".py" and _is_watched(top):
            hashes |= {path.relative_to(top.parents[1]).as_posix(): _hash(path) for path in sources(module)}
    return dict(sorted(hashes.items()))


def _is_watched(top: Path) -> bool:
    own = Path(__file__).parents[1] / "__init__.py"
    installed = {"site-packages", "dist-packages"}.intersection(top.parts) or top.is_relative_to(_STANDARD_LIBRARY)
    return top == own or not installed


def changed_sources(record: dict[str, Any]) -> list[str]:
    """Files that a finished stage was computed with, its models' among them, and that read differently today."""
    before: dict[str, str] = record["sources"]
    tops = {name: module_path(name.split("/")[0]) for name in before}
    paths = {name: top.parents[1] / name for name, top in tops.items() if top is not None}
    now = {name: _hash(path) for name, path in paths.items() if path.is_file()}
    now |= source_hashes(with_current_targets(record["node"]))
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


@cache
def _hash(path: Path) -> str:
    # A release changes no result, so a package's version counts as the first one's.
    content = _VERSION.sub(b'__version__ = "0.1.0"', path.read_bytes())
    return hashlib.sha256(content).hexdigest()[:16]


def provenance() -> dict[str, Any]:
    """What a record says of the software and the machine; asked before a stage runs, since files change meanwhile."""
    return {
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "commit": commit(),
        "cores": os.cpu_count(),
        "processor": _processor(),
    }


@cache
def _processor() -> str:
    """The kind of processor: its vector units decide in which order sums are made."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # a module can come from elsewhere, as pydensecrf does from conda
        return None


def commit() -> str | None:
    """The checkout's commit, with a `+` where code or configuration were changed since; None outside a checkout.

    A table that was just saved is no such change.
    """
    return _commit(Path(__file__).resolve().parents[2])


@cache
def _commit(folder: Path) -> str | None:
    if (folder / COMMIT).is_file():
        return (folder / COMMIT).read_text() or None
    if not (folder / ".git").exists():
        return None
    try:
        head, status = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain", "--", *_CODE)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if status else "")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()
