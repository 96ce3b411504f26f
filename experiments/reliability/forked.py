"""`wsss run` in a process that has imported everything already: most of a short run is its imports."""

import os
import pkgutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import wsss_lightning
from wsss_lightning import cli, parallel

_WAIT = 0.02  # seconds between two looks


def import_all() -> None:
    """Import this package and what it needs, but for dashboards, as every run after this would."""
    for module in pkgutil.walk_packages(wsss_lightning.__path__, "wsss_lightning."):
        if ".dashboards" not in module.name and module.name != "wsss_lightning.pipeline.worker":
            import_module(module.name)


class Job:
    """A forked run; as much of `subprocess.Popen` as a campaign asks for."""

    def __init__(self, given: Sequence[str], root: Path, *, processes: bool) -> None:
        """Start it, as the head of a session of its own; what it says is added to log.txt in `root`.

        `processes`: worker processes are started for every image that is not the first one, as in a long run; so short
        a run would start none, since that would take longer than it saves.
        """
        root.mkdir(parents=True, exist_ok=True)
        self.pid = os.fork()
        self.status: int | None = None
        if self.pid == 0:
            _become(["wsss", "run", *given, f"paths.root={root}"], root / "log.txt", processes=processes)

    def wait(self, timeout: float) -> int:
        """Its exit status, as that of `subprocess.Popen`.

        Raises:
            subprocess.TimeoutExpired: it has not ended.
        """
        deadline = time.monotonic() + timeout
        while self.status is None:
            process, status = os.waitpid(self.pid, os.WNOHANG)
            if process:
                self.status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("wsss run", timeout)
            else:
                time.sleep(_WAIT)
        return self.status


def _become(command: list[str], log: Path, *, processes: bool) -> None:
    """Be `wsss run` and end."""
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for standard in (1, 2):
            os.dup2(stream, standard)
        parallel.START_UP = 0.0 if processes else parallel.START_UP
        sys.argv = command
        cli.main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:  # is counted by the campaign
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
