"""Files and folders in a stage's node whose content no key would hold."""

import math
import os
from pathlib import Path
from typing import Any

from wsss_lightning.errors import InputError


def check_inputs(node: Any, *, where: str) -> None:
    """Raise `InputError` for a path that is given as plain text: its key would outlive another content.

    Text is a path where it is absolute or has a separator, and something is there. Names beside a `root` are relative
    to that folder, whose content counts.
    """
    if isinstance(node, dict):
        for name, value in node.items():
            if not (isinstance(value, str) and "root" in node and not Path(value).is_absolute()):
                check_inputs(value, where=f"{where}.{name}")
    elif isinstance(node, list):
        for index, item in enumerate(node):
            check_inputs(item, where=f"{where}[{index}]")
    elif isinstance(node, float) and not math.isfinite(node):
        raise InputError(f"{where}={node}: give a finite number, since a record holds no other.")
    elif isinstance(node, str) and _is_there(node):
        form = f"${{{'folder' if Path(node).is_dir() else 'weights'}:{node}}}"
        raise InputError(f"{where}={node}: say {form}, so that its content enters the key.")


def _is_there(text: str) -> bool:
    try:
        return os.sep in text and bool(text.strip(f"{os.sep}.")) and Path(text).exists()
    except (OSError, ValueError):  # too long for a name, or with a character that none has
        return False
