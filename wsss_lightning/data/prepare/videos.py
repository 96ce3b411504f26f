"""Frames straight out of video files, with OpenCV."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# FFmpeg prints what it thinks of every damaged packet; what matters of it is raised or counted here.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2

from wsss_lightning.errors import InputError

_SUFFIXES = {".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"}


def is_video(path: Path) -> bool:
    """Whether the file's suffix is that of a video."""
    return path.suffix.lower() in _SUFFIXES


def count_frames(path: Path) -> int:
    """How many frames a video has by its header, or by counting where the header does not say.

    A header can promise frames that the file does not have: `read_frames` then ends early.

    Raises:
        InputError: the file is no video, is damaged or has no frame.
    """
    with _opened(path) as video:
        count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        if count < 1:  # OpenCV's answer where the header does not say
            count = sum(1 for _ in iter(video.grab, False))
    if count < 1:
        raise InputError(f"{path} has no frame that can be read: fetch the video again, or take it away.")
    return count


def video_size(path: Path) -> tuple[int, int]:
    """Height and width of a video's frames in pixels; raises `InputError` as `count_frames` does."""
    with _opened(path) as video:
        return int(video.get(cv2.CAP_PROP_FRAME_HEIGHT)), int(video.get(cv2.CAP_PROP_FRAME_WIDTH))


def read_frames(path: Path, numbers: Collection[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The frames of these numbers, counted from 1, in order of time.

    The video is read from its start: where frames are coded as differences, jumping to a number lands some frames off.
    Frames that are not wanted are not converted, and nothing is read behind the last wanted one.

    Yields:
        a frame's number and its pixels, (H, W, 3) uint8 RGB. Frames behind the video's true end do not come.

    Raises:
        InputError: the file is no video or is damaged at its start.
    """
    with _opened(path) as video:
        for number in range(1, max(numbers, default=0) + 1):
            if not video.grab():
                return
            if number in numbers:
                decoded, pixels = video.retrieve()
                if decoded:
                    yield number, np.ascontiguousarray(pixels[..., ::-1], np.uint8)


def opened_video(path: Path) -> cv2.VideoCapture:
    """A video at its start, to be released; `InputError` where the file is none."""
    # OpenCV's other readers take `0001.avi` for a series of pictures, or print where they fail.
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not video.isOpened():
        video.release()
        raise InputError(f"{path} cannot be opened as a video: fetch it again, or convert it to MP4.")
    return video


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    video = opened_video(path)
    try:
        yield video
    finally:
        video.release()
