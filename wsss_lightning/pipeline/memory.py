"""Peak memory of a stage in a process that runs many."""

import contextlib
import resource
import sys
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak_memory() -> None:
    """Start a new high-water mark where the kernel allows it; elsewhere the mark is the process's own."""
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")  # proc(5): resets VmHWM


def peak_memory() -> int:
    """Highest resident size, bytes, since the last reset."""
    if _STATUS.is_file():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2) of either system
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
