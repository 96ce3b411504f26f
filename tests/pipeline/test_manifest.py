"""A manifest in the place of a look at every file: the same keys, whatever the reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fake_data import write_voc
from fake_stages import MakePlan, stage

from wsss_lightning import cli
from wsss_lightning.data.fingerprint import voc
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline import fingerprints, planning
from wsss_lightning.pipeline.fingerprints import folder_fingerprint, reading_fingerprint
from wsss_lightning.pipeline.manifest import MANIFEST, differences, read_manifest, write_manifest
from wsss_lightning.pipeline.planning import looking_once


def _reading(root: Path, cache: Path) -> str:
    reading = voc(
        root=root, train_list="train", val_list="val", test_list=None, tags="xml", asked=frozenset(("train", "val"))
    )
    return reading_fingerprint(reading, cache=cache)


def _folder(root: Path, cache: Path) -> str:
    return folder_fingerprint(root, cache=cache)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_voc(tmp_path / "voc")
    return tmp_path / "voc"


@pytest.mark.parametrize("fingerprint", [_reading, _folder])
def test_a_fingerprint_is_the_same_with_a_manifest_and_looks_at_no_file(
    root: Path, tmp_path: Path, fingerprint: Callable[[Path, Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint(root, tmp_path / "cache")
    count, size = write_manifest(root)
    assert count == len(read_manifest(root / MANIFEST)) > 10 and size > 0
    monkeypatch.setattr(fingerprints, "sha256", None)
    monkeypatch.setattr(fingerprints, "walk", None)
    assert fingerprint(root, tmp_path / "another") == before
    monkeypatch.setattr(fingerprints, "read_manifest", None)
    assert fingerprint(root, tmp_path / "another") == before, "it is remembered"


def test_a_changed_list_is_told_and_a_new_manifest_makes_another_key(root: Path, tmp_path: Path) -> None:
    write_manifest(root)
    before = _reading(root, tmp_path / "cache")
    with (root / "ImageSets/Segmentation/val.txt").open("a") as file:
        file.write("2007_000001\n")
    with pytest.raises(InputError, match=r"val\.txt is not as wsss-manifest\.tsv says: wsss data manifest"):
        _reading(root, tmp_path / "cache")
    write_manifest(root)
    assert _reading(root, tmp_path / "cache") != before


def test_what_changed_since_is_named(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wsss(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["wsss", "data", "manifest", str(root), *arguments])
        status = 0
        try:
            cli.main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    assert wsss()[0] == 0 and wsss("--check") == (0, f"{root / MANIFEST}: all files are as it says\n")
    mask = next((root / "SegmentationClass").iterdir())
    mask.write_bytes(mask.read_bytes()[:-1] + b"x")
    (root / "JPEGImages" / "new.jpg").touch()
    annotation = next((root / "Annotations").iterdir())
    annotation.unlink()
    status, shown = wsss("--check")
    assert status == 1 and "3 files are not as" in shown
    assert {line.split(" ", 1)[1] for line in differences(root)} == {"has changed", "is new", "is gone"}
    assert f"Annotations/{annotation.name} is gone" in shown and "JPEGImages/new.jpg is new" in shown


@pytest.mark.parametrize("text", ["", "name\tsize\n", "name\tsize\tsha256\na\tmany\tx\n", "name\tsize\tsha256\na\n"])
def test_another_file_of_that_name_is_no_manifest(root: Path, tmp_path: Path, text: str) -> None:
    (root / MANIFEST).write_text(text)
    with pytest.raises(InputError, match="is no manifest"):
        _folder(root, tmp_path / "cache")


def test_plans_of_one_command_look_at_data_once(
    make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []
    (tmp_path / "folder").mkdir()
    known = dict(fingerprints.FINGERPRINTS)

    def look(path: Path, *, cache: Path) -> str:
        looked.append(path)
        return known["folder"](path, cache=cache)

    monkeypatch.setitem(planning.FINGERPRINTS, "folder", look)
    data = f"${{folder:{tmp_path / 'folder'}}}"

    def plans() -> set[str]:
        return {make_plan({"only": stage("write", previous=data, value=value)}).final.key for value in range(3)}

    keys = plans()
    assert len(looked) == 3
    with looking_once():
        assert plans() == keys and len(looked) == 4
    for _ in range(2):
        with looking_once("the command"):
            plans()
    assert len(looked) == 5
    planning._commands.clear()
