"""Atomic writes: a file under its own name is whole; what is being written lies where no reader looks."""

import errno
import json
import math
import os
import re
import shutil
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, TypeVar

from wsss_lightning.errors import InputError

Name = TypeVar("Name")

_HIDDEN = ".writing-"  # beginning of the name of a folder that holds one file while it is written
_ONCE_HIDDEN = re.compile(r"\..+\.\d+\.\w+")  # the name of such a file before there were folders for them
_NOT_OURS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE}
# What libraries that hand on the text alone say of them.
_TEXTS = ("No space left on device", "Disk quota exceeded", "Read-only file system", "file write failed")


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file in a hidden folder beside `path`, then move it there; the folder is made if need be.

    The file has its own name while it is written, too, and nothing of it is left when `write` fails; what a killed
    process leaves, `sweep` deletes.

    Raises:
        InputError: there is no room, or no right to write.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = Path(mkdtemp(prefix=_HIDDEN, dir=path.parent))
        try:
            write(hidden / path.name)
            _open_to_others(hidden / path.name)
            (hidden / path.name).replace(path)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
    except Exception as error:
        if (reason := storage_fault(error)) is None:
            raise
        raise InputError(f"{path} cannot be written ({reason}): make room or give the right to, then go on.") from error


def _open_to_others(file: Path) -> None:
    """Give a file the permissions that the umask leaves; safetensors keeps what it writes to the owner."""
    if file.is_file() and not file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        neighbour = file.with_name(f"{file.name}.new")
        neighbour.touch()
        file.chmod(stat.S_IMODE(neighbour.stat().st_mode))


def storage_fault(error: Exception) -> str | None:
    """What is wrong with the disk, or with the rights to it, if that is what an error comes from."""
    if isinstance(error, InputError):
        return None
    if isinstance(error, OSError) and error.errno in _NOT_OURS:
        return error.strerror or str(error)
    return next((text for text in _TEXTS if text in str(error)), None)


def sweep(folder: Path) -> None:
    """Delete what killed processes were writing below `folder`, in which nobody may be writing."""
    for place, folders, files in os.walk(folder):
        for name in [name for name in folders if name.startswith(_HIDDEN)]:
            shutil.rmtree(Path(place, name), ignore_errors=True)
            folders.remove(name)
        for name in filter(_ONCE_HIDDEN.fullmatch, files):
            Path(place, name).unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write strict JSON: null in the place of numbers that are not finite, of which JSON has none."""
    text = json.dumps(_strict(value), indent=2, allow_nan=False) + "\n"
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _strict(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _strict(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping that a JSON file holds; empty where there is no such file, or a damaged one."""
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text(encoding="utf-8"))
        return content if isinstance(content, dict) else {}
    return {}


def with_nan(numbers: Mapping[Name, float | None]) -> dict[Name, float]:
    """Numbers that `write_json` wrote, nan again where it has null."""
    return {name: math.nan if value is None else float(value) for name, value in numbers.items()}
