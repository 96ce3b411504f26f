from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_models import picture

from wsss_lightning.errors import InputError
from wsss_lightning.inference.pictures import PictureFile, PictureReader, find_pictures


def write_video(path: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), 20 * number, np.uint8))
    writer.release()
    return path


def test_files_folders_patterns_and_videos_are_found_and_named(tmp_path: Path) -> None:
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    for name in ("photos/b.png", "photos/deep/a.jpg", "photos/.hidden.png", "a.png"):
        picture(8, 8).save(tmp_path / name)
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    write_video(tmp_path / "clip.avi", 5)
    (tmp_path / "broken.avi").write_bytes(b"no video")
    inputs = [str(tmp_path / name) for name in ("photos", "*.png", "a.png", "clip.avi", "broken.avi")]
    found, faults = find_pictures(inputs, every=2)
    names = ["b", "deep/a", "a", "a-2", "clip/000001", "clip/000003", "clip/000005"]
    assert [each.name for each in found] == names and found[-1].frame == 5
    assert len(faults) == 1 and "broken.avi" in faults[0]
    for missing in ("none", "*.gif"):
        with pytest.raises(InputError, match="There is no picture"):
            find_pictures([str(tmp_path / missing)])


def test_a_number_never_takes_the_name_of_another_file_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("same.jpg", "same.png", "same-2.png"):
        picture(8, 8).save(tmp_path / name)
    with caplog.at_level("INFO", logger="wsss_lightning"):
        found, _ = find_pictures([str(tmp_path)])
    assert {each.name: each.path.name for each in found} == {
        "same": "same.jpg",
        "same-3": "same.png",
        "same-2": "same-2.png",
    }
    assert "same.png is called same-3 here: another picture has its name" in caplog.text


def test_frames_are_read_in_any_order_and_missing_ones_named(tmp_path: Path) -> None:
    path, reader = write_video(tmp_path / "clip.avi", 5), PictureReader()
    for number in (1, 3, 2):
        pixels = reader.read(PictureFile("", path, number))
        assert pixels.shape == (48, 64, 3) and abs(float(pixels.mean()) - 20 * (number - 1)) < 3
    with pytest.raises(InputError, match="behind frame 5"):
        reader.read(PictureFile("", path, 6))
