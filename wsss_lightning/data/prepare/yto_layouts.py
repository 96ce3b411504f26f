"""Where the releases of YouTube-Objects and the masks of Jain & Grauman keep their files.

Folders of classes are looked for in the root, else one level below it; `airplane` is `aeroplane`. In such a folder:

- release 1: `data/<video>/shots/<shot>/frame0001.jpg`, numbered anew in every shot;
- release 2 (2.0 to 2.2): `00000001.jpg`, numbered through all videos; the shots and their videos stand in
  `Ranges/ranges_<class>.mat` beside the folders of the classes;
- video files, `<video>.avi` (.mp4, ...), there or in a folder `videos` or `data`.

The first of these that is there is read. Release 2.3 in VOC's layout has frames with boxes only and is not read.

The masks: `youtube_masks/<class>/data/<video>/shots/<shot>/labels/00001.jpg` (or .png), the frames themselves in
`images` beside `labels`. They follow release 1, so that only there a shot has the same number as in the masks; of
release 2 and of video files a video's number is all that can be compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wsss_lightning.data.prepare.mat import variables
from wsss_lightning.data.prepare.videos import count_frames, is_video
from wsss_lightning.data.yto import YTO_CLASSES
from wsss_lightning.errors import InputError

MASKS = "youtube_masks"
WHOLE = "000"  # the shot of a video file, which says nothing about shots
_SPELLINGS = {name: name for name in YTO_CLASSES} | {"airplane": "aeroplane"}
_PICTURES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True)
class Shot:
    """One shot: its files by the number of the frame, a video file once for each.

    `as_masks`: its number is the one that the masks know it by; else only its video's is.
    """

    name: str
    video: str
    shot: str
    folder: Path
    files: Mapping[int, str] = field(repr=False)
    as_masks: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        """What the shot is known by: class, video and, if the masks have the same shots, its number."""
        return (self.name, _plain(self.video), *([_plain(self.shot)] if self.as_masks else []))


@dataclass(frozen=True)
class AnnotatedFrame:
    """One mask of Jain & Grauman, and its frame where they give it."""

    name: str
    video: str
    shot: str
    number: int
    mask: Path
    image: Path | None

    @property
    def key(self) -> tuple[str, ...]:
        """`Shot.key` of its shot in release 1; without the last, that of its video elsewhere."""
        return (self.name, _plain(self.video), _plain(self.shot))


def class_folders(root: Path) -> dict[str, Path]:
    """The folder of each class, in the order of the classes.

    Raises:
        InputError: there is none, or a class has two.
    """
    places = [place for place in _folders(root) if place.name != MASKS]
    folders = _classes([root]) or _classes(places)
    if not folders:
        raise InputError(
            f"{root} has no folder of a class, nor has a folder in it: unpack YouTube-Objects so that there is "
            f"{root / 'aeroplane'}, or set --root to where it is."
        )
    return {name: folders[name] for name in YTO_CLASSES if name in folders}


def find_shots(name: str, folder: Path) -> list[Shot]:
    """The shots of a class in the first layout that its folder has, in the order of videos and shots.

    Raises:
        InputError: there is no frame in any layout, the ranges of release 2 are missing, or a video is damaged.
    """
    for layout in (_of_release_1, _of_release_2, _of_videos):
        if shots := list(layout(name, folder)):
            return shots
    raise InputError(
        f"{folder} holds no frames: data/<video>/shots/<shot>/*.jpg (release 1), 00000001.jpg (release 2) or video "
        "files are read; unpack one of them there, or take the folder away."
    )


def find_annotated_frames(root: Path) -> list[AnnotatedFrame]:
    """All masks below `youtube_masks`, in the order of classes, videos, shots and frames.

    Raises:
        InputError: there are none, and so nobody knows which shots must not be trained on.
    """
    folders = sorted((root / MASKS).glob("*/data/*/shots/*/labels"))
    annotations = [item for folder in folders for item in _annotations(folder)]
    if not annotations:
        raise InputError(
            f"{root / MASKS} has no masks (<class>/data/<video>/shots/<shot>/labels/*): unpack those of Jain & Grauman "
            "there; they also say which shots must not be trained on."
        )
    return annotations


def _of_release_1(name: str, folder: Path) -> Iterator[Shot]:
    for place in sorted((folder / "data").glob("*/shots/*")):
        if files := _numbered(place):
            yield Shot(name, place.parents[1].name, place.name, place, files, as_masks=True)


def _of_release_2(name: str, folder: Path) -> Iterator[Shot]:
    files = _numbered(folder)
    for shot, (first, last, video) in enumerate(_ranges(folder) if files else [], 1):
        # A range can repeat the last frame of the one before it (horse, 38465): the first one keeps it.
        own = {number: files.pop(number) for number in range(first, last + 1) if number in files}
        if own:
            yield Shot(name, f"{video:04d}", f"{shot:04d}", folder, own)


def _of_videos(name: str, folder: Path) -> Iterator[Shot]:
    places = [place for place in (folder, folder / "videos", folder / "data") if place.is_dir()]
    for path in sorted(path for place in places for path in place.iterdir() if is_video(path)):
        files = dict.fromkeys(range(1, count_frames(path) + 1), path.name)
        yield Shot(name, path.stem, WHOLE, path.parent, files)


def _ranges(folder: Path) -> list[tuple[int, int, int]]:
    """First frame, last frame and video of every shot of a class: the three rows of its ranges."""
    path = folder.parent / "Ranges" / f"ranges_{folder.name}.mat"
    if not path.is_file():
        raise InputError(
            f"{path} does not exist: unpack Ranges.tar.gz of release 2, which says what shot a frame is of."
        )
    try:
        rows = variables(path.read_bytes())["ranges"].numbers()
        return [(int(first), int(last), int(video)) for first, last, video in rows.T]
    except Exception as error:  # a damaged file can raise anything
        raise InputError(f"{path} is no table of 3 x shots numbers ({error}): fetch Ranges.tar.gz again.") from error


def _annotations(labels: Path) -> Iterator[AnnotatedFrame]:
    shot, video, spelling = labels.parents[0].name, labels.parents[2].name, labels.parents[4].name
    name = _SPELLINGS.get(spelling.lower())
    if name is None:
        raise InputError(f"{labels.parents[4]} is none of the classes {', '.join(YTO_CLASSES)}: rename the folder.")
    images = labels.parent / "images"
    frames = _numbered(images) if images.is_dir() else {}
    for number, file in _numbered(labels).items():
        image = images / frames[number] if number in frames else None
        yield AnnotatedFrame(name, video, shot, number, labels / file, image)


def _classes(places: list[Path]) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for folder in [child for place in places for child in _folders(place)]:
        name = _SPELLINGS.get(folder.name.lower())
        if name is not None and folders.setdefault(name, folder) != folder:
            raise InputError(f"{folders[name]} and {folder} both hold the class {name}: move one of them elsewhere.")
    return folders


def _numbered(folder: Path) -> dict[int, str]:
    """The pictures of a folder by the number that their stems end in, ascending."""
    pictures = {}
    for path in folder.iterdir():
        number = re.search(r"\d+$", path.stem)
        if number and path.suffix.lower() in _PICTURES and not path.name.startswith("."):
            pictures[int(number[0])] = path.name
    return dict(sorted(pictures.items()))


def _folders(place: Path) -> list[Path]:
    return sorted(child for child in place.iterdir() if child.is_dir()) if place.is_dir() else []


def _plain(number: str) -> str:
    return number.lstrip("0") or "0"
