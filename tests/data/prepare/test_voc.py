from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from fake_data import fake_mask, fake_tags
from fake_sbd import EXTRA, NUMBERS, SIZE, TRAIN, VAL
from typer.testing import CliRunner, Result

from wsss_lightning import cli
from wsss_lightning.data import tags
from wsss_lightning.data.lists import find_list, read_list
from wsss_lightning.data.masks import read_mask, write_mask
from wsss_lightning.data.pickles import read_pickled_arrays
from wsss_lightning.data.prepare.voc import KNOWN, augmented, prepare_voc
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError


def run(root: Path, *arguments: str) -> Result:
    command = ["data", "prepare", "voc", "--root", str(root), "--processes", "1", *arguments]
    return CliRunner().invoke(cli.app, command, catch_exceptions=False)


def times(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_reader_opens_what_was_prepared(root: Path, voc2012: Path) -> None:
    ended = run(root)
    assert ended.exit_code == 0
    module = VOCDataModule(root=root, train_list="train_aug")
    assert module.root == voc2012 and find_list(voc2012, "train_aug").parent.name == "SegmentationAug"
    records = module.records("train")
    assert [record.image_id for record in records] == TRAIN + EXTRA
    for record in records:
        number = NUMBERS[record.image_id]
        expected = fake_mask(number, SIZE, 20, border=record.image_id in TRAIN)
        assert np.array_equal(module.read_target(record), expected)
    assert read_list(voc2012 / "ImageSets/SegmentationAug/trainval_aug.txt") == TRAIN + EXTRA + VAL


def test_the_masks_are_vocs_own_with_their_border_and_sbds_without(root: Path, voc2012: Path) -> None:
    run(root)
    found = {path.stem: read_mask(path) for path in (voc2012 / "SegmentationClassAug").iterdir()}
    assert sorted(found) == sorted(NUMBERS)
    for image_id, mask in found.items():
        assert np.array_equal(mask, fake_mask(NUMBERS[image_id], SIZE, 20, border=image_id not in EXTRA))
        assert (255 in mask) == (image_id not in EXTRA)


def test_the_counts_stand_beside_the_known_ones(root: Path) -> None:
    ended = run(root)
    rows = {line.split("│")[1].strip(): line.split("│")[2:4] for line in ended.stdout.splitlines() if "│" in line}
    counts = {name: (int(here), int(known.replace(",", ""))) for name, (here, known) in rows.items()}
    here = {"VOC train": 3, "VOC val": 2, "SBD train": 3, "SBD val": 3, "train_aug": 5, "trainval_aug": 7}
    assert counts == {name: (count, KNOWN[name]) for name, count in here.items()}
    assert "SegmentationClassAug: 7 written, 0 kept, 0 differs" in ended.stdout
    assert "cls_labels.npy: written" in ended.stdout


def test_other_counts_are_status_1_only_where_they_are_forbidden(root: Path) -> None:
    assert run(root).exit_code == 0
    ended = run(root, "--strict")
    assert ended.exit_code == 1 and "not the known" in ended.stderr


def test_a_second_run_writes_nothing(root: Path) -> None:
    run(root)
    before = times(root)
    ended = run(root)
    assert times(root) == before
    assert "0 written, 7 kept, 0 differs" in ended.stdout and "cls_labels.npy: kept" in ended.stdout


def test_a_run_that_was_ended_is_completed(root: Path, voc2012: Path) -> None:
    run(root)
    whole = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    for name in ("SegmentationClassAug/2009_000004.png", "ImageSets/SegmentationAug/train_aug.txt", "cls_labels.npy"):
        (voc2012 / name).unlink()
    assert "1 written, 6 kept" in run(root).stdout
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == whole


def test_several_processes_write_the_same(root: Path, voc2012: Path) -> None:
    run(root)
    alone = {path.name: path.read_bytes() for path in (voc2012 / "SegmentationClassAug").iterdir()}
    shutil.rmtree(voc2012 / "SegmentationClassAug")
    prepare_voc(root=root, processes=2, progress=False)
    assert {path.name: path.read_bytes() for path in (voc2012 / "SegmentationClassAug").iterdir()} == alone


def test_a_mask_of_the_users_is_kept_and_named(root: Path, voc2012: Path) -> None:
    mine = voc2012 / "SegmentationClassAug" / f"{EXTRA[0]}.png"
    write_mask(mine, np.full(SIZE, 7, np.uint8))
    ended = run(root)
    assert ended.exit_code == 0 and (read_mask(mine) == 7).all()
    assert "6 written, 0 kept, 1 differs" in ended.stdout and str(mine) in ended.stdout.replace("\n", "")


@pytest.mark.parametrize("folder", ["Segmentation", "SegmentationAug"])
def test_a_list_of_the_users_stays_when_it_names_the_same_images(root: Path, voc2012: Path, folder: str) -> None:
    mine = voc2012 / "ImageSets" / folder / "train_aug.txt"
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("".join(f"/JPEGImages/{i}.jpg /SegmentationClassAug/{i}.png\n" for i in sorted(TRAIN + EXTRA)))
    before = mine.read_bytes()
    assert run(root).exit_code == 0
    assert mine.read_bytes() == before


@pytest.mark.parametrize("folder", ["Segmentation", "SegmentationAug"])
def test_a_list_with_other_images_is_refused_before_anything_is_written(root: Path, voc2012: Path, folder: str) -> None:
    mine = voc2012 / "ImageSets" / folder / "train_aug.txt"
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("\n".join([*TRAIN, *EXTRA, VAL[0]]))
    before = times(root)
    with pytest.raises(InputError, match=rf"{folder}/train_aug\.txt names other images than the 5 .* move it away"):
        run(root)
    assert times(root) == before


def test_tags_come_from_xml_alone(root: Path, voc2012: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tags, "read_mask", lambda path: pytest.fail(f"{path} was opened for tags"))
    run(root)
    table = read_pickled_arrays(voc2012 / "cls_labels.npy")
    assert set(table) == {*NUMBERS, *(int(image_id.replace("_", "")) for image_id in NUMBERS)}
    for image_id, number in NUMBERS.items():
        # The third class is difficult: the XML alone has it.
        assert list(np.flatnonzero(table[image_id])) == fake_tags(number, 20, difficult=True)
        assert table[image_id].dtype == np.float32 and table[image_id].shape == (20,)
        assert np.array_equal(table[image_id], table[int(image_id.replace("_", ""))])


def test_the_tag_file_is_read_as_the_field_reads_it_and_by_numpy_1(root: Path, voc2012: Path) -> None:
    run(root)
    path = voc2012 / "cls_labels.npy"
    assert b"numpy._core" not in path.read_bytes()  # a module that numpy 1 does not have
    table = np.load(path, allow_pickle=True).item()
    from_xml = [record.tags for record in VOCDataModule(root=root, tags="xml").records("train")]
    from_npy = [record.tags for record in VOCDataModule(root=root, tags="npy").records("train")]
    assert np.array_equal(from_npy, from_xml)
    assert np.array_equal([table[image_id] for image_id in TRAIN + EXTRA], from_xml)


def test_a_tag_file_of_the_users_stays(root: Path, voc2012: Path) -> None:
    (voc2012 / "cls_labels.npy").write_bytes(b"mine")
    assert "cls_labels.npy: kept" in run(root).stdout
    assert (voc2012 / "cls_labels.npy").read_bytes() == b"mine"


def test_without_xml_there_is_no_tag_file_but_the_rest(root: Path, voc2012: Path) -> None:
    shutil.rmtree(voc2012 / "Annotations")
    assert "no XML" in run(root).stdout
    assert not (voc2012 / "cls_labels.npy").exists() and find_list(voc2012, "train_aug").is_file()


def _ids(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def full_lists() -> dict[str, list[str]]:
    """Lists of the known lengths: of SBD's 11,355 images 2,237 are VOC's, some of its train and some of its val."""
    train, val = _ids("train", 1464), _ids("val", 1449)
    found = [*_ids("sbd", 9118), *train[:1237], *val[:1000]]
    return {"VOC train": train, "VOC val": val, "SBD train": found[2857:], "SBD val": found[:2857]}


def test_train_aug_has_10582_images_none_of_them_of_val() -> None:
    lists = full_lists()
    ids = augmented(lists)
    assert len(ids) == len(set(ids)) == 10582 == KNOWN["train_aug"]
    assert set(ids) == (set(lists["VOC train"]) | set(lists["SBD train"]) | set(lists["SBD val"])) - set(
        lists["VOC val"]
    )
    assert ids[:1464] == lists["VOC train"]


def test_full_lists_with_another_sum_are_refused_and_partial_ones_are_not() -> None:
    lists = full_lists()
    lists["SBD val"] = [*lists["SBD val"][:-1], lists["VOC val"][-1]]
    with pytest.raises(InputError, match=r"together 10,581 training images, not 10,582"):
        augmented(lists)
    assert len(augmented(lists | {"VOC val": lists["VOC val"][:-1]})) == 10582


def test_sbd_itself_is_not_needed_where_its_masks_are(root: Path, voc2012: Path, dataset: Path) -> None:
    run(root)
    shutil.rmtree(dataset.parent)
    lists = voc2012 / "ImageSets/SegmentationAug"
    (lists / "train_aug.txt").rename(voc2012 / "ImageSets/Segmentation/trainaug.txt")
    (lists / "trainval_aug.txt").unlink()
    assert run(root).exit_code == 0
    assert read_list(lists / "train_aug.txt") == TRAIN + EXTRA
    (voc2012 / "SegmentationClassAug" / f"{EXTRA[0]}.png").unlink()
    with pytest.raises(InputError, match="SBD is not complete"):
        run(root)


def test_a_damaged_mat_names_itself_and_the_next_run_goes_on(root: Path, voc2012: Path, dataset: Path) -> None:
    path = dataset / "cls" / f"{EXTRA[0]}.mat"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=rf"{path} cannot be read .* unpack SBD's benchmark\.tgz again\.$"):
        run(root)
    with pytest.raises(InputError, match="no list"):  # nobody trains on what is not whole
        find_list(voc2012, "train_aug")
    path.write_bytes(content)
    assert run(root).exit_code == 0


def test_a_missing_mat_is_named(root: Path, dataset: Path) -> None:
    (dataset / "cls" / f"{EXTRA[1]}.mat").unlink()
    with pytest.raises(InputError, match=rf"{EXTRA[1]}\.mat does not exist"):
        run(root)


def test_an_image_that_only_sbd_has_is_copied(root: Path, voc2012: Path, dataset: Path) -> None:
    (voc2012 / "JPEGImages" / f"{EXTRA[0]}.jpg").unlink()
    assert "1 copied from SBD" in run(root).stdout
    copy = voc2012 / "JPEGImages" / f"{EXTRA[0]}.jpg"
    assert copy.read_bytes() == (dataset / "img" / f"{EXTRA[0]}.jpg").read_bytes()


def test_an_image_that_nobody_has_is_named(root: Path, voc2012: Path, dataset: Path) -> None:
    for folder in (voc2012 / "JPEGImages", dataset / "img"):
        (folder / f"{EXTRA[0]}.jpg").unlink()
    with pytest.raises(InputError, match=rf"lacks 1 images of the lists, {EXTRA[0]}\.jpg first"):
        run(root)
