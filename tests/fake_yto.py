"""Tiny copies of YouTube-Objects as it is delivered: release 1, release 2, video files, and Jain & Grauman's masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy.io import savemat

FRAME, OTHER = (48, 86), (36, 48)  # (H, W): a tenth of 854x480 and of 480x360


def write_yto(root: Path, *, images: bool = True) -> None:
    """Write four classes in three layouts; frame n is grey 10 n, and its mask is `box(n)`.

    Release 1: aeroplane, video 0001 with the shots 001 (6 frames) and 002 (4), video 0002 with 001 (5); cat, video
    0001 with 001 (3). Release 2: horse, 9 frames, of video 1 up to 4, of video 2 in two shots from 5 and from 8. Video
    files: dog, 0001.avi with 12 frames and 0002.avi with 10. The masks, of the other size, follow release 1.

    Args:
        root: the folder.
        images: the masks come with their frames, as delivered; else only release 1's classes have masks.
    """
    write_shots(root / "aeroplane", {("0001", "001"): 6, ("0001", "002"): 4, ("0002", "001"): 5})
    write_shots(root / "cat", {("0001", "001"): 3})
    write_annotations(root, "airplane", "0001", "002", [1, 3], images=images)
    if images:
        write_ranges(root, "horse", [(1, 4, 1), (5, 7, 2), (7, 9, 2)])
        write_video(root / "dog" / "0001.avi", 12)
        write_video(root / "dog" / "0002.avi", 10)
        write_annotations(root, "horse", "0001", "001", [2], images=True)
        write_annotations(root, "dog", "0002", "003", [1], images=True, suffix=".jpg")


def write_shots(folder: Path, frames: dict[tuple[str, str], int], *, size: tuple[int, int] = FRAME) -> None:
    """Release 1: `data/<video>/shots/<shot>/frame0001.jpg`, the first with boxes beside it, and an empty shot."""
    for (video, shot), count in frames.items():
        place = folder / "data" / video / "shots" / shot
        for number in range(1, count + 1):
            _write_frame(place / f"frame{number:04d}.jpg", number, size)
        (place / "frame0001.jpg_sticks.mat").touch()
        (place.parent / "999").mkdir(exist_ok=True)


def write_ranges(root: Path, name: str, ranges: Sequence[tuple[int, int, int]]) -> None:
    """Release 2: `00000001.jpg` and the first frame, last frame and video of every shot."""
    for number in range(1, max(last for _, last, _ in ranges) + 1):
        _write_frame(root / name / f"{number:08d}.jpg", number, FRAME)
    (root / "Ranges").mkdir(exist_ok=True)
    savemat(root / "Ranges" / f"ranges_{name}.mat", {"ranges": np.array(ranges).T})


def write_video(path: Path, count: int) -> None:
    """A real AVI of `count` frames of the size FRAME."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, FRAME[::-1])
    for number in range(1, count + 1):
        writer.write(np.full((*FRAME, 3), 10 * number, np.uint8))
    writer.release()


def write_annotations(
    root: Path, name: str, video: str, shot: str, numbers: Sequence[int], *, images: bool, suffix: str = ".png"
) -> None:
    """Jain & Grauman's `labels`, 0 and 255, and `images` of a shot, both of the size OTHER."""
    place = root / "youtube_masks" / name / "data" / video / "shots" / shot
    for number in numbers:
        (place / "labels").mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 * box(number)).save(place / "labels" / f"{number:05d}{suffix}", quality=95)
        if images:
            _write_frame(place / "images" / f"{number:05d}.jpg", number, OTHER)


def box(number: int) -> np.ndarray:
    """The object of frame `number`: (H, W) uint8 of the size OTHER, 1 inside; its borders are multiples of 8."""
    mask = np.zeros(OTHER, np.uint8)
    mask[8:24, 8 * number : 8 * number + 16] = 1
    return mask


def _write_frame(path: Path, number: int, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), 10 * number, np.uint8)).save(path, quality=95)
