"""Every fault of a data set, in a tiny VOC folder: `wsss data check` finds it and ends with the status it should."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_data import write_voc
from PIL import Image
from typer.testing import CliRunner

from wsss_lightning import cli
from wsss_lightning.data.masks import read_mask, write_mask
from wsss_lightning.errors import InputError

TRAIN, VAL = ["2007_000001", "2007_000002", "2008_000003"], ["2007_000006", "2007_000007"]


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str
    report: dict[str, Any]

    def found(self, level: str) -> list[tuple[str, str, str | None]]:
        return [(one["kind"], one["split"], one["image_id"]) for one in self.report[level]]


Check = Callable[..., Ended]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_voc(tmp_path / "VOC2012")
    return tmp_path / "VOC2012"


@pytest.fixture
def check(root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Check:
    def run(*arguments: str) -> Ended:
        file = root.parent / "report.json"
        options = ("--root", str(root), "--processes", "1", "--json", str(file), "data.train_list=train")
        monkeypatch.setattr(sys, "argv", ["wsss", "data", "check", "voc", *options, *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        report = json.loads(file.read_text()) if file.exists() else {}
        return Ended(int(ended.value.code or 0), captured.out, captured.err, report)

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(cli, "prepare_process", lambda: None)  # it replaces the handlers of pytest's own logging
    return run


def _image(root: Path, image_id: str) -> Path:
    return root / "JPEGImages" / f"{image_id}.jpg"


def _mask(root: Path, image_id: str) -> Path:
    return root / "SegmentationClass" / f"{image_id}.png"


def _list(root: Path, name: str) -> Path:
    return root / "ImageSets" / "Segmentation" / f"{name}.txt"


def _truncate(root: Path) -> None:
    path = _image(root, TRAIN[0])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _remove_image(root: Path) -> None:
    _image(root, TRAIN[1]).unlink()


def _colour_mask(root: Path) -> None:
    path = _mask(root, TRAIN[0])
    Image.open(path).convert("RGB").save(path)


def _enlarge_mask(root: Path) -> None:
    write_mask(_mask(root, VAL[0]), np.zeros((25, 32), np.uint8))


def _write_unknown_index(root: Path) -> None:
    write_mask(_mask(root, VAL[1]), np.full((24, 32), 21, np.uint8))


def _add_class_to_mask(root: Path) -> None:
    mask = read_mask(_mask(root, TRAIN[2]))
    mask[0, 0] = 20
    write_mask(_mask(root, TRAIN[2]), mask)


def _share_an_image(root: Path) -> None:
    with _list(root, "val").open("a") as file:
        file.write(f"{TRAIN[0]}\n")


def _remove_val_mask(root: Path) -> None:
    _mask(root, VAL[0]).unlink()
    (root / "SegmentationClassAug" / f"{VAL[0]}.png").unlink()


def _damage_annotation(root: Path) -> None:
    (root / "Annotations" / f"{TRAIN[1]}.xml").write_text("<annotation>")


def _name_an_unknown_class(root: Path) -> None:
    path = root / "Annotations" / f"{VAL[0]}.xml"
    path.write_text(path.read_text().replace("<name>bus</name>", "<name>lorry</name>"))


def _remove_train_list(root: Path) -> None:
    _list(root, "train").unlink()


def _damage_list(root: Path) -> None:
    _list(root, "val").write_text(f"{VAL[0]} -1\n")


def _name_a_test_image_twice(root: Path) -> None:
    _list(root, "test").write_text("a\na\n")


def _list_a_missing_test_image(root: Path) -> None:
    _list(root, "test").write_text("2009_000009\n")


@pytest.mark.parametrize(
    ("damage", "kind", "split", "image_id"),
    [
        (_truncate, "unreadable image", "train", TRAIN[0]),
        (_remove_image, "missing image", "train", TRAIN[1]),
        (_colour_mask, "unreadable mask", "train", TRAIN[0]),
        (_enlarge_mask, "mask of another size", "val", VAL[0]),
        (_write_unknown_index, "unknown index", "val", VAL[1]),
        (_add_class_to_mask, "pixels without tag", "train", TRAIN[2]),
        (_share_an_image, "image in two lists", "val", TRAIN[0]),
        (_remove_val_mask, "missing mask", "val", VAL[0]),
        (_damage_annotation, "unreadable tags", "train", TRAIN[1]),
        (_name_an_unknown_class, "unreadable tags", "val", VAL[0]),
        (_remove_train_list, "no list", "train", None),
        (_damage_list, "unusable list", "val", None),
        (_name_a_test_image_twice, "unusable list", "test", None),
        (_list_a_missing_test_image, "missing image", "test", "2009_000009"),
    ],
)
def test_a_fault_is_found_alone_and_is_an_error(
    root: Path, check: Check, damage: Callable[[Path], None], kind: str, split: str, image_id: str | None
) -> None:
    damage(root)
    ended = check()
    assert ended.found("errors") == [(kind, split, image_id)]
    assert ended.status == 1
    assert f"error: {kind}" in ended.out and "errors: 1," in ended.out
    assert (image_id or ".txt") in ended.report["errors"][0]["message"]
    assert ended.report["errors"][0]["message"] not in {note["message"] for note in ended.report["notes"]}


def test_a_folder_in_order_shows_notes_and_ends_with_status_0(check: Check) -> None:
    ended = check()
    assert (ended.status, ended.report["errors"]) == (0, [])
    unseen = [("tag without pixels", "train", image_id) for image_id in TRAIN]
    unseen += [("tag without pixels", "val", image_id) for image_id in VAL]
    counts = [("other count", "train", None), ("other count", "val", None)]
    # All images show a bird; 17 classes have no image, one has one; some images are in no list.
    doubts = [("worth a look", "train", None)] * 4
    assert ended.found("notes") == [("no list", "test", None), *counts, *unseen, *doubts]
    assert "errors: 0, notes: 12" in ended.out and "no pixel of bird" in ended.out
    assert "1,464" in ended.out and "aeroplane" in ended.out


def test_strict_wants_the_published_lists_and_the_test_list(check: Check) -> None:
    ended = check("--strict")
    assert ended.status == 1
    kinds = [("no list", "test", None), ("other count", "train", None), ("other count", "val", None)]
    assert ended.found("errors") == kinds
    assert check("--strict", "data.test_list=null").found("errors") == kinds[1:]


def test_all_faults_are_collected_at_once(root: Path, check: Check) -> None:
    for damage in (_truncate, _remove_image, _enlarge_mask, _write_unknown_index, _add_class_to_mask):
        damage(root)
    assert check().found("errors") == [
        ("missing image", "train", TRAIN[1]),
        ("unreadable image", "train", TRAIN[0]),
        ("mask of another size", "val", VAL[0]),
        ("unknown index", "val", VAL[1]),
        ("pixels without tag", "train", TRAIN[2]),
    ]


def test_without_masks_their_faults_are_not_seen_but_images_are(root: Path, check: Check) -> None:
    for damage in (_colour_mask, _enlarge_mask, _write_unknown_index, _add_class_to_mask, _remove_val_mask):
        damage(root)
    ended = check("--no-masks")
    assert ended.status == 0 and "tag without pixels" not in ended.out
    assert ended.report["splits"]["train"]["masks"] == 0
    _truncate(root)
    assert check("--no-masks").found("errors") == [("unreadable image", "train", TRAIN[0])]


def test_many_faults_of_a_kind_are_counted_and_the_first_three_are_shown(root: Path, check: Check) -> None:
    for image_id in [*TRAIN, "2009_000004", "2010_000005"]:
        _image(root, image_id).unlink()
    _list(root, "train").write_text("\n".join([*TRAIN, "2009_000004", "2010_000005"]))
    ended = check()
    assert len(ended.report["errors"]) == 5
    assert all(f"JPEGImages/{image_id}.jpg does not exist" in ended.out for image_id in TRAIN)
    assert "2009_000004.jpg" not in ended.out


def test_the_kept_classes_alone_are_counted_and_compared(root: Path, check: Check) -> None:
    _add_class_to_mask(root)  # tvmonitor
    ended = check("data.classes=[bird,bicycle]")
    assert ended.report["splits"]["train"]["classes"] == {"bird": 3, "bicycle": 2}
    assert ended.status == 0 and "tvmonitor" not in ended.out
    untagged = [("image without tag", "val", image_id) for image_id in VAL]
    assert [found for found in ended.found("notes") if found[0] == "image without tag"] == untagged


def test_a_data_set_that_is_not_there_is_one_sentence(check: Check, root: Path) -> None:
    (root / "JPEGImages").rename(root / "elsewhere")
    ended = check()
    assert ended.status == 1 and ended.report == {}
    assert ended.err.startswith("wsss: no VOC data set") and len(ended.err.splitlines()) == 1
    assert ended.out == ""


def test_a_folder_where_an_override_is_expected_is_told_its_option(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"^{tmp_path} is a folder: .* --root {tmp_path}\.$"):
        CliRunner().invoke(cli.app, ["data", "check", "voc", str(tmp_path)], catch_exceptions=False)
