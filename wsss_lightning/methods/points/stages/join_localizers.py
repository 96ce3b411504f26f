"""Stage: localizers of known and of added classes as one set (points sec. 4.3)."""

from pathlib import Path

import torch
from torch import Tensor

from wsss_lightning.errors import InputError
from wsss_lightning.methods.points.stages.fit_localizers import count_classes, read_state, write_localizers

_PREFIX = "classes."


def join_localizers(*, out_dir: str, known: str, added: str) -> None:
    """Put the classes of `added` behind those of `known`; no weight changes.

    Raises:
        InputError: the two differ in what they see.
    """
    first, second = read_state(Path(known)), read_state(Path(added))
    others = [name for name in first if not name.startswith(_PREFIX)]
    if not all(torch.equal(first[name], second[name]) for name in others) or _width(first) != _width(second):
        raise InputError(f"The localizers in {added} see other inputs than those in {known}: train both alike.")
    moved = {_renumber(n, by=count_classes(first)): value for n, value in second.items() if n.startswith(_PREFIX)}
    joined = first | moved
    write_localizers(Path(out_dir), joined, with_global=bool(joined.pop("with_global")))


def _width(state: dict[str, Tensor]) -> torch.Size:
    return state["classes.0.first.weight"].shape


def _renumber(name: str, *, by: int) -> str:
    number, _, rest = name.removeprefix(_PREFIX).partition(".")
    return f"{_PREFIX}{int(number) + by}.{rest}"
