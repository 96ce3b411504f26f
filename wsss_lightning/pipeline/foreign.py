"""Records of stages that may come from anywhere: whose code they name, before any of it is called."""

from pathlib import Path
from typing import Any

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.configuration import OUT_DIR, used
from wsss_lightning.pipeline.identity import with_current_targets
from wsss_lightning.pipeline.modules import targets
from wsss_lightning.trust import find

_DEEPEST = 40


def check_record(record: dict[str, Any], path: Path) -> dict[str, Any]:
    """`record`, which `store.read_record` read from `path`, if nothing in it leads elsewhere.

    Raises:
        InputError: it would call code that is not trusted, or read or write beside its folder; the entry is named.
    """
    _check_depth([record["node"], record["bindings"]], path)
    if not isinstance(record["node"].get("trainer", {}), dict):
        raise InputError(f"{path}: node.trainer is {_called(record['node']['trainer'])}: copy the record again.")
    _check_out_dir(record["node"], path)
    _check_bindings(record["bindings"], path)
    check_calls([with_current_targets(record["node"]), record["bindings"]], path)
    return record


def _called(value: Any) -> str:
    if isinstance(value, str | int | float | bool) or value is None:
        return repr(value)[:60]
    return "a list" if isinstance(value, list) else "a mapping"


def _check_depth(node: Any, path: Path, depth: int = 0) -> None:
    if depth > _DEEPEST:
        raise InputError(f"{path}: an entry is nested more than {_DEEPEST} deep: copy the record again.")
    for child in _children(node):
        _check_depth(child, path, depth + 1)


def check_calls(node: Any, path: Path) -> None:
    """Import what a part of the record at `path` would call: code that is trusted, and no other.

    Raises:
        InputError: a `_target_`, nested or not, is of another package (see `trust.find`), or a value is one that Hydra
            would compute, as it could the name of a function.
    """
    for target in sorted(targets(node)):
        find(target, where=str(path))
    _check_computed(node, path)


def _check_out_dir(node: Any, path: Path) -> None:
    """Refuse a stage that writes elsewhere than into the folder that it is given."""
    if isinstance(node, dict) and node.get("out_dir", OUT_DIR) != OUT_DIR:
        raise InputError(f"{path} writes into {str(node['out_dir'])[:80]!r}: its out_dir must be {OUT_DIR}.")
    for child in _children(node):
        _check_out_dir(child, path)


def _check_computed(node: Any, path: Path) -> None:
    if isinstance(node, str) and "${" in node:  # Hydra computes what a backslash escapes, too, when it looks again
        raise InputError(f"{path}: {_called(node)} is to be computed, which nothing in a record is: copy it again.")
    for child in _children(node):
        _check_computed(child, path)


def _check_bindings(bindings: dict[str, Any], path: Path) -> None:
    """A path for what was read, and no token in another but the folder's: else a short record could fill the memory."""
    for token, value in bindings.items():
        if token.startswith(("<artifact:", "<folder:", "<weights:")) and not isinstance(value, str):
            raise InputError(f"{path}: bindings: {token} is {_called(value)}, not a path: copy the record again.")
        if token.startswith("<artifact:") and (value in {"", ".", ".."} or Path(value).name != value):
            raise InputError(f"{path}: bindings: {token} is {_called(value)}, no folder beside it: copy it again.")
        if inside := sorted(used(value, bindings)):
            raise InputError(f"{path}: bindings: {token} holds {inside[0]}: copy the record again.")


def _children(node: Any) -> list[Any]:
    return list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
