"""What a data set's reader opens below its root, told by a light module that the reader's source names.

A reader is a `_target_` with a `root`. Its module may hold `FILES_READ`, the dotted name of a function that takes what
it wants of the reader's arguments, `root` and `asked` (the words among the stage's own parameters) and returns a
`Reading`. Of other readers everything below the root counts.
"""

import importlib
import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from wsss_lightning.pipeline.signatures import constant_beside, signature_of


class Reading(Protocol):
    """The files of a data set; its `repr` names all that `files` depends on besides the content of `index`."""

    @property
    def root(self) -> Path:
        """The folder that the names below are relative to."""

    @property
    def index(self) -> Sequence[str]:
        """Files whose content says which others are read, such as lists."""

    def files(self) -> Iterable[tuple[tuple[str, ...], bool]]:
        """All others: names of which the first that is there is read, and whether its content counts."""


def reading_of(reader: dict[str, Any], *, root: Path, asked: frozenset[str]) -> Reading | None:
    """What the node `reader` opens below `root`; None where nothing is known of it."""
    target = str(reader["_target_"])
    name = constant_beside(target, "FILES_READ")
    if name is None:
        return None
    module, _, function = name.rpartition(".")
    rule = getattr(importlib.import_module(module), function)
    signature = signature_of(target)
    values = {**(signature.defaults if signature else {}), **reader, "root": root, "asked": asked}
    parameters = inspect.signature(rule).parameters
    if any(name not in values and parameter.default is parameter.empty for name, parameter in parameters.items()):
        return None  # such as a bare reader, whose lists stand elsewhere
    reading: Reading = rule(**{name: values[name] for name in parameters if name in values})
    return reading


def readers(node: Any) -> list[dict[str, Any]]:
    """The nodes inside a stage's that have a `_target_` and a folder of data as their `root`."""
    if isinstance(node, list):
        return [reader for item in node for reader in readers(item)]
    if not isinstance(node, dict):
        return []
    own = [node] if "_target_" in node and str(node.get("root", "")).startswith("<folder:") else []
    return own + [reader for value in node.values() for reader in readers(value)]


def words(node: dict[str, Any]) -> frozenset[str]:
    """The strings among a stage's own parameters, alone or in a list."""
    items = [item for value in node.values() for item in (value if isinstance(value, list) else [value])]
    return frozenset(item for item in items if isinstance(item, str))
