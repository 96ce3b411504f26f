import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_coco import BESIDE, CROWD, LARGE, SMALL, write_coco
from numpy.typing import NDArray
from typer.testing import CliRunner

from wsss_lightning.cli import app, main
from wsss_lightning.data.coco import COCO_IDS, COCODataModule
from wsss_lightning.data.coco_annotations import COCO_CLASSES
from wsss_lightning.data.coco_conventions import CocoConvention
from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.prepare.coco import prepare_list

SIZE = (24, 32)
Refused = Callable[..., str]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_coco(tmp_path)
    return tmp_path


def prepare(root: Path, *options: str) -> str:
    done = CliRunner().invoke(app, ["data", "prepare", "coco", "--root", str(root), *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def refused(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """The one sentence with which the command ends, as a user meets it."""

    def sentence(*options: str) -> str:
        monkeypatch.setattr(sys, "argv", ["wsss", "data", "prepare", "coco", "--root", str(root), *options])
        with pytest.raises(SystemExit) as stop:
            main()
        if isinstance(stop.value.code, str):  # Python prints it and exits with status 1
            print(stop.value.code, file=sys.stderr)
        else:
            assert stop.value.code == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("wsss: ") and line.endswith(".")
        return line

    return sentence


def masks(root: Path, list_name: str = "train2014") -> dict[str, NDArray[np.uint8]]:
    return {path.stem[-1]: read_mask(path) for path in sorted((root / "SegmentationClass" / list_name).glob("*.png"))}


def expected(
    number: int, *, small_on_top: bool = True, crowd: int = 255, raw: bool = False, empty: bool = False
) -> NDArray[np.uint8]:
    """The label map of image `number` of `write_coco`."""
    large, small = COCO_IDS[number - 1 : number + 1] if raw else (number, number + 1)
    mask = np.zeros(SIZE, np.uint8)
    if not empty:
        layers = [(CROWD, crowd), (LARGE, large), (BESIDE, large), *([(SMALL, small)] if small_on_top else [])]
        for region, value in layers:
            mask[region] = value
    return mask


def change(root: Path, edit: Callable[[Any], object], list_name: str = "train2014") -> None:
    path = root / "annotations" / f"instances_{list_name}.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


OPTIONS: list[tuple[list[str], dict[str, Any]]] = [
    ([], {}),
    (["--overlap", "last"], {"small_on_top": False}),
    (["--crowd", "drop"], {"crowd": 0}),
    (["--ids", "raw"], {"raw": True}),
    (["--overlap", "last", "--crowd", "drop", "--ids", "raw"], {"small_on_top": False, "crowd": 0, "raw": True}),
]


@pytest.mark.parametrize(("options", "wanted"), OPTIONS, ids=lambda value: " ".join(value) or "defaults")
def test_label_maps_are_painted_as_the_options_say(root: Path, options: list[str], wanted: dict[str, Any]) -> None:
    shutil.rmtree(root / "annotations")
    write_coco(root, train=14)  # beyond the first gap of the category ids
    prepare(root, *options)
    found = {path.stem: read_mask(path) for path in (root / "SegmentationClass" / "train2014").glob("*.png")}
    assert len(found) == 14 and len(masks(root, "val2014")) == 2
    for number in range(1, 15):
        mask = expected(number, empty=number == 14, **wanted)
        assert np.array_equal(found[f"COCO_train2014_{number:012d}"], mask)


@pytest.mark.parametrize("options", [[], ["--ids", "raw"]], ids=["contiguous", "raw"])
def test_the_reader_reads_what_was_painted(root: Path, options: list[str]) -> None:
    prepare(root, *options)
    data = COCODataModule(root=root)
    for number, record in enumerate(data.records("train"), 1):
        assert np.array_equal(data.read_target(record), expected(number, empty=number == 5))


def test_the_summary_counts_beside_the_published_numbers(root: Path) -> None:
    text = prepare(root)
    assert "train2014: 5 images (known: 82,783), 4 with annotations (known: 82,081)" in text
    assert "val2014: 2 images (known: 40,504), 1 with annotations (known: 40,137)" in text
    assert "5 label maps in " in text and "5 of them painted now" in text


def test_the_options_are_recorded_beside_the_label_maps(root: Path) -> None:
    prepare(root, "--list", "val2014", "--crowd", "drop")
    assert [path.name for path in (root / "SegmentationClass").iterdir()] == ["val2014"]
    record = json.loads((root / "SegmentationClass" / "val2014" / "conversion.json").read_text())
    options = {"overlap": "smallest", "crowd": "drop", "ids": "contiguous", "untagged": "keep"}
    assert record == options | {"names": [*COCO_CLASSES]}


def test_images_without_annotations_are_dropped_but_not_those_with_a_crowd_alone(root: Path) -> None:
    def only_a_crowd(content: Any) -> None:
        content["annotations"] = [a for a in content["annotations"] if a["image_id"] != 4 or a["iscrowd"]]

    change(root, only_a_crowd)
    text = prepare(root, "--untagged", "drop", "--crowd", "drop", "--list", "train2014")
    assert "5 images (known: 82,783), 4 with annotations" in text and "4 label maps" in text
    assert masks(root).keys() == {"1", "2", "3", "4"} and not masks(root)["4"].any()


def test_a_second_call_paints_only_what_is_missing(root: Path) -> None:
    prepare(root, "--processes", "2")
    folder = root / "SegmentationClass" / "train2014"
    (folder / "COCO_train2014_000000000002.png").unlink()
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert "train2014: 5 label maps" in (text := prepare(root)) and "1 of them painted now" in text
    after = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert {path.suffix for path in after if before.get(path) != after[path]} == {".png", ".json"}
    assert len(after) == 6 and np.array_equal(masks(root)["2"], expected(2))


def test_label_maps_of_other_options_are_not_added_to(root: Path, refused: Refused) -> None:
    prepare(root, "--list", "val2014", "--ids", "raw")
    sentence = refused()  # seen before train2014 is painted
    assert "val2014 was painted with other options" in sentence
    assert "ids raw" in sentence and sentence.endswith("--overwrite.")
    assert not (root / "SegmentationClass" / "train2014").exists()
    assert np.array_equal(masks(root, "val2014")["1"], expected(1, raw=True))
    prepare(root, "--overwrite")
    assert np.array_equal(masks(root, "val2014")["1"], expected(1))


def test_an_interrupted_overwriting_leaves_no_mixture(root: Path, refused: Refused) -> None:
    prepare(root, "--overlap", "last")

    def damage(content: Any) -> None:
        content["annotations"][-1]["segmentation"] = {"size": [24, 32], "counts": [5]}

    change(root, damage)
    sentence = refused("--overwrite")
    assert "instances_train2014.json, image COCO_train2014_000000000004: annotation 42" in sentence
    assert all(np.array_equal(mask, expected(int(n), empty=n == "5")) for n, mask in masks(root).items())
    assert "other options" in refused("--overlap", "last")


def test_label_maps_of_unknown_options_are_not_added_to(root: Path, refused: Refused) -> None:
    prepare(root)
    (root / "SegmentationClass" / "train2014" / "conversion.json").unlink()
    sentence = refused()
    assert "train2014 holds masks but no conversion.json: move them away" in sentence


def test_a_missing_list_is_named_before_anything_is_painted(root: Path, refused: Refused) -> None:
    sentence = refused("--list", "train2014", "--list", "val2017")
    assert "no instances_val2017.json: put COCO's annotation file at one of" in sentence
    assert not (root / "SegmentationClass").exists()


@pytest.mark.parametrize("outline", [[], None, [[1, 2, 3, 4]], [[1, 2], [8, 2], [8, 9]]])
def test_objects_without_an_outline_are_counted_and_with_strict_refused(
    root: Path, refused: Refused, outline: object
) -> None:
    change(root, lambda content: content["annotations"][2].update(segmentation=outline))
    assert "1 of 12 objects have no outline" in refused("--strict")
    assert not (root / "SegmentationClass").exists()
    done = prepare_list(root, "train2014", convention=CocoConvention())
    assert done.shapeless.endswith("annotation 12 of image 1 first")
    change(root, lambda content: content["annotations"][2].pop("segmentation"))
    assert prepare_list(root, "train2014", convention=CocoConvention()).shapeless == done.shapeless


def test_classes_of_ones_own_are_painted(root: Path, refused: Refused) -> None:
    def rename(content: Any) -> None:
        content["categories"] = [{"id": 7, "name": "scratch"}, {"id": "d", "name": "dent"}]
        for place, annotation in enumerate(content["annotations"]):
            annotation["category_id"] = (7.0, "d")[place % 2]

    change(root, rename)
    assert "which is no class: give all of them as --names" in refused()
    assert "raw ids are those of COCO's own classes" in refused("--names", "scratch,dent", "--ids", "raw")
    assert prepare_list(root, "train2014", convention=CocoConvention(names=("dent", "scratch"))).painted == 5
    assert {int(value) for mask in masks(root).values() for value in np.unique(mask)} == {0, 1, 2, 255}


def test_label_maps_of_other_classes_or_another_order_are_not_added_to(root: Path, refused: Refused) -> None:
    def rename(content: Any) -> None:
        content["categories"] = [{"id": 1, "name": "scratch"}, {"id": 2, "name": "dent"}]
        for place, annotation in enumerate(content["annotations"]):
            annotation["category_id"] = 1 + place % 2

    change(root, rename)
    prepare(root, "--list", "train2014", "--names", "scratch,dent")
    before = masks(root)
    sentence = refused("--list", "train2014", "--names", "dent,scratch")
    assert "painted with other options (" in sentence and "names scratch, dent)" in sentence
    assert all(np.array_equal(mask, before[name]) for name, mask in masks(root).items())
    record = root / "SegmentationClass" / "train2014" / "conversion.json"
    content = json.loads(record.read_text())
    record.write_text(json.dumps({name: value for name, value in content.items() if name != "names"}))
    assert "names unsaid)" in refused("--list", "train2014", "--names", "scratch,dent")
    prepare(root, "--list", "train2014", "--names", "dent,scratch", "--overwrite")
    assert np.array_equal(masks(root)["1"] == 1, before["1"] == 2)


def test_two_images_of_one_name_are_refused_before_one_is_painted(root: Path, refused: Refused) -> None:
    change(root, lambda content: content["images"][1].update(file_name="b/" + content["images"][0]["file_name"]))
    sentence = refused()
    assert "both have the id COCO_train2014_000000000001" in sentence and " b/COCO" in sentence
    assert not (root / "SegmentationClass").exists()


def test_painting_needs_no_image_and_no_torch(root: Path) -> None:
    shutil.rmtree(root / "train2014")
    code = (
        "import sys; from pathlib import Path; from wsss_lightning.data.prepare.coco import *; "
        f"prepare_list(Path({str(root)!r}), 'train2014', convention=CocoConvention()); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert len(masks(root)) == 5
