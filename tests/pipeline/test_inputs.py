"""Paths in a node whose content no key would hold are refused with the form that has it in the key."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from fake_stages import MakePlan, stage

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    folder = tmp_path / "foreign" / "masks"
    folder.mkdir(parents=True)
    (folder / "one.png").write_bytes(b"classes 1 2")
    return folder


def test_a_folder_is_refused_with_its_right_form(make_plan: MakePlan, masks: Path) -> None:
    sentence = f"stages.only.previous={masks}: say ${{folder:{masks}}}, so that its content enters the key."
    with pytest.raises(InputError, match=f"^{sentence.replace('$', '[$]').replace('.', '[.]')}$"):
        make_plan({"only": stage("write", previous=str(masks))})


def test_a_file_is_refused_too_and_at_any_depth(make_plan: MakePlan, masks: Path) -> None:
    path = masks / "one.png"
    with pytest.raises(InputError, match=r"stages\.only\.value\[1\]\.a=.*: say \$\{weights:.*one\.png\}"):
        make_plan({"only": stage("write", value=[0, {"a": str(path)}])})


def test_a_relative_path_is_one_where_something_is_there(
    make_plan: MakePlan, masks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = stage("write", previous="foreign/masks")
    assert make_plan({"only": node}).final.node["previous"] == "foreign/masks"
    monkeypatch.chdir(masks.parents[1])
    with pytest.raises(InputError, match=r"say \$\{folder:foreign/masks\}"):
        make_plan({"only": node})
    data = {"_target_": "builtins.dict", "root": str(masks.parent), "images": "foreign/masks"}
    assert make_plan({"only": stage("write", data="${data}")}, data=data), "relative to the root"


@pytest.mark.parametrize("value", ["/", "./", "val/miou", "tmp", "/no/such/folder", f"/{'x' * 5000}", "/nul\0", "a/b"])
def test_other_text_is_let_through(make_plan: MakePlan, value: str) -> None:
    assert make_plan({"only": stage("write", value=value)}).final.node["value"] == value


def test_in_its_right_form_a_folder_counts_by_content(make_plan: MakePlan, masks: Path) -> None:
    stages = {"only": stage("write", previous=f"${{folder:{masks}}}")}
    plan = make_plan(stages)
    pipeline.run(plan)
    assert json.loads((plan.final.folder / "given.json").read_text())["previous"] == str(masks)
    before = (masks / "one.png").stat()
    (masks / "one.png").write_bytes(b"classes 2 1")
    os.utime(masks / "one.png", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert make_plan(stages).final.key != plan.final.key


def test_a_path_inside_a_stage_before_is_no_such_path(make_plan: MakePlan) -> None:
    stages = {"first": stage("write"), "last": stage("write", previous="${artifact:first}/given.json")}
    pipeline.run(make_plan(stages))
    assert make_plan(stages).final.status() == "cached"
