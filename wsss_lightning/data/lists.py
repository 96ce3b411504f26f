"""Image lists of a split, in every format that the field's repositories use."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath

from wsss_lightning.data.names import require_image_id
from wsss_lightning.errors import InputError, obstacle

FOLDERS = ("ImageSets/Segmentation", "ImageSets/SegmentationAug")
AUGMENTED = ("train_aug", "trainaug", "aug")  # one list of 10,582 images, three names
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}


class MissingListError(InputError):
    """A list that is not there, which is no fault where nobody needs it."""


def find_list(root: Path, split: str) -> Path:
    """Find the list of a split; `train_aug`, `trainaug` and `aug` are one split.

    Args:
        root: the folder that holds `ImageSets`.
        split: the list's name without `.txt`.

    Raises:
        MissingListError: there is no such list; the message says where it was looked for.
    """
    names = (split, *(name for name in AUGMENTED if name != split)) if split in AUGMENTED else (split,)
    tried = [root / folder / f"{name}.txt" for name in names for folder in FOLDERS]
    for path in tried:
        if path.is_file():
            return path
    raise MissingListError(f"no list of {split!r}: put it at one of {', '.join(map(str, tried))}.")


def read_list(path: Path) -> list[str]:
    """Read the image ids of a list, in its order.

    A line is `id`, `/JPEGImages/id.jpg /SegmentationClassAug/id.png` (psa, DeepLab) or `id.jpg index` (SEC); blank
    lines are skipped.

    Raises:
        InputError: the list cannot be read, is empty, names an image twice or has a line of another format.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise obstacle(path, error) or InputError(
            f"{path} cannot be read as a list of image ids ({error}): write one id per line."
        ) from error
    ids = [_image_id(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not ids:
        raise InputError(f"{path} names no image: write one id per line.")
    image_id, count = Counter(ids).most_common(1)[0]
    if count > 1:
        raise InputError(f"{path} names {image_id} {count} times: keep one of these lines.")
    return ids


def _image_id(line: str, where: str) -> str:
    first, *rest = line.split()
    is_file = PurePosixPath(first).suffix.lower() in _IMAGE_SUFFIXES
    image_id = PurePosixPath(first).stem if is_file else first
    # A bare id with a number is a line of ImageSets/Main, where -1 says that the class is absent.
    known = not rest or (is_file and len(rest) == 1 and (rest[0].isdigit() or PurePosixPath(rest[0]).stem == image_id))
    if not known or "/" in image_id:
        raise InputError(f"{where}: {line.strip()!r} is none of `id`, `image.jpg mask.png` and `id.jpg index`: fix it.")
    return require_image_id(image_id, where)
