from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fake_imagenet import CMYK, GREY, MISNAMED, write_imagenet

from wsss_lightning.data.imagenet import CAT_DOG_CLASSES, CatDogDataModule
from wsss_lightning.data.lists import MissingListError
from wsss_lightning.data.prepare.imagenet import prepare_imagenet
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.objects import open_data

HEADER = "image_id,image,cat,dog\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("imagenet")
    write_imagenet(root, place="train")
    prepare_imagenet(root, held_out=0.3, progress=False)
    return root


@pytest.fixture
def own(tmp_path: Path) -> Callable[[str], CatDogDataModule]:
    def write(text: str) -> CatDogDataModule:
        (tmp_path / "train.csv").write_text(text)
        return CatDogDataModule(root=tmp_path)

    return write


def tags(data: CatDogDataModule) -> dict[str, tuple[bool, ...]]:
    return {r.image_id: tuple(r.tags.tolist()) for split in ("train", "val") for r in data.records(split)}  # type: ignore[arg-type]


def test_tags_are_of_cat_and_dog_and_none_is_background(root: Path) -> None:
    data = CatDogDataModule(root=root)
    assert data.class_names == CAT_DOG_CLASSES == ("cat", "dog")
    found = tags(data)
    assert len(found) == 14
    assert {i for i, (cat, dog) in found.items() if cat and not dog} == {
        *("n02121620_1", "n02121620_12", "n02123045_3", "n02123045_40", "n02123045_41", "n02127052_7"),
    }
    assert {i for i, (cat, dog) in found.items() if dog and not cat} == {"n02084071_2", "n02113624_5", "n02113624_6"}
    assert sum(not any(both) for both in found.values()) == 5


def test_the_lists_are_apart(root: Path) -> None:
    data = CatDogDataModule(root=root)
    ids = [{record.image_id for record in data.records(split)} for split in ("train", "val")]
    assert ids[0] and ids[1] and not ids[0] & ids[1]


def test_one_class_can_be_kept_against_all_else(root: Path) -> None:
    found = tags(CatDogDataModule(root=root, classes=["dog"]))
    assert {i for i, (dog,) in found.items() if dog} == {"n02084071_2", "n02113624_5", "n02113624_6"}
    swapped = tags(CatDogDataModule(root=root, classes=["dog", "cat"]))
    assert swapped["n02084071_2"] == (True, False) and swapped["n02123045_3"] == (False, True)


def test_cmyk_grey_and_misnamed_images_are_three_channels(root: Path) -> None:
    dataset = CatDogDataModule(root=root, size=(8, 12)).dataset
    samples = {s["image_id"]: s for split in ("train", "val") for s in dataset(split)}  # type: ignore[arg-type, attr-defined]
    for name in (CMYK, GREY, MISNAMED):
        sample = samples[Path(name).stem]
        assert sample["image"].shape == (3, 8, 12) and sample["image"].dtype == torch.float32
        assert sample["size"].tolist() == [20, 30] and "mask" not in sample


def test_batches_have_tags_of_both_classes(root: Path) -> None:
    batch = next(iter(CatDogDataModule(root=root, size=(8, 8), batch_size=4).train_dataloader()))
    assert batch["tags"].shape == (4, 2) and batch["tags"].dtype == torch.bool


def test_there_are_no_masks_and_asking_for_one_says_so(root: Path) -> None:
    data = CatDogDataModule(root=root)
    record = data.records("val")[0]
    assert record.mask is None
    with pytest.raises(InputError, match=r"the mask of .*\.JPEG does not exist"):
        data.read_target(record)


def test_a_test_list_has_no_tags(root: Path) -> None:
    data = CatDogDataModule(root=root, test_list="held_out")
    assert len(data.records("test")) == len(data.records("val"))
    assert not any(record.tags.any() for record in data.records("test"))


def test_the_configuration_opens_it(root: Path) -> None:
    data = open_data("imagenet", root=root, overrides=["data.classes=[cat]"])
    assert isinstance(data, CatDogDataModule) and data.class_names == ("cat",)
    assert data.size == [300, 300] or data.size == (300, 300)
    assert len(data.records("train")) + len(data.records("val")) == 14


def test_a_missing_list_names_the_command_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(
        MissingListError, match=r"train\.csv does not exist: write it with `wsss data prepare imagenet`"
    ):
        CatDogDataModule(root=tmp_path).records("train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"train\.csv has not the columns image_id,image,cat,dog"),
        ("image,cat,dog\n", "has not the columns"),
        (HEADER, "names no image"),
        (HEADER + "a,a.jpg,1,0\na,b.jpg,0,0\n", "names a 2 times"),
        (HEADER + "a,a.jpg,1,0\nb,b.jpg,2,0\n", "line 3: .* is no id, image and two of 0, 1"),
        (HEADER + "a,a.jpg,1\n", "line 2: "),
        (HEADER + "a,a.jpg,1,0,0\n", "line 2: "),
        (HEADER + "a,a.jpg,1,0\n", r"a\.jpg does not exist: fetch the image, or take a off the list"),
    ],
)
def test_a_damaged_list_is_named(own: Callable[[str], CatDogDataModule], text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        own(text).records("train")


def test_a_list_that_is_no_text_is_named(own: Callable[[str], CatDogDataModule]) -> None:
    data = own(HEADER)
    (data.root / "train.csv").write_bytes(HEADER.encode() + b"\xff,a.jpg,1,0\n")
    with pytest.raises(InputError, match=r"train\.csv cannot be read"):
        data.records("train")
