"""The one exception that a user is meant to read."""


class InputError(ValueError):
    """A file or a setting of the user's is at fault.

    The message is one sentence that names the file (or the setting) and the remedy; the command line prints it
    without a traceback and exits with status 1.
    """
