"""Finished stages and runs as a tar file, to go on with on another machine."""

import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp

from wsss_lightning.atomic import replace_file
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.contents import changed
from wsss_lightning.pipeline.store import RECORD, in_progress, locked, read_record

_STORE = "store"
_PLACES = {_STORE, "logs", "sweeps"}  # what of a root an archive holds


def export_archive(target: Path, stages: Sequence[Path], runs: Sequence[Path]) -> None:
    """Write folders of finished stages and of runs to a tar file, compressed where its name ends in `gz`.

    Raises:
        InputError: a stage has not finished or is damaged, or the file exists or cannot be written.
    """
    if target.exists():
        raise InputError(f"{target} exists: delete it, or give another name.")
    for folder in stages:
        _check_whole(folder)
    replace_file(target, lambda path: _write(path, stages, runs))


def _write(path: Path, stages: Sequence[Path], runs: Sequence[Path]) -> None:
    compressed = path.suffix in {".gz", ".tgz"}
    with tarfile.open(path, "w:gz") if compressed else tarfile.open(path, "w") as tar:
        for folder in stages:
            tar.add(folder, arcname=f"{_STORE}/{folder.name}", filter=_without_temporaries)
        for folder in runs:
            place = folder.resolve()
            top = next(parent for parent in place.parents if parent.name in _PLACES)
            tar.add(folder, arcname=place.relative_to(top.parent).as_posix())


def _without_temporaries(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if PurePosixPath(member.name).name.startswith(".") else member


def _check_whole(folder: Path) -> None:
    record = read_record(folder)
    if record is None:
        raise InputError(f"{folder} has no {RECORD}: it has not finished.")
    if wrong := changed(record, folder):
        raise InputError(f"{folder} is damaged ({wrong[0]} is lost or changed): compute it again first.")


def import_archive(source: Path, store: Path, root: Path) -> tuple[list[str], list[str]]:
    """Take what `export_archive` wrote into a store, and runs below `root`; returns what is new and what was there.

    Every file is compared with the hash in its record before anything is taken over.

    Raises:
        InputError: there is no such file, it is no such archive, or a stage in it is damaged.
    """
    if not source.is_file():
        raise InputError(f"There is no file {source}: give one that wsss store export wrote.")
    store.mkdir(parents=True, exist_ok=True)
    hidden = Path(mkdtemp(prefix=".importing-", dir=store))
    try:
        _extract(source, hidden)
        folders = sorted(path for path in (hidden / _STORE).glob("*") if path.is_dir())
        for folder in folders:
            _check_whole(folder)
        stages = [(folder.name, _take_stage(folder, store)) for folder in folders]
        places = [hidden / place for place in sorted(_PLACES - {_STORE})]
        names = [f"{place.name}/{run.name}" for place in places for run in sorted(place.glob("*"))]
        runs = [(name, _take_run(hidden / name, root / name)) for name in names]
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    taken = [*stages, *runs]
    return [name for name, new in taken if new], [name for name, new in taken if not new]


def _extract(source: Path, folder: Path) -> None:
    try:
        with tarfile.open(source) as tar:
            members = tar.getmembers()
            for member in members:
                parts = PurePosixPath(member.name).parts
                plain = (member.isfile() or member.isdir()) and ".." not in parts and parts[:1] != ("/",)
                if not plain or not {*parts[:1]} <= _PLACES:
                    raise InputError(
                        f"{source} holds {member.name}, which wsss store export does not write: nothing was taken."
                    )
            tar.extractall(folder, members=members, filter="data")
    except (OSError, tarfile.TarError, EOFError) as error:
        raise InputError(f"{source} cannot be read as an archive of wsss store export ({error}).") from error


def _take_stage(folder: Path, store: Path) -> bool:
    target = store / folder.name
    if in_progress(target) or (target / RECORD).is_file():
        return False
    with locked(target):
        if (target / RECORD).is_file():
            return False
        shutil.rmtree(target, ignore_errors=True)  # half done
        folder.rename(target)
    return True


def _take_run(folder: Path, target: Path) -> bool:
    if target.exists():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder, target)
    return True
