import json
from pathlib import Path

import numpy as np
import pytest
from fake_data import write_coco

from wsss_lightning.data.coco import COCO_CLASSES, COCODataModule
from wsss_lightning.errors import InputError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_coco(tmp_path)
    return tmp_path


def shown(data: COCODataModule, split: str = "train") -> list[list[str]]:
    return [[data.class_names[i] for i in np.flatnonzero(r.tags)] for r in data.records(split)]  # type: ignore[arg-type]


def test_the_classes_are_cocos_eighty() -> None:
    assert len(set(COCO_CLASSES)) == 80
    assert COCO_CLASSES[0] == "person" and COCO_CLASSES[79] == "toothbrush"
    assert COCO_CLASSES.index("giraffe") == 23  # category id 25: 12 is the only gap before it


def test_tags_are_the_instances_of_an_image_crowds_among_them(root: Path) -> None:
    data = COCODataModule(root=root)
    assert shown(data) == [[COCO_CLASSES[n], COCO_CLASSES[n + 1]] for n in range(4)] + [[]]
    assert [r.image_id for r in data.records("val")] == ["COCO_val2014_000000000001", "COCO_val2014_000000000002"]


def test_gaps_in_the_category_ids_shift_no_class(root: Path) -> None:
    path = root / "annotations" / "instances_train2014.json"
    content = json.loads(path.read_text())
    giraffe = next(c["id"] for c in content["categories"] if c["name"] == "giraffe")
    assert giraffe == 25
    content["annotations"][0]["category_id"] = giraffe
    path.write_text(json.dumps(content))
    assert shown(COCODataModule(root=root, classes=["giraffe", "zebra"])) == [["giraffe"], [], [], [], []]


def test_images_without_annotations_can_be_left_out(root: Path) -> None:
    assert len(COCODataModule(root=root, untagged=False).records("train")) == 4


def test_images_may_lie_in_a_folder_of_their_own(root: Path) -> None:
    (root / "images").mkdir()
    for name in ("train2014", "val2014"):
        (root / name).rename(root / "images" / name)
    data = COCODataModule(root=root, size=(8, 8))
    assert data.dataset("train")[0]["image"].shape == (3, 8, 8)


def test_a_mask_is_looked_for_only_when_it_is_asked_for(root: Path) -> None:
    data = COCODataModule(root=root)
    assert data.dataset("val")[0]["image_id"] == "COCO_val2014_000000000001"
    with pytest.raises(InputError, match=r"SegmentationClass/val2014/COCO_val2014_000000000001\.png does not exist"):
        data.read_target(data.records("val")[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"instances_train2014\.json cannot be read"),
        ("{}", "has no images, annotations, categories"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "unicorn"}]}', "category 'unicorn'"),
    ],
)
def test_damaged_annotations_are_named(root: Path, content: str, message: str) -> None:
    (root / "annotations" / "instances_train2014.json").write_text(content)
    with pytest.raises(InputError, match=message):
        COCODataModule(root=root).records("train")


def test_missing_annotations_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train2014\.json cannot be read .*put COCO's annotation file there"):
        COCODataModule(root=tmp_path).records("train")
