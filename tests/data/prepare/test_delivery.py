from __future__ import annotations

import hashlib
import shutil
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import pytest
from fake_data import write_voc
from fake_sbd import EXTRA, TRAIN
from typer.testing import CliRunner, Result

from wsss_lightning import cli
from wsss_lightning.data.prepare import delivery, voc
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError


def run(root: Path, *arguments: str) -> Result:
    command = ["data", "prepare", "voc", "--root", str(root), "--processes", "1", *arguments]
    return CliRunner().invoke(cli.app, command, catch_exceptions=False)


def pack(path: Path, folder: Path, inside: str) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as tar:
        tar.add(folder, inside)
    return path


@pytest.fixture
def packed(root: Path, voc2012: Path, dataset: Path) -> list[Path]:
    """VOC, SBD and VOC's test images as archives; their folders are gone."""
    archives = [pack(root / "voc.tar", voc2012, "VOCdevkit/VOC2012")]
    archives.append(pack(root / "sbd.tgz", dataset.parent, "benchmark_RELEASE"))
    test = root / "test" / "VOC2012"
    write_voc(test, train=["2008_000020"], sbd=[], val=["2008_000021"])
    shutil.move(test / "ImageSets/Segmentation/train.txt", test / "ImageSets/Segmentation/test.txt")
    for name in ("SegmentationClass", "SegmentationClassAug", "Annotations"):
        shutil.rmtree(test / name)
    for name in ("val", "trainval"):
        (test / "ImageSets/Segmentation" / f"{name}.txt").unlink()
    archives.append(pack(root / "test.tar", test, "VOCdevkit/VOC2012"))
    for folder in (root / "VOCdevkit", root / "benchmark_RELEASE", root / "test"):
        shutil.rmtree(folder)
    return archives


def given(archives: Sequence[Path]) -> list[str]:
    return [word for archive in archives for word in ("--archive", str(archive))]


def test_archives_are_unpacked_into_the_root(root: Path, voc2012: Path, packed: list[Path]) -> None:
    ended = run(root, *given(packed))
    assert ended.exit_code == 0 and "7 written" in ended.stdout
    module = VOCDataModule(root=root, test_list="test")
    assert [record.image_id for record in module.records("train")] == TRAIN + EXTRA
    assert [record.image_id for record in module.records("test")] == ["2008_000020"]
    assert run(root, *given(packed)).exit_code == 0  # with all of it there already


def test_archives_are_unpacked_where_the_folders_are_named(tmp_path: Path, packed: list[Path]) -> None:
    place, sbd = tmp_path / "other" / "VOC2012", tmp_path / "another"
    assert run(place, "--sbd", str(sbd), *given(packed)).exit_code == 0
    assert VOCDataModule(root=place).root == place
    assert (sbd / "cls").is_dir() and not (place / "benchmark_RELEASE").exists()


def test_an_archive_of_something_else_is_refused(root: Path, dataset: Path) -> None:
    archive = pack(root / "other.tar", dataset, "dataset")
    with pytest.raises(InputError, match=r"other\.tar has no folder VOCdevkit/VOC2012 or benchmark_RELEASE/dataset"):
        run(root, "--archive", str(archive))


@pytest.mark.parametrize("name", ["VOCtrainval_11-May-2012.tar", "VOC2012test.tar", "benchmark.tgz"])
def test_a_publishers_archive_is_held_against_its_checksum(root: Path, packed: list[Path], name: str) -> None:
    with pytest.raises(InputError, match=rf"{name} has the MD5 sum"):
        run(root, "--archive", str(packed[0].rename(root / name)))
    assert not (root / "VOCdevkit").exists()


def test_what_is_missing_is_fetched(root: Path, packed: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []

    def download_url(url: str, folder: Path, name: str, md5: str) -> None:
        fetched.append(name)
        shutil.copyfile(sources[name], folder / name)
        assert hashlib.md5((folder / name).read_bytes()).hexdigest() == md5

    sources = {"VOCtrainval_11-May-2012.tar": packed[0], "benchmark.tgz": packed[1]}
    monkeypatch.setattr(delivery, "download_url", download_url)
    for name in ("VOC", "SBD"):
        known = getattr(voc, name)
        md5 = hashlib.md5(sources[known.archive].read_bytes()).hexdigest()
        monkeypatch.setattr(voc, name, replace(known, md5=md5))
    assert run(root, "--download").exit_code == 0
    assert fetched == list(sources)
    assert run(root, "--download").exit_code == 0 and fetched == list(sources)


def test_a_failing_download_says_how_to_do_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download_url(*_: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr(delivery, "download_url", download_url)
    with pytest.raises(InputError, match=r"VOCtrainval_11-May-2012\.tar cannot be fetched .*no route.* --archive"):
        run(tmp_path, "--download")


def test_nothing_at_all_is_one_sentence_with_every_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["wsss", "data", "prepare", "voc", "--root", str(tmp_path / "none")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith("wsss: VOC 2012 is not complete: ") and sentence.endswith(".")
    for place in ("none/VOCdevkit/VOC2012", "none/VOC2012", "none"):
        assert f"{tmp_path / place}" in sentence
    for word in ("JPEGImages", "val.txt", "--root", "VOCtrainval_11-May-2012.tar", "--archive", "--download"):
        assert word in sentence
    assert list(tmp_path.iterdir()) == []


def test_the_parts_that_are_missing_are_named(root: Path, voc2012: Path, dataset: Path) -> None:
    (voc2012 / "ImageSets/Segmentation/val.txt").rename(root / "kept")
    with pytest.raises(InputError, match=r"VOC2012 lacks ImageSets/Segmentation/val\.txt \(also"):
        run(root)
    (root / "kept").rename(voc2012 / "ImageSets/Segmentation/val.txt")
    (dataset / "train.txt").unlink()
    with pytest.raises(InputError, match=r"SBD is not complete: .*dataset lacks train\.txt .* set --sbd"):
        run(root)


@pytest.mark.parametrize("above", [0, 1, 2])
def test_sbd_is_its_folder_or_one_above(root: Path, dataset: Path, tmp_path: Path, above: int) -> None:
    dataset.parent.rename(tmp_path / "moved")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "moved").rename(tmp_path / "elsewhere" / "benchmark_RELEASE")
    moved = tmp_path / "elsewhere" / "benchmark_RELEASE" / "dataset"
    assert run(root, "--sbd", str([moved, *moved.parents][above])).exit_code == 0
