import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_coco import write_coco

from wsss_lightning.data.classes import with_added, with_classes
from wsss_lightning.data.coco import COCO_CLASSES, COCO_IDS, COCODataModule
from wsss_lightning.data.coco_conventions import CocoConvention, Ids, write_convention
from wsss_lightning.data.coco_json import read_annotations
from wsss_lightning.data.masks import write_mask
from wsss_lightning.errors import InputError

SIZE = (24, 32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_coco(tmp_path)
    return tmp_path


def shown(data: COCODataModule, split: str = "train") -> list[list[str]]:
    return [[data.class_names[i] for i in np.flatnonzero(r.tags)] for r in data.records(split)]  # type: ignore[arg-type]


def change(path: Path, edit: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def put_mask(path: Path, *indices: int) -> Path:
    """A label map whose first pixels are `indices`."""
    mask = np.zeros(SIZE, np.uint8)
    mask[0, : len(indices)] = indices
    write_mask(path, mask)
    return path


def test_the_classes_are_cocos_eighty() -> None:
    assert len(set(COCO_CLASSES)) == len(set(COCO_IDS)) == 80
    assert COCO_CLASSES[0] == "person" and COCO_CLASSES[79] == "toothbrush"
    published = {"person": 1, "stop sign": 13, "giraffe": 25, "backpack": 27, "bed": 65, "toothbrush": 90}
    assert {name: COCO_IDS[COCO_CLASSES.index(name)] for name in published} == published
    assert list(COCO_IDS) == sorted(COCO_IDS)


def test_tags_are_the_instances_of_an_image_crowds_among_them(root: Path) -> None:
    change(root / "annotations" / "instances_train2014.json", lambda c: c["annotations"].pop(0))  # the crowd stays
    data = COCODataModule(root=root)
    assert shown(data) == [[COCO_CLASSES[n], COCO_CLASSES[n + 1]] for n in range(4)] + [[]]
    assert [r.image_id for r in data.records("val")] == ["COCO_val2014_000000000001", "COCO_val2014_000000000002"]


def test_gaps_in_the_category_ids_shift_no_class(root: Path) -> None:
    def edit(content: Any) -> None:
        giraffe = next(c["id"] for c in content["categories"] if c["name"] == "giraffe")
        assert giraffe == 25
        content["annotations"][0]["category_id"] = giraffe

    change(root / "annotations" / "instances_train2014.json", edit)
    assert shown(COCODataModule(root=root, classes=["giraffe", "zebra"])) == [["giraffe"], [], [], [], []]


def test_images_without_annotations_can_be_left_out(root: Path) -> None:
    def only_a_crowd(content: Any) -> None:
        content["annotations"] = [a for a in content["annotations"] if a["image_id"] != 4 or a["iscrowd"]]

    change(root / "annotations" / "instances_train2014.json", only_a_crowd)
    data = COCODataModule(root=root, untagged=False, test_list="test2014")
    assert [record.image_id[-1] for record in data.records("train")] == ["1", "2", "3", "4"]
    assert len(data.records("test")) == 1
    assert data.reader.known_counts == {"train2014": 82_081, "val2014": 40_137, "test2014": 40_775}
    assert COCODataModule(root=root).reader.known_counts["train2014"] == 82_783


def test_a_test_list_is_read_from_its_image_info(root: Path) -> None:
    data = COCODataModule(root=root, test_list="test2014", size=(8, 8))
    (record,) = data.records("test")
    assert record.image == root / "test2014" / "COCO_test2014_000000000001.jpg"
    assert record.tags.shape == (80,) and not record.tags.any()
    with pytest.raises(InputError, match=r"no image_info_val2014\.json"):
        COCODataModule(root=root, test_list="val2014").records("test")


def test_outlines_are_not_looked_at_for_tags(root: Path) -> None:
    def damage(content: Any) -> None:
        for annotation in content["annotations"]:
            annotation["segmentation"] = "nonsense"

    change(root / "annotations" / "instances_train2014.json", damage)
    assert len(COCODataModule(root=root).records("train")) == 5
    change(root / "annotations" / "instances_train2014.json", lambda c: [a.pop("area") for a in c["annotations"]])
    assert len(COCODataModule(root=root).records("train")) == 5


@pytest.mark.parametrize("outline", [None, False, True, [], [[1, 1]], [[1, 1, 4, 1, 4, 4]], {}])
def test_an_object_is_shapeless_whether_outlines_are_kept_or_not(root: Path, outline: Any) -> None:
    path = root / "annotations" / "instances_train2014.json"
    change(path, lambda content: content["annotations"][0].update(segmentation=outline))
    kept, dropped = (read_annotations(path, outlines=keep)["shapeless"] for keep in (True, False))
    assert kept == dropped == ([] if outline in (True, {}, [[1, 1, 4, 1, 4, 4]]) else [0])


@pytest.mark.parametrize("base", [".", "coco2014"])
@pytest.mark.parametrize(
    ("images", "annotations", "masks"),
    [
        ("{list}", "annotations", "SegmentationClass/{list}/{stem}.png"),
        ("images/{list}", "annotations", "SegmentationClass/{list}/{stem}.png"),
        ("JPEGImages/{list}", "Annotations", "SegmentationClass/{stem}.png"),
        ("JPEGImages/{split}", "annotations", "SegmentationClass/{split}/{stem}.png"),
        ("{list}", "Annotations", "mask/{list}/{number}.png"),
    ],
    ids=["ToCo", "images", "CLIP-ES", "afa", "ReCAM"],
)
def test_layouts_of_other_repositories(root: Path, base: str, images: str, annotations: str, masks: str) -> None:
    folder = root / base
    for name, split in {"train2014": "train", "val2014": "val"}.items():
        found = sorted((root / name).glob("*.jpg"))
        for number, path in enumerate(found, 1):
            put_mask(folder / masks.format(list=name, split=split, stem=path.stem, number=number), number)
        new = folder / images.format(list=name, split=split)
        new.parent.mkdir(parents=True, exist_ok=True)
        (root / name).rename(new)
    (root / "annotations").rename(folder / annotations)
    data = COCODataModule(root=root, size=SIZE)
    for split, count in (("train", 5), ("val", 2)):
        samples = list(data.dataset(split, with_masks=True))  # type: ignore[call-overload]
        assert [int(sample["mask"].max()) for sample in samples] == list(range(1, count + 1))


def test_a_mask_is_looked_for_only_when_it_is_asked_for(root: Path) -> None:
    data = COCODataModule(root=root)
    assert data.dataset("val")[0]["image_id"] == "COCO_val2014_000000000001"
    with pytest.raises(InputError, match=r"SegmentationClass/val2014/COCO_val2014_000000000001\.png does not exist"):
        data.read_target(data.records("val")[0])


def test_raw_ids_are_read_where_they_are_asked_for_or_recorded(root: Path) -> None:
    path = put_mask(root / "SegmentationClass" / "val2014" / "COCO_val2014_000000000001.png", 1, 13, 90, 255)
    put_mask(path.with_name("COCO_val2014_000000000002.png"))
    for given in ("raw", "auto"):
        data = COCODataModule(root=root, ids=given, classes=["toothbrush", "stop sign"])
        target = data.read_target(data.records("val")[0])
        assert target[0, :5].tolist() == [255, 2, 1, 255, 0]
        assert data.dataset("val", with_masks=True)[0]["mask"][0, :5].tolist() == [255, 2, 1, 255, 0]
        assert data.decode(target)[0, :5].tolist() == [255, 13, 90, 255, 0]
        write_convention(path.parent, CocoConvention(ids=Ids.RAW))


def test_every_raw_id_comes_back(root: Path) -> None:
    data = COCODataModule(root=root, ids="raw")
    mask = np.array([[0, *COCO_IDS, 255]], np.uint8)
    labels = data.encode(mask, root)
    assert labels.tolist() == [[*range(81), 255]]
    assert np.array_equal(data.decode(labels), mask)


@pytest.mark.parametrize(("ids", "index", "other"), [("raw", 12, "contiguous"), ("raw", 91, "contiguous")])
@pytest.mark.parametrize("contiguous", [81, 90, 254])
def test_an_index_that_the_convention_does_not_have_is_refused(
    root: Path, ids: str, index: int, other: str, contiguous: int
) -> None:
    path = put_mask(root / "SegmentationClass" / "val2014" / "COCO_val2014_000000000001.png", 1, index)
    data = COCODataModule(root=root, ids=ids)
    with pytest.raises(InputError, match=rf"1\.png holds index {index}, .* {ids} ids: set data\.ids={other}"):
        data.read_target(data.records("val")[0])
    put_mask(path, 1, contiguous)
    with pytest.raises(InputError, match=rf"holds index {contiguous}, .* contiguous ids: set data\.ids=raw"):
        COCODataModule(root=root).read_target(data.records("val")[0])


def test_other_kept_classes_keep_the_convention(root: Path) -> None:
    mask = np.array([[1, 13, 90]], np.uint8)
    data = COCODataModule(root=root, ids="raw", classes=["person"])
    assert with_classes(data=data, classes=["toothbrush"]).encode(mask, root).tolist() == [[255, 255, 1]]
    grown = with_added(data=data, classes=["stop sign", "unicorn"])
    assert grown.encode(mask, root).tolist() == [[1, 2, 255]]
    assert grown.decode(np.array([[1, 2, 3]], np.uint8)).tolist() == [[1, 13, 91]]


def test_label_maps_of_other_classes_are_refused_and_added_classes_are_not(root: Path) -> None:
    folder = put_mask(root / "SegmentationClass" / "val2014" / "any.png", 1).parent
    write_convention(folder, CocoConvention(names=("dent", "scratch")))
    with pytest.raises(InputError, match=r"painted with the classes dent, scratch, data\.names has person, .*\(80\)"):
        COCODataModule(root=root)
    record = folder / "conversion.json"
    record.write_text(json.dumps({k: v for k, v in json.loads(record.read_text()).items() if k != "names"}))
    assert len(COCODataModule(root=root).class_names) == 80, "a record of an older version says no classes"
    write_convention(folder, CocoConvention())
    assert with_added(data=COCODataModule(root=root), classes=["unicorn"]).class_names[-1] == "unicorn"


def test_conventions_are_never_mixed(root: Path) -> None:
    masks = root / "SegmentationClass"
    for name, ids in {"train2014": Ids.RAW, "val2014": Ids.CONTIGUOUS}.items():
        put_mask(masks / name / "any.png", 1)
        write_convention(masks / name, CocoConvention(ids=ids))
    with pytest.raises(InputError, match=r"two conventions \(raw in .*train2014, contiguous in .*val2014\)"):
        COCODataModule(root=root)
    write_convention(masks / "val2014", CocoConvention(ids=Ids.RAW))
    with pytest.raises(InputError, match=r"contiguous in data\.ids"):
        COCODataModule(root=root, ids="contiguous")
    assert COCODataModule(root=root).labels.ids is Ids.RAW  # type: ignore[attr-defined]
    (masks / "val2014" / "conversion.json").write_text('{"ids": "both"}')
    with pytest.raises(InputError, match=r"conversion\.json is no record of a conversion .* --overwrite"):
        COCODataModule(root=root)


def test_ids_are_those_of_cocos_own_classes(root: Path) -> None:
    with pytest.raises(InputError, match="ids='ninety' is unknown: choose from auto, contiguous, raw"):
        COCODataModule(root=root, ids="ninety")
    with pytest.raises(InputError, match=r"raw ids are those of COCO's own classes"):
        COCODataModule(root=root, ids="raw", names=("egg", "brick"))


IMAGE = '{"images": [{"id": 1, "file_name": "a"}], '


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"instances_train2014\.json cannot be read"),
        ("[]", "has no list images, categories, annotations"),
        ('{"images": 5, "annotations": [1], "categories": []}', "has no list images, annotations:"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "entry 0 of images has no file_name"),
        (
            IMAGE + '"annotations": [], "categories": [{"id": 1, "name": "unicorn"}]}',
            "category 'unicorn'",
        ),
        (
            IMAGE + '"annotations": [{"image_id": 1, "category_id": 12}], "categories": []}',
            r"entry 0 of annotations \(id .*\) has the category_id 12, which no entry has",
        ),
    ],
)
def test_damaged_annotations_are_named(root: Path, content: str, message: str) -> None:
    (root / "annotations" / "instances_train2014.json").write_text(content)
    with pytest.raises(InputError, match=message):
        COCODataModule(root=root).records("train")


def test_missing_annotations_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no instances_train2014\.json: put .*coco2014/Annotations/instances"):
        COCODataModule(root=tmp_path).records("train")
