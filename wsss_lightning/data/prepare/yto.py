"""YouTube-Objects from its releases to `manifest.csv`, palette masks and, where need be, frames of one size.

`yto_layouts` says which layouts are read, `yto_frames` which frames are taken.

The releases differ in size (854x480, 480x360), and a mask can have the size of another release than its frame. Nothing
of this is resized in silence: the manifest also has the columns `size`, of frame and mask as they are read, and
`frame_size` and `mask_size`, as they were delivered, all WIDTHxHEIGHT. A mask takes the size of its frame by nearest
neighbour. Where aspect ratios differ, both axes are scaled on their own, as if either release showed the whole picture:
the summary counts these frames, because black bars or a cropped picture would put mask and object apart.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsss_lightning.atomic import replace_file
from wsss_lightning.data.images import decode, image_size, read_image
from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.prepare.videos import is_video, read_frames, video_size
from wsss_lightning.data.prepare.yto_frames import Frame, select_frames
from wsss_lightning.data.yto import COLUMNS, MANIFEST, YTO_CLASSES, ManifestRow, frame_id
from wsss_lightning.errors import InputError
from wsss_lightning.ops.resize import resize_labels
from wsss_lightning.parallel import in_parallel

Size = tuple[int, int]  # (H, W) in pixels
FRAMES_PER_CLASS = 2200  # priors sec. 4.1: "around 2200 frames per class"
_SIZES = ("size", "frame_size", "mask_size")
_SAME_ASPECT = 0.01  # 854x480 is 16:9 but for 0.1 %
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class PreparedYto:
    """What was prepared.

    Args:
        train: frames by class.
        val: frames by class.
        left_out: frames by class that are not trained on because their shot, or their video, is evaluated.
        lost: ids of frames that their video's header promises and its file does not have.
        stretched: how many frames or masks had another aspect ratio than they have now.
    """

    train: Mapping[str, int]
    val: Mapping[str, int]
    left_out: Mapping[str, int]
    lost: Sequence[str]
    stretched: int


def prepare_yto(
    root: Path,
    *,
    frames_per_class: int = FRAMES_PER_CLASS,
    size: Size | None = None,
    processes: int = 1,
    progress: bool = True,
) -> PreparedYto:
    """Write `manifest.csv`, `SegmentationClass` and, for frames out of videos or of another size, `JPEGImages`.

    Frames that an earlier call has written in the right size are kept; masks and the manifest are written anew.

    Args:
        root: the folder with the classes and `youtube_masks`.
        frames_per_class: train frames of each class; fewer where a class has fewer.
        size: (H, W) in px of all frames and masks; None keeps that of each frame.
        processes: how many files are worked on at once.
        progress: show a bar.

    Raises:
        InputError: frames or masks are missing, damaged or in no known layout.
    """
    selections = select_frames(root, per_class=frames_per_class)
    frames = [frame for selection in selections.values() for frame in selection.frames]
    write = partial(write_frames, root=root, size=size)
    source = attrgetter("source")
    files = [list(group) for _, group in groupby(sorted(frames, key=source), key=source)]
    groups = in_parallel(write, files, processes=processes, description="frames", progress=progress)
    rows = sorted((row for group in groups for row in group), key=_place)
    replace_file(root / MANIFEST, partial(_write_rows, rows=rows))
    return PreparedYto(
        train=Counter(row["class"] for row in rows if row["split"] == "train"),
        val=Counter(row["class"] for row in rows if row["split"] == "val"),
        left_out={name: selection.left_out for name, selection in selections.items()},
        lost=sorted({frame_id(frame.row) for frame in frames} - {frame_id(row) for row in rows}),
        stretched=sum(_is_stretched(row) for row in rows),
    )


def write_frames(frames: Sequence[Frame], *, root: Path, size: Size | None) -> list[ManifestRow]:
    """Bring the frames of one JPEG or video file to where they are read, their masks with them.

    Returns:
        the rows of those that are there now: a video can have fewer frames than its header promises.

    Raises:
        InputError: the file or a mask is damaged.
    """
    source = frames[0].source
    delivered = video_size(source) if is_video(source) else image_size(source)
    target = size or delivered
    if target == delivered and not is_video(source):
        return [_row(frame, source, root=root, delivered=delivered, size=target) for frame in frames]
    images = {frame.number: root / "JPEGImages" / f"{frame_id(frame.row)}.jpg" for frame in frames}
    there = {number for number, path in images.items() if path.is_file() and image_size(path) == target}
    wanted = images.keys() - there
    pictures = read_frames(source, wanted) if is_video(source) else ((n, read_image(source)) for n in wanted)
    for number, pixels in pictures:
        _write_image(images[number], pixels, target)
        there.add(number)
    known = [frame for frame in frames if frame.number in there]
    return [_row(frame, images[frame.number], root=root, delivered=delivered, size=target) for frame in known]


def read_binary_mask(path: Path) -> NDArray[np.bool_]:
    """Where the object is, (H, W): 1 or 255 in a PNG, the brighter half in a JPEG, whose values are rounded.

    Raises:
        InputError: the file is damaged or holds something else than 0 and 255, or 0 and 1.
    """
    picture = decode(path)
    values = np.array(picture if picture.mode in {"1", "L", "P"} else picture.convert("L")).astype(np.uint8)
    levels, brightest = set(np.unique(values).tolist()), int(values.max())
    lossy = picture.format == "JPEG" and brightest > 127
    if not (lossy or levels <= {0, 1} or levels <= {0, 255}):
        raise InputError(f"{path} has values up to {brightest}: a mask of 0 and 255, or of 0 and 1, is needed.")
    return values > (127 if lossy else 0)


def _write_image(path: Path, pixels: NDArray[np.uint8], size: Size) -> None:
    picture = Image.fromarray(pixels)
    if pixels.shape[:2] != size:
        picture = picture.resize(size[::-1], Image.Resampling.BICUBIC)
    replace_file(path, lambda temporary: picture.save(temporary, format="JPEG", quality=_JPEG_QUALITY))


def _row(frame: Frame, image: Path, *, root: Path, delivered: Size, size: Size) -> ManifestRow:
    row = frame.row | {"image": str(image.relative_to(root)), "size": _text(size), "frame_size": _text(delivered)}
    if frame.mask is None:
        return row | {"mask_size": ""}
    path = root / "SegmentationClass" / f"{frame_id(row)}.png"
    mask = read_binary_mask(frame.mask)
    inside = resize_labels(mask.astype(np.uint8), size)
    write_mask(path, np.where(inside, YTO_CLASSES.index(frame.name) + 1, 0).astype(np.uint8))
    return row | {"mask": str(path.relative_to(root)), "mask_size": _text(mask.shape)}


def _text(size: Sequence[int]) -> str:
    return f"{size[1]}x{size[0]}"


def _is_stretched(row: ManifestRow) -> bool:
    """Whether frame or mask were delivered with another aspect ratio."""
    width, height = map(int, row["size"].split("x"))
    before = [map(int, row[column].split("x")) for column in ("frame_size", "mask_size") if row[column]]
    return any(abs(width * h / (height * w) - 1) > _SAME_ASPECT for w, h in before)


def _place(row: ManifestRow) -> tuple[str, int, str, str, int]:
    """Where a row belongs: by split, class, video, shot and frame."""
    return row["split"], YTO_CLASSES.index(row["class"]), row["video"], row["shot"], int(row["frame"])


def _write_rows(path: Path, rows: Sequence[ManifestRow]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*COLUMNS, *_SIZES])
        writer.writeheader()
        writer.writerows(rows)
