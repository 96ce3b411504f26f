"""Archives unpacked safely: no member leaves its folder, no link is followed or made, no file of the user's is lost."""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Literal

from wsss_lightning.errors import InputError
from wsss_lightning.progress import counter

# Readers report a damaged or encrypted archive by whichever of these they run into.
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
_CHUNK = 1 << 20


@dataclass(frozen=True)
class _Member:
    name: str
    kind: Literal["file", "folder", "other"]  # other: links, devices, pipes
    open: Callable[[], IO[bytes]]


def check_md5(archive: Path, md5: str) -> None:
    """Compare a file with its known checksum.

    Raises:
        InputError: the file is missing or is not the one of that checksum.
    """
    try:
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise InputError(f"{archive} cannot be read ({error.strerror}): check its path.") from error
    if digest != md5:
        raise InputError(f"{archive} has the MD5 sum {digest}, not {md5}: it is damaged or cut off, fetch it again.")


def holds(archive: Path, inside: str) -> bool:
    """Whether a tar or zip archive has a file in its folder `inside`.

    Raises:
        InputError: as `unpack_archive`.
    """
    with _reading(archive):
        files = (member.name for member in _members(archive, progress=False) if member.kind == "file")
        return any(_below(name, inside) is not None for name in files)


def unpack_archive(archive: Path, into: Path, *, inside: str = "", progress: bool = True) -> int:
    """Unpack what a tar or zip archive, compressed or not, has in its folder `inside`.

    Everything is unpacked into a hidden folder beside `into` and moved when all of it is there, so a run that was
    ended leaves `into` as it was. A file that is there already with the same content is skipped.

    Args:
        archive: the file; its kind is read from its content.
        into: the folder for what is in `inside`; made if need be.
        inside: a folder of the archive, its parts separated by "/"; empty for all of it. The rest is left out.
        progress: show a bar.

    Returns:
        How many files were new.

    Raises:
        InputError: the archive is missing, damaged or cut off, holds a path that leads out of it or (in `inside`) a
            link or device; or a file is there already with another content. Nothing is changed then.
    """
    staging = into.resolve().with_name(f".{into.resolve().name}.unpacking")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        with _reading(archive):
            new = sum(_stage(member, staging, into, inside) for member in _members(archive, progress=progress))
            if new:
                _move(staging, into)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return new


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except _DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"{archive} cannot be unpacked ({reason}): mend that, or fetch the archive again.") from error


def _members(archive: Path, *, progress: bool) -> Iterator[_Member]:
    megabytes = archive.stat().st_size >> 20
    with (
        archive.open("rb") as file,
        counter(f"unpacking {archive.name} (MB)", total=megabytes, enabled=progress) as report,
    ):
        for member in _tar_members(file) if tarfile.is_tarfile(file) else _zip_members(file):
            yield member
            report(file.tell() >> 20)


def _tar_members(file: IO[bytes]) -> Iterator[_Member]:
    with tarfile.open(fileobj=file) as tar:
        for member in tar:
            kind: Literal["file", "folder", "other"]
            kind = "file" if member.isreg() else "folder" if member.isdir() else "other"
            yield _Member(member.name, kind, partial(_open_in_tar, tar, member))
        # tarfile takes a cut or damaged header for the end of the archive; a real end is a block of zeros.
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("its end is missing")
        while tar.fileobj.read(_CHUNK):  # a compressed file's checksum is compared when its last byte is read
            pass


def _open_in_tar(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(member)
    assert file is not None  # of folders and devices only
    return file


def _zip_members(file: IO[bytes]) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            # The upper half is the mode of a Unix file; other systems leave it zero.
            mode = stat.S_IFMT(member.external_attr >> 16)
            regular = mode in {0, stat.S_IFREG, stat.S_IFDIR}
            yield _Member(
                member.filename,
                "other" if not regular else "folder" if member.is_dir() else "file",
                partial(archive.open, member),
            )


def _below(name: str, inside: str) -> PurePosixPath | None:
    """The path of a member in the folder `inside`, None where it lies elsewhere."""
    path = PureWindowsPath(name)  # knows both separators and drive letters, on every system
    if path.drive or path.root or ".." in path.parts:
        raise ValueError(f"its path {name!r} leads out of it")
    below = PurePosixPath(*path.parts)
    return below.relative_to(inside) if below.is_relative_to(inside) else None


def _stage(member: _Member, staging: Path, into: Path, inside: str) -> bool:
    """Unpack a member for later, unless it is there already; returns whether it is new."""
    path = _below(member.name, inside)
    if path is None or member.kind == "folder":
        return False
    if member.kind == "other":
        raise ValueError(f"its {member.name!r} is a link or a device")
    target = into / path
    if os.path.lexists(target):
        _require_same(member, target)
        return False
    if not target.parent.resolve().is_relative_to(into.resolve()):
        raise InputError(f"{target.parent} is a link that leads out of {into}: put a folder in its place.")
    (staging / path).parent.mkdir(parents=True, exist_ok=True)
    with member.open() as source, (staging / path).open("wb") as copy:
        shutil.copyfileobj(source, copy, _CHUNK)
    return True


def _require_same(member: _Member, target: Path) -> None:
    with member.open() as source, target.open("rb") as present:
        while chunk := source.read(_CHUNK):
            if present.read(len(chunk)) != chunk:
                break
        else:
            if not present.read(1):
                return
    raise InputError(f"{target} is there with another content than in the archive: move it away, then try again.")


def _move(source: Path, target: Path) -> None:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(source, target)
        return
    for child in source.iterdir():
        _move(child, target / child.name)
