"""Keep freed memory in the process."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h


def keep_freed_memory() -> None:
    """Tell glibc's malloc not to hand large blocks back to the kernel after every use; elsewhere a no-op.

    By default each activation of some megabytes is mapped, faulted in page by page and unmapped again in every step:
    training a small network on a CPU took three times as long (experiments/speed/allocator.py).
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
        library.mallopt(_M_TOP_PAD, 1 << 28)
