"""What goes wrong around a stage, not in it: a full disk, a store that vanishes, a process that is killed."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsss_lightning.atomic import storage_fault
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.store import NODE

_LOADER = "DataLoader worker (pid"  # torch names no class for it


@contextmanager
def explained(stage: str, folder: Path) -> Iterator[None]:
    """Turn what the machine does to a stage into an `InputError`; what the stage itself raises stays as it is."""
    try:
        yield
    except Exception as error:
        if sentence := _sentence(error, stage, folder):
            raise InputError(sentence) from error
        raise
    if gone := _gone(stage, folder):
        raise InputError(gone)


def _sentence(error: Exception, stage: str, folder: Path) -> str | None:
    if gone := _gone(stage, folder):
        return gone
    if reason := storage_fault(error):
        return f"{stage} could not go on in {folder} ({reason}): make room or give the right to, then run it again."
    if _LOADER in str(error) or _connection_lost(error):
        return f"{stage}: a loading process was killed, most likely out of memory: run it again with runtime.workers=0."
    return None


def _connection_lost(error: Exception) -> bool:
    """Whether a process that was handing something over, a batch for example, is gone."""
    if not isinstance(error, ConnectionError | EOFError):
        return False
    frames = [frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1:] == ["multiprocessing.connection"]


def _gone(stage: str, folder: Path) -> str | None:
    if (folder / NODE).is_file():
        return None
    return f"{folder} was deleted while {stage} ran: nothing of it is recorded; run it again."
