"""Which frames of YouTube-Objects are trained on and which are evaluated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsss_lightning.data.prepare.yto_layouts import (
    AnnotatedFrame,
    Shot,
    class_folders,
    find_annotated_frames,
    find_shots,
)
from wsss_lightning.data.yto import COLUMNS, YTO_CLASSES, ManifestRow, frame_id
from wsss_lightning.errors import InputError


@dataclass(frozen=True)
class Frame:
    """A frame for the manifest: a JPEG, or one number of a video file; the evaluated ones have a mask."""

    name: str
    video: str
    shot: str
    number: int
    source: Path
    mask: Path | None = None

    @property
    def row(self) -> ManifestRow:
        """The frame's line of the manifest, its paths still empty."""
        split = "val" if self.mask else "train"
        return dict(zip(COLUMNS, (self.name, self.video, self.shot, f"{self.number:05d}", "", "", split), strict=True))


@dataclass(frozen=True)
class Selection:
    """The frames of one class, and how many others are left out because their shot is evaluated."""

    frames: list[Frame]
    left_out: int


def select_frames(root: Path, *, per_class: int) -> dict[str, Selection]:
    """What to train on and to evaluate on, by class.

    Train frames lie uniformly over all shots of a class that are not evaluated (priors sec. 4.1); val is every frame
    with a mask.

    Args:
        root: the folder with the classes and `youtube_masks`.
        per_class: train frames of each class; fewer where a class has fewer.

    Raises:
        InputError: frames or masks are missing or in no known layout.
    """
    folders, annotations = class_folders(root), find_annotated_frames(root)
    selections = {}
    for name in YTO_CLASSES:
        shots = find_shots(name, folders[name]) if name in folders else []
        selections[name] = _select(shots, [item for item in annotations if item.name == name], per_class=per_class)
    ids = Counter(frame_id(frame.row) for selection in selections.values() for frame in selection.frames)
    image_id, count = ids.most_common(1)[0]
    if count > 1:
        raise InputError(f"{count} frames would have the id {image_id}: give their videos different names.")
    return selections


def uniform(count: int, wanted: int) -> list[int]:
    """`wanted` of the positions 0..count-1, their gaps equal give or take one, or all where there are no more."""
    wanted = min(count, wanted)
    return [(2 * i + 1) * count // (2 * wanted) for i in range(wanted)]


def _select(shots: Sequence[Shot], annotations: Sequence[AnnotatedFrame], *, per_class: int) -> Selection:
    evaluated = _evaluated(shots, annotations)
    free = [(shot, number) for shot in shots if shot.key not in evaluated for number in shot.files]
    chosen = [free[position] for position in uniform(len(free), per_class)]
    train = [Frame(s.name, s.video, s.shot, number, s.folder / s.files[number]) for s, number in chosen]
    known = {shot.key: shot for shot in shots if shot.as_masks}
    val = [_val_frame(item, known.get(item.key)) for item in annotations]
    return Selection(train + val, left_out=sum(len(shot.files) for shot in shots) - len(free))


def _evaluated(shots: Sequence[Shot], annotations: Sequence[AnnotatedFrame]) -> set[tuple[str, ...]]:
    """Keys of the shots with masks and of their videos; `InputError` where they are so named that none is met."""
    keys = {key for item in annotations for key in (item.key, item.key[:2])}
    if shots and annotations and not any(shot.key in keys for shot in shots):
        raise InputError(
            f"{shots[0].folder} has the video {shots[0].video}, but no evaluated one such as {annotations[0].video} of "
            f"{annotations[0].name}: name the videos as the masks do, so that no evaluated shot is trained on."
        )
    return keys


def _val_frame(item: AnnotatedFrame, shot: Shot | None) -> Frame:
    """The frame that comes with the mask, which surely shows what the mask outlines, else that of release 1."""
    image = item.image
    if image is None and shot is not None and item.number in shot.files:
        image = shot.folder / shot.files[item.number]
    if image is None:
        folder = item.mask.parents[1] / "images"
        raise InputError(f"{item.mask} has no frame: put it into {folder}, or unpack the frames of release 1.")
    return Frame(item.name, item.video, item.shot, item.number, image, item.mask)
