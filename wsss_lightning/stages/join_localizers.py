"""Stage: localizers of known and of added classes as one set (points sec. 4.3)."""

from pathlib import Path

from wsss_lightning.errors import InputError
from wsss_lightning.stages.fit_localizers import read_state, write_localizers


def join_localizers(*, out_dir: str, known: str, added: str) -> None:
    """Put the classes of `added` behind those of `known`; no weight changes.

    Raises:
        InputError: the two differ in width or inputs.
    """
    first, shape = read_state(Path(known))
    second, other = read_state(Path(added))
    if shape[1:] != other[1:]:
        raise InputError(
            f"The localizers in {added} are {other[1:]}, not {shape[1:]}: train both with one backbone file."
        )
    moved = {_renumber(name, by=shape.num_classes): value for name, value in second.items()}
    write_localizers(Path(out_dir), first | moved, shape._replace(num_classes=shape.num_classes + other.num_classes))


def _renumber(name: str, *, by: int) -> str:
    number, _, rest = name.partition(".")
    return f"{int(number) + by}.{rest}"
