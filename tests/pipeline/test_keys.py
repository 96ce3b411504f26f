"""What enters a stage's key, and what does not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from fake_stages import MakePlan, stage

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError

DATA = {"_target_": "builtins.dict", "size": 3}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    (root / "lists").mkdir(parents=True)
    (root / "lists" / "train.txt").write_text("one\ntwo\n")
    (root / "one.jpg").write_bytes(b"picture")
    return root


def _key(make_plan: MakePlan, node: dict[str, Any], **groups: Any) -> str:
    return make_plan({"only": node}, **groups).final.key


def _data_key(make_plan: MakePlan, root: Path | str) -> str:
    return _key(make_plan, stage("write", data="${data}"), data={**DATA, "root": str(root)})


def test_the_same_config_has_the_same_key_and_another_value_another(make_plan: MakePlan) -> None:
    assert _key(make_plan, stage("write", value=1)) == _key(make_plan, stage("write", value=1))
    assert _key(make_plan, stage("write", value=1)) != _key(make_plan, stage("write", value=2))


def test_the_order_of_parameters_does_not_matter(make_plan: MakePlan) -> None:
    one, other = stage("write", value=1, previous="x"), stage("write", previous="x", value=1)
    assert _key(make_plan, one) == _key(make_plan, other)


def test_a_key_does_not_depend_on_how_a_number_is_spelt(make_plan: MakePlan) -> None:
    assert pipeline.compose(["seed=1e-3"]).seed == 0.001
    keys = {_key(make_plan, stage("write", value=value)) for value in (0.001, 1e-3, 1.0e-3, float("1e-03"))}
    assert len(keys) == 1


def test_runtime_does_not_enter_and_keeps_its_type(make_plan: MakePlan) -> None:
    node = stage("write", workers="${runtime.workers}")
    plans = [make_plan({"only": node}, runtime={"workers": workers}) for workers in (0, 3)]
    assert plans[0].final.key == plans[1].final.key
    pipeline.run(plans[1])
    assert json.loads((plans[1].final.folder / "given.json").read_text())["workers"] == 3


def test_a_runtime_setting_may_be_a_mapping(make_plan: MakePlan) -> None:
    plan = make_plan({"only": stage("write", workers="${runtime.joblib}")}, runtime={"joblib": {"backend": "loky"}})
    pipeline.run(plan)
    assert json.loads((plan.final.folder / "given.json").read_text())["workers"] == {"backend": "loky"}


def test_the_logger_does_not_enter_and_writes_into_the_stage(make_plan: MakePlan) -> None:
    node = stage("write", loggers="${logger}")
    plan = make_plan({"only": node})
    assert plan.final.key == make_plan({"only": node}, logger=None).final.key
    pipeline.run(plan)
    given = json.loads((plan.final.folder / "given.json").read_text())
    assert given["loggers"] == {"csv": {"save_dir": str(plan.final.folder), "stage": "only"}}


def test_no_logger_at_all_is_an_empty_mapping(make_plan: MakePlan) -> None:
    plan = make_plan({"only": stage("write", loggers="${logger}")}, logger=None)
    pipeline.run(plan)
    assert json.loads((plan.final.folder / "given.json").read_text())["loggers"] == {}


def test_moving_the_data_keeps_the_key(make_plan: MakePlan, folder: Path, tmp_path: Path) -> None:
    before = _data_key(make_plan, folder)
    moved = folder.rename(tmp_path / "elsewhere, with {odd} $ signs")
    assert _data_key(make_plan, moved) == before


@pytest.mark.parametrize("name", ["lists/train.txt", "one.jpg"])
def test_other_data_changes_the_key(make_plan: MakePlan, folder: Path, name: str) -> None:
    before = _data_key(make_plan, folder)
    (folder / name).write_text("one\ntwo\nthree\n")
    assert _data_key(make_plan, folder) != before


def test_a_list_of_the_same_length_changes_the_key(make_plan: MakePlan, folder: Path) -> None:
    before = _data_key(make_plan, folder)
    path = folder / "lists" / "train.txt"
    path.write_text("one\nsix\n")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert _data_key(make_plan, folder) != before


def test_a_new_picture_changes_the_key_and_a_hidden_file_does_not(make_plan: MakePlan, folder: Path) -> None:
    before = _data_key(make_plan, folder)
    (folder / ".DS_Store").write_text("icon positions")
    assert _data_key(make_plan, folder) == before
    (folder / "two.jpg").write_bytes(b"")
    assert _data_key(make_plan, folder) != before


def test_the_fingerprint_is_remembered_in_the_store(make_plan: MakePlan, folder: Path, tmp_path: Path) -> None:
    before = _data_key(make_plan, folder)
    (kept,) = (tmp_path / "store" / ".fingerprints").iterdir()
    kept.write_text('"another"')
    assert _data_key(make_plan, folder) != before


@pytest.mark.parametrize("left", ["", '"cut off', "\0\0\0"])
def test_what_a_full_disk_left_of_a_fingerprint_is_computed_again(
    make_plan: MakePlan, folder: Path, tmp_path: Path, left: str
) -> None:
    before = _data_key(make_plan, folder)
    (kept,) = (tmp_path / "store" / ".fingerprints").iterdir()
    kept.write_text(left)
    assert _data_key(make_plan, folder) == before
    assert json.loads(kept.read_text())


def test_links_that_lead_back_or_nowhere_do_no_harm(make_plan: MakePlan, folder: Path) -> None:
    before = _data_key(make_plan, folder)
    (folder / "lists" / "up").symlink_to(folder, target_is_directory=True)
    (folder / "gone.jpg").symlink_to(folder / "no_such_file")
    assert _data_key(make_plan, folder) == before


def test_a_linked_data_folder_counts_as_what_it_links_to(make_plan: MakePlan, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "lists").symlink_to(folder / "lists")
    (tmp_path / "link" / "one.jpg").symlink_to(folder / "one.jpg")
    assert _data_key(make_plan, tmp_path / "link") == _data_key(make_plan, folder)


def test_a_store_inside_the_data_is_refused(make_plan: MakePlan, folder: Path) -> None:
    with pytest.raises(InputError, match=r"store .* lies inside the data"):
        _key(
            make_plan,
            stage("write", data="${data}"),
            data={**DATA, "root": str(folder)},
            paths={"store": str(folder / "runs" / "store")},
        )


def test_weights_enter_by_content(make_plan: MakePlan, tmp_path: Path) -> None:
    def key() -> str:
        return _key(make_plan, stage("write", weights=f"${{weights:{path}}}"))

    path = tmp_path / "a.pth"
    path.write_bytes(b"weights")
    before = key()
    path = path.rename(tmp_path / "b.pth")
    assert key() == before
    path.write_bytes(b"another")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert key() != before


def test_weights_may_be_a_name_or_null(make_plan: MakePlan) -> None:
    keys = {_key(make_plan, stage("write", weights=f"${{weights:{given}}}")) for given in ("IMAGENET1K_V1", "null")}
    assert len(keys) == 2
    plan = make_plan({"only": stage("write", weights="${weights:IMAGENET1K_V1}")})
    pipeline.run(plan)
    assert json.loads((plan.final.folder / "given.json").read_text())["weights"] == "IMAGENET1K_V1"


def test_weights_that_another_stage_of_the_store_wrote_count_by_content(make_plan: MakePlan, tmp_path: Path) -> None:
    paths = [tmp_path / "store" / f"pretrain-{number}" / "net.pth" for number in (1, 2)]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.write_text(path.parent.name)
    assert len({_key(make_plan, stage("write", weights=f"${{weights:{path}}}")) for path in paths}) == 2


def test_a_change_propagates_downstream_alone(make_plan: MakePlan) -> None:
    def keys(middle: int) -> list[str]:
        stages = {
            "first": stage("write"),
            "middle": stage("write", value=middle, previous="${artifact:first}"),
            "last": stage("write", previous="${artifact:middle}"),
        }
        return [planned.key for planned in make_plan(stages).stages.values()]

    before, after = keys(1), keys(2)
    assert before[0] == after[0] and before[1] != after[1] and before[2] != after[2]


def test_a_revision_makes_another_key_and_is_not_passed_on(make_plan: MakePlan) -> None:
    plain, revised = (make_plan({"only": stage("write", **more)}) for more in ({}, {"revision": 2}))
    assert plain.final.key != revised.final.key
    pipeline.run(revised)  # would raise: `write` knows no `revision`
    assert revised.final.status() == "cached"


def test_a_moved_store_stays_cached(make_plan: MakePlan, tmp_path: Path) -> None:
    stages = {"first": stage("write"), "last": stage("write", previous="${artifact:first}")}
    pipeline.run(make_plan(stages))
    moved = (tmp_path / "store").rename(tmp_path / "archive")
    plan = make_plan(stages, paths={"store": str(moved)})
    assert [planned.status() for planned in plan.stages.values()] == ["cached", "cached"]


def test_keys_of_mappings_are_the_same_at_once_and_from_the_record(make_plan: MakePlan) -> None:
    plan = make_plan({"only": stage("write", value={1: "one"})})
    pipeline.run(plan)
    assert plan.final.node["value"] == {"1": "one"}
    again = plan.final.folder.with_name("again")
    pipeline.rerun(plan.final.folder / "stage.json", out_dir=again)
    given = [json.loads((folder / "given.json").read_text())["value"] for folder in (plan.final.folder, again)]
    assert given == [{"1": "one"}] * 2


def test_a_path_inside_an_artifact(make_plan: MakePlan) -> None:
    stages = {"first": stage("write"), "last": stage("write", previous="${artifact:first}/sub/path")}
    plan = make_plan(stages)
    pipeline.run(plan)
    given = json.loads((plan.final.folder / "given.json").read_text())
    assert given["previous"] == str(plan.stages["first"].folder / "sub" / "path")
    assert given["out_dir"] == str(plan.final.folder)


def test_a_data_set_may_be_an_artifact(make_plan: MakePlan) -> None:
    stages = {"made": stage("write"), "last": stage("write", data="${data}")}
    plan = make_plan(stages, data={**DATA, "root": "${artifact:made}"})
    pipeline.run(plan)
    given = json.loads((plan.final.folder / "given.json").read_text())
    assert given["data"] == {"size": 3, "root": str(plan.stages["made"].folder)}


def test_a_plan_needs_no_right_to_write(make_plan: MakePlan, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file in the store's place cannot be written into, whoever asks")
    assert _data_key(make_plan, folder)
