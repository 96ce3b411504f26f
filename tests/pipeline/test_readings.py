"""Keys of data sets whose readers say what they read, and of those that do not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from fake_stages import MakePlan, stage

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.signatures import constant_beside


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name, images in {"one": "a b", "two": "c", "more": "d"}.items():
        (folder / f"{name}.list").write_text(images)
    for image in "abcd":
        (folder / f"{image}.jpg").write_text("an image")
        (folder / f"{image}.png").write_text("a mask 1 2")
    return folder


def _plan(make_plan: MakePlan, root: Path, target: str = "fake_readers.read", **parameters: Any) -> pipeline.Plan:
    reader = {"_target_": target, **parameters.pop("reader", {})}
    node = stage("write", data="${data}", **parameters)
    return make_plan({"only": node}, data={**reader, "root": str(root)})


def _key(make_plan: MakePlan, root: Path, **parameters: Any) -> str:
    return _plan(make_plan, root, **parameters).final.key


def _rewrite(path: Path, text: str) -> None:
    size, time = path.stat().st_size, path.stat().st_mtime_ns
    path.write_text(text.ljust(size))
    assert path.stat().st_size == size
    os.utime(path, ns=(time, time + 1))


@pytest.mark.parametrize("name", ["two.list", "c.jpg", "c.png", "new.png", "a.gif"])
def test_what_the_reader_does_not_read_keeps_the_key(make_plan: MakePlan, root: Path, name: str) -> None:
    before = _key(make_plan, root)
    (root / name).write_text("something else")
    assert _key(make_plan, root) == before


@pytest.mark.parametrize("name", ["one.list", "a.jpg", "a.png"])
def test_what_it_reads_does_not(make_plan: MakePlan, root: Path, name: str) -> None:
    before = _key(make_plan, root)
    (root / name).write_text("a b c")
    assert _key(make_plan, root) != before


def test_a_mask_of_the_same_size_changes_the_key_and_an_image_does_not(make_plan: MakePlan, root: Path) -> None:
    before = _key(make_plan, root)
    _rewrite(root / "a.jpg", "an IMAGE")
    assert _key(make_plan, root) == before
    _rewrite(root / "a.png", "a mask 2 1")
    assert _key(make_plan, root) != before


def test_arguments_of_the_reader_choose(make_plan: MakePlan, root: Path) -> None:
    keys = {"one": _key(make_plan, root), "two": _key(make_plan, root, reader={"name": "two"})}
    (root / "c.png").write_text("another")
    assert _key(make_plan, root) == keys["one"]
    assert _key(make_plan, root, reader={"name": "two"}) != keys["two"]


def test_a_stage_that_asks_for_more_has_more_in_its_key(make_plan: MakePlan, root: Path) -> None:
    asking = {"value": ["more"]}
    before = _key(make_plan, root), _key(make_plan, root, **asking)
    (root / "d.png").write_text("another")
    assert _key(make_plan, root) == before[0] and _key(make_plan, root, **asking) != before[1]


def test_moving_the_data_keeps_the_key_and_the_stage_gets_the_path(
    make_plan: MakePlan, root: Path, tmp_path: Path
) -> None:
    before = _key(make_plan, root)
    moved = root.rename(tmp_path / "elsewhere")
    plan = _plan(make_plan, moved)
    assert plan.final.key == before
    pipeline.run(plan)
    given = json.loads((plan.final.folder / "given.json").read_text())
    assert given["data"] == {"root": str(moved), "name": "one", "size": 3}


def test_a_rerun_needs_what_was_read_and_no_more(
    make_plan: MakePlan, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSSS_TRUST", "fake_readers,fake_stages")
    plan = _plan(make_plan, root)
    pipeline.run(plan)
    (root / "c.jpg").unlink()
    pipeline.rerun(plan.final.folder / "stage.json", out_dir=tmp_path / "first")
    _rewrite(root / "a.png", "a mask 2 1")
    with pytest.raises(InputError, match=r"only read .*data, which is gone or has changed"):
        pipeline.rerun(plan.final.folder / "stage.json", out_dir=tmp_path / "second")


def test_of_another_reader_everything_counts_and_masks_by_content(make_plan: MakePlan, root: Path) -> None:
    keys = [_key(make_plan, root, target="builtins.dict")]
    _rewrite(root / "d.png", "a mask 2 1")
    keys.append(_key(make_plan, root, target="builtins.dict"))
    (root / "note.md").write_text("")
    keys.append(_key(make_plan, root, target="builtins.dict"))
    assert len(set(keys)) == 3


def test_a_plan_reads_no_file_twice(make_plan: MakePlan, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _key(make_plan, root)
    for name in ("sha256", "_contents"):
        monkeypatch.delattr(f"wsss_lightning.pipeline.fingerprints.{name}")
    assert _key(make_plan, root) == before


def test_the_name_beside_a_reader_is_read_from_its_source() -> None:
    assert constant_beside("fake_readers.read", "FILES_READ") == "fake_readers.files"
    for target in ("fake_readers.read", "fake_stages.write", "builtins.dict", "numpy.zeros"):
        assert constant_beside(target, "NO_SUCH_NAME") is None
