"""Children that end when their parent does."""

import ctypes
import multiprocessing
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent(parent: int | None = None) -> None:
    """Ask the kernel to kill this process when its parent ends; does nothing on systems without prctl.

    `parent`: its process id; by default that of the process that started this one as a worker (multiprocessing,
    joblib). A process that is nobody's worker is left alone: joblib calls a function in place where one job is wanted.
    """
    starter = multiprocessing.parent_process()
    expected = parent or (starter.pid if starter else None)
    if sys.platform != "linux" or expected is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != expected:  # the parent ended before the call
        os.kill(os.getpid(), signal.SIGKILL)


def begin_loading(worker: int) -> None:  # noqa: ARG001
    """`worker_init_fn` of a loader: its processes look only every five seconds whether there is still a parent."""
    end_with_parent()
