"""Which masks a process opens while a stage runs: from this, not from what is typed, a card tells the supervision."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from filecmp import cmp
from pathlib import Path

_NO_FILE = (0, 0)


@dataclass(eq=False)
class Opened:
    """Mask files that were opened, and where the masks of data sets lie: path -> the splits that it belongs to.

    `imports`: masks or maps that came from elsewhere, in words -> what they were made from.
    """

    masks: set[str] = field(default_factory=set)
    truth: dict[str, set[str]] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)

    def ground_truth(self) -> dict[str, int]:
        """How many masks of each split were opened, under whatever name: a link is that mask, and so is a copy."""
        splits: dict[tuple[int, int], set[str]] = {}
        for path, names in self.truth.items() if self.masks else ():
            splits.setdefault(_identity(path), set()).update(names)
        opened = {_identity(path) for path in self.masks | self._copied()} - {_NO_FILE}
        return dict(sorted(Counter(name for mask in opened for name in splits.get(mask, ())).items()))

    def _copied(self) -> set[str]:
        """The data sets' masks that were opened in a copy: a folder of which more than half are those of their names.

        That single ones are is no sign: of an image without objects any good mask is.
        """
        truth: dict[str, list[str]] = {}
        for path in self.truth:
            truth.setdefault(Path(path).name, []).append(path)
        folders: dict[Path, set[str]] = {}
        for mask in map(Path, self.masks - self.truth.keys()):
            folders.setdefault(mask.parent, set()).add(mask.name)
        copied: set[str] = set()
        for folder, names in folders.items():
            same = {true for name in names for true in truth.get(name, ()) if _is_same(folder / name, true)}
            if 2 * len(same) > len(names):
                copied |= same
        return copied

    def add(self, other: "Opened") -> None:
        """Take over what was opened elsewhere."""
        self.masks |= other.masks
        self.imports |= other.imports
        for path, names in other.truth.items():
            self.truth.setdefault(path, set()).update(names)


_recording: list[Opened] = []  # of blocks in one another; of the whole process, whichever thread opens a file


@contextmanager
def recorded() -> Iterator[Opened]:
    """What is opened inside; of blocks in one another, the outer one holds what the inner one does."""
    opened = Opened()
    _recording.append(opened)
    try:
        yield opened
    finally:
        _recording.remove(opened)
        for outer in _recording[-1:]:
            outer.add(opened)


def note(opened: Opened) -> None:
    """Add what another process has recorded."""
    for current in _recording[-1:]:
        current.add(opened)


def note_masks(paths: Iterable[object]) -> None:
    """These mask files are opened, or will be by a loading process that nobody hears of."""
    for current in _recording[-1:]:
        current.masks.update(map(str, paths))


def note_truth(split: str, paths: Iterable[object]) -> None:
    """These are the places of a data set's own masks, which need not exist."""
    for current in _recording[-1:]:
        for path in map(str, paths):
            current.truth.setdefault(path, set()).add(split)


def note_import(labels: str, *, supervision: str) -> None:
    """Masks or maps that came from elsewhere are read, which were made from `supervision`; the card says so."""
    for current in _recording[-1:]:
        current.imports[labels] = supervision


def _is_same(one: Path, other: str) -> bool:
    try:
        return cmp(one, other, shallow=False)
    except OSError:
        return False


def _identity(path: str) -> tuple[int, int]:
    try:
        stat = Path(path).stat()
    except OSError:
        return _NO_FILE
    return stat.st_dev, stat.st_ino
