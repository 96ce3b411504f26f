"""A claim on a key that machines which share a store respect; it needs no lock of a network's file system.

What is assumed of the file system: a file is made exclusively (O_EXCL) and moved over another in one piece, and
whoever opens a file sees what another machine has flushed (NFS 3 and 4, Lustre, GPFS, CephFS). Clocks need not agree.
"""

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

EVERY = 10.0  # seconds between two signs of life
LOST_AFTER = 60.0  # seconds without one, after which a holder counts as dead
_LOOK = 0.5  # seconds between two looks at another's claim

log = logging.getLogger(__name__)


@contextmanager
def leased(path: Path, *, alone: bool) -> Iterator[None]:
    """Hold the claim at `path`; wait while another machine shows that it lives.

    `alone`: no other process of this machine can hold it, as the caller has the operating system's lock: what such a
    process left behind is taken over at once.
    """
    own = {"machine": _machine(), "processes": _processes(), "process": os.getpid()}
    own |= {"host": socket.gethostname(), "id": uuid.uuid4().hex}
    _acquire(path, own, alone=alone)
    ended = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, own, ended), daemon=True)
    beating.start()
    try:
        yield
    finally:
        ended.set()
        beating.join()
        if _held(path, own):
            path.unlink(missing_ok=True)


def elsewhere(path: Path) -> bool:
    """Whether a process of another machine holds the claim, as far as the clocks of both tell."""
    other = _read(path)
    if not other or other.get("machine") == _machine():
        return False
    with suppress(OSError):
        return time.time() - path.stat().st_mtime < LOST_AFTER
    return False


class Signs:
    """Signs of life of whoever holds a claim, by the clock of this machine."""

    def __init__(self, path: Path) -> None:
        self.path, self.text, self.since, self.heard = path, "", 0.0, False

    def state(self) -> Literal["gone", "alive", "silent"]:
        """`gone`: nobody holds it; `silent`: somebody did who is dead; `heard`: it changed since the first look."""
        text = _text(self.path)
        if text is None:
            self.text = ""
            return "gone"
        if text != self.text:
            self.heard, self.text, self.since = bool(self.text) or self.heard, text, time.monotonic()
        silent = time.monotonic() - self.since > LOST_AFTER or _is_dead(_parsed(text))
        return "silent" if silent else "alive"


def _acquire(path: Path, own: dict[str, Any], *, alone: bool) -> None:
    signs, told = Signs(path), False
    while not _made(path, own):
        state = signs.state()
        if state == "gone":  # given back just now
            continue
        other = _parsed(signs.text)
        if state == "silent" or (alone and other.get("machine") == _machine()):
            long = time.monotonic() - signs.since > 2 * LOST_AFTER
            if _taken_over(path, own, signs.text, guarded_long=long):
                return
        elif not told:
            told = True
            log.info("waiting for %s, which computes %s", other.get("host", "another machine"), path.stem)
        time.sleep(_LOOK)


def _made(path: Path, own: dict[str, Any]) -> bool:
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    with os.fdopen(file, "w") as stream:
        stream.write(_content(own, beat=0))
    return True


def _taken_over(path: Path, own: dict[str, Any], expected: str, *, guarded_long: bool) -> bool:
    """Put one's own claim in the place of one whose content is still `expected`; of several who want to, one may."""
    guard = path.with_suffix(".takeover")
    try:
        guard.mkdir()
    except FileExistsError:
        if guarded_long:  # by one that was killed meanwhile
            with suppress(OSError):
                guard.rmdir()
        return False
    try:
        if _text(path) != expected:
            return False
        new = path.with_name(f"{path.name}-{own['id']}")
        new.write_text(_content(own, beat=0))
        new.replace(path)
        return True
    finally:
        with suppress(OSError):
            guard.rmdir()


def _beat(path: Path, own: dict[str, Any], ended: threading.Event) -> None:
    """Show signs of life in the file that was made, not in one that another has put in its place."""
    with suppress(OSError), path.open("r+") as stream:
        for beat in range(1, 10**9):
            if ended.wait(EVERY):
                return
            if not _held(path, own):
                break
            stream.seek(0)
            stream.write(_content(own, beat=beat))
            stream.flush()
            os.fsync(stream.fileno())
    if (other := _read(path)) is None:
        log.error("%s was deleted: another job may compute %s, too; both write the same bits", path, path.stem)
    else:
        log.error(
            "%s heard nothing of this process for %.0f s and computes %s, too; both write the same bits",
            *(other.get("host", "Another machine"), LOST_AFTER, path.stem),
        )


def _held(path: Path, own: dict[str, Any]) -> bool:
    other = _read(path)
    return other is not None and other.get("id") == own["id"]


def _content(own: dict[str, Any], *, beat: int) -> str:
    return json.dumps({**own, "beat": f"{beat:09}"})  # always as long, so that it can be written over


def _read(path: Path) -> dict[str, Any] | None:
    text = _text(path)
    return None if text is None else _parsed(text)


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def _parsed(text: str) -> dict[str, Any]:
    with suppress(ValueError):
        claim = json.loads(text)
        return claim if isinstance(claim, dict) else {}
    return {}  # just being written


def _is_dead(other: dict[str, Any]) -> bool:
    """Whether it was a process that this one would see, and does not."""
    if (other.get("machine"), other.get("processes")) != (_machine(), _processes()):
        return False
    try:
        os.kill(int(other["process"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _processes() -> str:
    """Which processes this one sees: those of its container."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return socket.gethostname()


def _machine() -> str:
    """The running kernel: its processes can see each other's locks, in whatever container they are."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()
