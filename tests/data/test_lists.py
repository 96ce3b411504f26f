from pathlib import Path

import pytest

from wsss_lightning.data.lists import find_list, read_list
from wsss_lightning.errors import InputError

IDS = ["2007_000032", "2007_000039"]


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "2007_000032\n2007_000039\n",
        "2007_000032\n2007_000039",
        "\n2007_000032\n  \n2007_000039\n\n",
        "2007_000032\r\n2007_000039\r\n",
        "\ufeff2007_000032\n2007_000039\n",
        "/JPEGImages/2007_000032.jpg /SegmentationClassAug/2007_000032.png\n"
        "/JPEGImages/2007_000039.jpg /SegmentationClassAug/2007_000039.png\n",
        "2007_000032.jpg 0\n2007_000039.jpg 1\n",
        "2007_000032.JPG\n2007_000039.jpg\n",
    ],
    ids=["id", "no newline", "blank lines", "windows", "byte order mark", "psa", "sec", "file names"],
)
def test_every_format_of_the_field_gives_the_ids(tmp_path: Path, text: str) -> None:
    assert read_list(_write(tmp_path / "train.txt", text)) == IDS


def test_order_is_kept_and_dots_of_an_id_too(tmp_path: Path) -> None:
    assert read_list(_write(tmp_path / "a.txt", "b\na.v2\nc\n")) == ["b", "a.v2", "c"]


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_list_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"a\.txt names no image"):
        read_list(_write(tmp_path / "a.txt", text))


def test_a_duplicate_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.txt names 2007_000039 2 times"):
        read_list(_write(tmp_path / "a.txt", "2007_000032\n2007_000039\n2007_000039.jpg 4\n"))


@pytest.mark.parametrize(
    "line", ["2008_000008 -1", "2008_000008  1", "/JPEGImages/a.jpg /Masks/b.png", "a.jpg 1 2", "../a", "x/y"]
)
def test_a_line_of_another_format_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"a\.txt, line 2: "):
        read_list(_write(tmp_path / "a.txt", f"2007_000032\n{line}\n"))


def test_a_missing_or_binary_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.txt cannot be read"):
        read_list(tmp_path / "none.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match=r"binary\.txt cannot be read"):
        read_list(tmp_path / "binary.txt")


@pytest.mark.parametrize("asked", ["train_aug", "trainaug", "aug"])
@pytest.mark.parametrize("written", ["train_aug", "trainaug", "aug"])
@pytest.mark.parametrize("folder", ["Segmentation", "SegmentationAug"])
def test_the_three_names_of_the_augmented_list_are_one(tmp_path: Path, asked: str, written: str, folder: str) -> None:
    path = _write(tmp_path / "ImageSets" / folder / f"{written}.txt", "a\n")
    assert find_list(tmp_path, asked) == path


def test_the_name_that_was_asked_for_comes_first(tmp_path: Path) -> None:
    _write(tmp_path / "ImageSets/Segmentation/train_aug.txt", "a\n")
    path = _write(tmp_path / "ImageSets/SegmentationAug/aug.txt", "a\n")
    assert find_list(tmp_path, "aug") == path


def test_train_is_not_taken_for_train_aug(tmp_path: Path) -> None:
    _write(tmp_path / "ImageSets/Segmentation/train.txt", "a\n")
    with pytest.raises(InputError, match="train_aug") as error:
        find_list(tmp_path, "train_aug")
    for name in ("Segmentation/train_aug.txt", "SegmentationAug/trainaug.txt", "SegmentationAug/aug.txt"):
        assert str(tmp_path / "ImageSets" / name) in str(error.value)


def test_a_missing_split_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        find_list(tmp_path, "val")
    assert str(tmp_path / "ImageSets/Segmentation/val.txt") in str(error.value)
    assert str(tmp_path / "ImageSets/SegmentationAug/val.txt") in str(error.value)
