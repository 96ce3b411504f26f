"""The one exception that a user is meant to read."""

import errno
from pathlib import Path


class InputError(ValueError):
    """A file or a setting of the user's is at fault.

    The message is one sentence that names the file (or the setting) and the remedy; the command line prints it
    without a traceback and exits with status 1.
    """


def obstacle(path: Path, error: BaseException) -> InputError | None:
    """What stands in the way of a file, whatever it holds; None where `error` is of another kind."""
    if not isinstance(error, OSError):
        return None
    reasons = {
        errno.EISDIR: "is a folder: put a file in its place",
        errno.ENOTDIR: "lies below a file: put a folder in its place",
        errno.ELOOP: "is a link that leads back to itself: put a file in its place",
        **dict.fromkeys((errno.EACCES, errno.EPERM), "may not be read: give this account the right to read it"),
    }
    reason = reasons.get(error.errno or 0)
    return InputError(f"{path} {reason}.") if reason else None
