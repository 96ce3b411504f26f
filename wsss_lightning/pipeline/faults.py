"""What goes wrong around a stage, not in it: a full disk, a store that vanishes, a process that is killed."""

import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from wsss_lightning.atomic import storage_fault
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.store import NODE, RECORD

_LOADER = "DataLoader worker (pid"  # torch names no class for it


@contextmanager
def explained(stage: str, folder: Path, upstream: Collection[Path] = ()) -> Iterator[None]:
    """Turn what the machine does to a stage into an `InputError`; what the stage itself raises stays as it is.

    `upstream`: folders of the finished stages that it reads.
    """
    try:
        yield
    except Exception as error:
        if sentence := _gone(stage, folder, upstream) or _sentence(error, stage, folder):
            raise InputError(sentence) from error
        raise
    if gone := _gone(stage, folder):
        raise InputError(gone)


def _sentence(error: Exception, stage: str, folder: Path) -> str | None:
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


def _gone(stage: str, folder: Path, upstream: Collection[Path] = ()) -> str | None:
    """What of the store was deleted: the stage's own folder, or, if that was made later, one that it reads."""
    lost = [folder] if not (folder / NODE).is_file() else [each for each in upstream if not (each / RECORD).is_file()]
    if not lost:
        return None
    return f"{lost[0]} was deleted while {stage} ran: nothing of {stage} is recorded; run it again."
