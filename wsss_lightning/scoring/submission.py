"""The archive that VOC's test server takes: built from index PNGs, checked before and after it is written."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from wsss_lightning.atomic import replace_file
from wsss_lightning.data.images import decode, image_size
from wsss_lightning.data.masks import palette, read_mask, write_mask
from wsss_lightning.data.voc import VOC_CLASSES
from wsss_lightning.errors import InputError
from wsss_lightning.parallel import in_parallel
from wsss_lightning.scoring.predictions import PredictionKind, Predictions

_SUFFIXES = (".tgz", ".tar.gz")
_DAMAGE = (OSError, EOFError, tarfile.TarError, zlib.error)


@dataclass(frozen=True)
class Submission:
    """What an archive has to hold.

    Args:
        ids: of the test images.
        images: the folder of the photographs `<id>.jpg`, as far as they are at hand; None checks no size.
        comp: "comp5" for what was trained on VOC alone, else "comp6".
    """

    ids: tuple[str, ...]
    images: Path | None
    comp: str

    @property
    def folder(self) -> str:
        """Where the PNGs lie in the archive."""
        return f"results/VOC2012/Segmentation/{self.comp}_test_cls"

    def photograph(self, image_id: str) -> Path | None:
        """The image itself, if it is at hand."""
        path = self.images / f"{image_id}.jpg" if self.images else None
        return path if path and path.is_file() else None


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that the server would not take: what, and in which file."""

    reason: str
    file: str


def pack_submission(predictions: Predictions, out: Path, submission: Submission, *, processes: int) -> list[Fault]:
    """Write the archive of index PNGs, the same bytes for the same masks, unless something is at fault.

    Greyscale PNGs get VOC's palette. The archive is opened again and checked before it gets its name.

    Args:
        predictions: masks of `submission.ids`, indices 0..20.
        out: the archive, `.tgz` or `.tar.gz`.
        submission: what it has to hold.
        processes: how many work at once.

    Returns:
        all faults; if there are any, nothing is written.

    Raises:
        InputError: the predictions are CAMs, `out` is named otherwise, or a photograph is damaged.
    """
    if not out.name.endswith(_SUFFIXES):
        raise InputError(f"{out} is to be a gzipped tar archive: give it a name that ends in .tgz.")
    if predictions.kind is not PredictionKind.MASKS:
        raise InputError(f"{predictions.folder} holds CAMs: give a folder of index PNGs.")
    with TemporaryDirectory() as staging:
        job = partial(_stage, folder=predictions.folder, staging=Path(staging), submission=submission)
        verdicts = in_parallel(job, predictions.predicted, processes=processes, description="predictions")
        faults = [Fault("is missing", f"{image_id}.png") for image_id in predictions.missing]
        faults += [fault for fault in verdicts if fault]
        if not faults:
            replace_file(out, partial(_write, staging=Path(staging), submission=submission, processes=processes))
    return sorted(faults)


def check_submission(archive: Path, submission: Submission, *, processes: int) -> list[Fault]:
    """What VOC's server would not take of an archive: its tree, and each PNG's mode, palette, indices and size.

    Raises:
        InputError: it is no gzipped tar archive, or is damaged.
    """
    with TemporaryDirectory() as staging:
        try:
            with tarfile.open(archive, "r:gz") as opened:
                faults = list(_misplaced(opened, Path(staging), submission))
        except _DAMAGE as error:
            raise InputError(f"{archive} cannot be read as a gzipped tar archive ({error}): build it again.") from error
        held = [image_id for image_id in submission.ids if (Path(staging) / f"{image_id}.png").exists()]
        faults += [Fault("is missing", f"{image_id}.png") for image_id in submission.ids if image_id not in {*held}]
        job = partial(_examine, folder=Path(staging), submission=submission, finished=True)
        verdicts = in_parallel(job, held, processes=processes, description="archive")
        return sorted([*faults, *filter(None, verdicts)])


def _stage(image_id: str, *, folder: Path, staging: Path, submission: Submission) -> Fault | None:
    fault = _examine(image_id, folder=folder, submission=submission, finished=False)
    if fault is None:
        write_mask(staging / f"{image_id}.png", read_mask(folder / f"{image_id}.png"))
    return fault


def _examine(image_id: str, *, folder: Path, submission: Submission, finished: bool) -> Fault | None:
    path = folder / f"{image_id}.png"
    try:
        mask = read_mask(path)
    except InputError as error:
        # Without its name in it, the reason is the same for all files that share it.
        return Fault(str(error).removeprefix(f"{path} ").replace(str(path), "it").rstrip("."), path.name)
    if finished and not _has_palette(path):
        return Fault("has not VOC's palette (mode P)", path.name)
    if mask.max() == 255:
        return Fault("holds 255 (ignore): predict a class or background everywhere", path.name)
    if mask.max() > len(VOC_CLASSES):
        return Fault(f"holds an index above {len(VOC_CLASSES)}", f"{path.name} ({mask.max()})")
    photograph = submission.photograph(image_id)
    size = image_size(photograph) if photograph else mask.shape
    if mask.shape != size:
        return Fault("has another size (H, W) than its image", f"{path.name} ({mask.shape}, not {size})")
    return None


def _has_palette(path: Path) -> bool:
    picture = decode(path)
    colours = (picture.getpalette() or [])[: 3 * (len(VOC_CLASSES) + 1)]
    return picture.mode == "P" and colours == palette().ravel()[: len(colours)].tolist()


def _write(path: Path, *, staging: Path, submission: Submission, processes: int) -> None:
    with (
        path.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for image_id in sorted(submission.ids):
            member = f"{submission.folder}/{image_id}.png"
            archive.add(staging / f"{image_id}.png", member, filter=_anonymous)
    if faults := check_submission(path, submission, processes=processes):
        raise InputError(f"{path} was not written as it should be, {faults[0].file} {faults[0].reason}: try again.")


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same whoever packs it, and whenever."""
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member


def _misplaced(opened: tarfile.TarFile, staging: Path, submission: Submission) -> Iterable[Fault]:
    """Put the PNGs that belong in it into `staging`; yields what is wrong with the others."""
    expected = {f"{submission.folder}/{image_id}.png": staging / f"{image_id}.png" for image_id in submission.ids}
    for member in opened:
        path = expected.get(str(PurePosixPath(member.name)))
        content = opened.extractfile(member) if member.isfile() else None
        if path is None or content is None:
            if not member.isdir():
                yield Fault(f"is not one of {submission.folder}/<id of the list>.png", member.name)
        elif path.exists():
            yield Fault("is there twice", path.name)
        else:
            path.write_bytes(content.read())
