"""Running, continuing, recording and running again."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_stages import MakePlan, stage

from wsss_lightning import pipeline
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline import execution, modules, signatures, store
from wsss_lightning.pipeline.store import changed_sources, read_record
from wsss_lightning.trust import TRUST


def _calls(planned: pipeline.PlannedStage) -> int:
    path = planned.folder / "calls"
    return len(path.read_text().splitlines()) if path.exists() else 0


def _two() -> dict[str, Any]:
    return {
        "first": stage("write", value=3),
        "second": stage("fail_without", fuse="${runtime.fuse}", previous="${artifact:first}"),
    }


def test_a_second_run_does_nothing(make_plan: MakePlan) -> None:
    stages = {"first": stage("write", value=1), "second": stage("write", value=2, previous="${artifact:first}")}
    assert pipeline.run(make_plan(stages)) == {"value": 2.0}
    plan = make_plan(stages)
    assert pipeline.run(plan) == {"value": 2.0}
    assert [_calls(planned) for planned in plan.stages.values()] == [1, 1]


def test_a_crash_keeps_what_was_done_and_the_next_run_goes_on(make_plan: MakePlan, tmp_path: Path) -> None:
    fuse = tmp_path / "fuse"
    plan = make_plan(_two())
    with pytest.raises(RuntimeError, match="broke down"):
        pipeline.run(plan)
    assert [planned.status() for planned in plan.stages.values()] == ["cached", "half done"]
    fuse.touch()
    assert pipeline.run(make_plan(_two())) == {"written": 3.0}, "two of five items were there already"
    assert [_calls(planned) for planned in plan.stages.values()] == [1, 2]


def test_a_stage_may_return_nothing(make_plan: MakePlan) -> None:
    plan = make_plan({"only": {"_target_": "builtins.dict"}})
    assert pipeline.run(plan) == {}
    assert plan.final.status() == "cached"


def test_what_a_stage_raises_comes_out_as_it_is(make_plan: MakePlan) -> None:
    with pytest.raises(InputError, match=r"value=1 is odd: give an even one\."):
        pipeline.run(make_plan({"only": stage("refuse", value=1)}))


def test_the_record_says_where_a_result_comes_from(make_plan: MakePlan) -> None:
    stages = {
        "first": stage("write", value=1),
        "last": stage("write", value=0.5, previous="${artifact:first}", workers="${runtime.workers}"),
    }
    plan = make_plan(stages, card={"supervision": "image tags", "seed": "${seed}"}, seed=7)
    pipeline.run(plan)
    record = plan.final.record()
    first = plan.stages["first"].key
    assert record is not None
    assert record["key"] == plan.final.key and record["stage"] == "last"
    assert record["upstream"] == {"first": first}
    assert record["node"] == plan.final.node
    assert record["node"]["previous"] == f"<artifact:{first}>" and record["node"]["workers"] == "<runtime.workers>"
    assert record["bindings"]["<runtime.workers>"] == 0
    assert record["metrics"] == {"value": 0.5}
    assert record["card"] == {"supervision": "image tags", "seed": 7}
    assert {"torch", "pytorch-lightning", "hydra-core", "numpy"} <= record["packages"].keys()
    assert record["wall_seconds"] >= 0 and record["peak_memory_bytes"] > 2**20
    assert record["device"].startswith("CPU") and record["cores"] == os.cpu_count()
    assert record["commit"] is None or len(record["commit"].rstrip("+")) == 40
    assert any(name.endswith("fake_stages.py") for name in record["sources"])


def test_a_record_holds_no_path_of_the_store(make_plan: MakePlan, tmp_path: Path) -> None:
    plan = make_plan({"first": stage("write"), "last": stage("write", previous="${artifact:first}/sub")})
    pipeline.run(plan)
    assert str(tmp_path / "store") not in (plan.final.folder / "stage.json").read_text()


def test_the_record_is_written_last(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(self: Path, target: Path) -> None:
        if target.name == "stage.json":
            raise KeyboardInterrupt
        os.replace(self, target)  # noqa: PTH105

    plan = make_plan({"only": stage("write")})
    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(plan)
    assert (plan.final.folder / "given.json").exists(), "the stage had finished"
    assert plan.final.record() is None and plan.final.status() == "half done"


def test_a_missing_package_does_not_cost_the_record(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsss_lightning.pipeline.store._PACKAGES", ("torch", "no-such-package"))
    plan = make_plan({"only": stage("write")})
    pipeline.run(plan)
    record = plan.final.record()
    assert record is not None and list(record["packages"]) == ["torch"]


def test_a_commit_is_marked_where_code_or_configuration_differ_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit() -> str:
        store._commit.cache_clear()
        return str(store.provenance()["commit"])

    monkeypatch.setattr(store, "__file__", str(tmp_path / "wsss_lightning/pipeline/store.py"))
    (tmp_path / "conf").mkdir()
    git = ("git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c")
    for arguments in (("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "first")):
        subprocess.run([*git, *arguments], check=True)
    (tmp_path / "table2.md").write_text("a table that was saved")
    clean = commit()
    assert len(clean) == 40
    (tmp_path / "conf/own.yaml").write_text("seed: 1")
    assert commit() == f"{clean}+"


def test_a_damaged_record_is_named(make_plan: MakePlan) -> None:
    plan = make_plan({"only": stage("write")})
    pipeline.run(plan)
    (plan.final.folder / "stage.json").write_text('{"stage": "on')
    with pytest.raises(InputError, match=r"stage\.json is no JSON file: delete the folder"):
        pipeline.run(plan)


def test_a_store_that_cannot_be_written_is_named(make_plan: MakePlan, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("in the way")
    with pytest.raises(InputError, match=r"store .* cannot be written .*: set paths\.root"):
        pipeline.run(make_plan({"only": stage("write")}))


def _run(make: Any, stages: dict[str, Any]) -> None:
    pipeline.run(make(stages))


def test_jobs_that_start_at_once_compute_a_stage_once(make_plan: MakePlan) -> None:
    stages = {"only": stage("slow", seconds=0.5)}
    jobs = [multiprocessing.get_context("fork").Process(target=_run, args=(make_plan, stages)) for _ in range(3)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0, 0, 0]
    assert _calls(make_plan(stages).final) == 1


def test_a_fresh_stage_that_fails_leaves_the_old_one(make_plan: MakePlan, tmp_path: Path) -> None:
    fuse = tmp_path / "fuse"
    fuse.touch()
    plan = make_plan(_two())
    pipeline.run(plan)
    before = {path.name: path.read_bytes() for path in plan.final.folder.iterdir()}
    fuse.unlink()
    with pytest.raises(RuntimeError, match="broke down"):
        pipeline.run(plan, fresh=["second"])
    assert before == {path.name: path.read_bytes() for path in plan.final.folder.iterdir()}
    fuse.touch()
    assert pipeline.run(plan, fresh=["second"]) == {"written": 5.0}
    assert not any((plan.final.folder.parent / ".replaced").iterdir())


def test_a_fresh_stage_that_was_killed_goes_on_and_then_the_old_one_is_gone(
    make_plan: MakePlan, tmp_path: Path
) -> None:
    (tmp_path / "fuse").touch()
    plan = make_plan(_two())
    pipeline.run(plan)
    kept = plan.final.folder.parent / ".replaced" / plan.final.folder.name
    kept.parent.mkdir()
    plan.final.folder.rename(kept)
    plan.final.folder.mkdir()
    (plan.final.folder / "item0").touch()
    assert pipeline.run(plan) == {"written": 4.0}
    assert not kept.exists()


def test_a_second_fresh_run_after_a_kill_starts_over_and_keeps_the_finished_one(
    make_plan: MakePlan, tmp_path: Path
) -> None:
    (tmp_path / "fuse").touch()
    plan = make_plan(_two())
    pipeline.run(plan)
    kept = plan.final.folder.parent / ".replaced" / plan.final.folder.name
    kept.parent.mkdir()
    plan.final.folder.rename(kept)
    plan.final.folder.mkdir()
    (plan.final.folder / "item0").touch()
    (tmp_path / "fuse").unlink()
    with pytest.raises(RuntimeError, match="broke down"):
        pipeline.run(plan, fresh=["second"])
    assert plan.final.status() == "cached"


HELPER = "def number():\n    return 1\n"
SOURCE = """
from pathlib import Path
from package_that_changes.helper import number

def compute(*, out_dir, text):
    Path(__file__).with_name("helper.py").write_text(text)
    return {"value": number()}
"""


TRAINING = """
from pathlib import Path

def fit(*, out_dir):
    Path(out_dir, "model.json").write_text('{"module": {"_target_": "package_that_changes.helper.number"}}')
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "package_that_changes"
    folder.mkdir()
    for name, text in {"__init__": "", "module": SOURCE, "helper": HELPER, "unrelated": ""}.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    _forget_sources()
    yield folder
    for name in [name for name in sys.modules if name.startswith(folder.name)]:
        del sys.modules[name]


def _compute(package: Path, text: str) -> dict[str, Any]:
    return {"_target_": f"{package.name}.module.compute", "out_dir": "${out_dir:}", "text": text}


def test_a_change_of_code_is_seen(make_plan: MakePlan, package: Path, caplog: pytest.LogCaptureFixture) -> None:
    plan = make_plan({"only": _compute(package, HELPER)})
    pipeline.run(plan)
    _forget_sources()
    assert plan.final.status() == "cached"
    _forget_sources()
    (package / "helper.py").write_text(HELPER.replace("1", "2"))
    (package / "unrelated.py").write_text("x = 1\n")
    assert plan.final.status() == "cached, code changed: package_that_changes/helper.py"
    with caplog.at_level(logging.INFO):
        pipeline.run(plan)
    assert "cached, code changed: package_that_changes/helper.py" in caplog.text


def test_a_change_while_a_stage_runs_is_seen(make_plan: MakePlan, package: Path) -> None:
    changed = HELPER.replace("1", "2")
    plan = make_plan(
        {"only": {"_target_": f"{package.name}.module.compute", "out_dir": "${out_dir:}", "text": changed}}
    )
    pipeline.run(plan)
    _forget_sources()
    assert plan.final.status() == "cached, code changed: package_that_changes/helper.py"


def test_a_change_of_the_code_of_a_model_is_seen_by_the_stages_that_are_given_it(
    make_plan: MakePlan, package: Path
) -> None:
    (package / "training.py").write_text(TRAINING)
    fit = {"_target_": f"{package.name}.training.fit", "out_dir": "${out_dir:}"}
    plan = make_plan({"fit": fit, "reader": stage("write", previous="${artifact:fit}")})
    pipeline.run(plan)
    assert [each.status() for each in plan.stages.values()] == ["cached", "cached"]
    _forget_sources()
    (package / "helper.py").write_text(HELPER.replace("1", "2"))
    changed = "cached, code changed: package_that_changes/helper.py"
    assert [each.status() for each in plan.stages.values()] == ["cached", changed]


def _forget_sources() -> None:
    for remembered in (modules.module_path, modules.tree, modules.sources, signatures.signature_of, store._hash):
        remembered.cache_clear()


def test_sources_of_our_own_stages_are_recorded() -> None:
    record = {"node": {"_target_": "wsss_lightning.stages.generate.generate_shapes"}, "sources": {}}
    changed = changed_sources(record)
    assert "wsss_lightning/stages/generate.py" in changed and "wsss_lightning/data/shapes.py" in changed
    assert not any("torch" in name for name in changed)


def _finished(make_plan: MakePlan, **parameters: Any) -> pipeline.PlannedStage:
    stages = {"first": stage("write"), "last": stage("write", previous="${artifact:first}", **parameters)}
    plan = make_plan(stages, runtime={"workers": 2})
    pipeline.run(plan)
    return plan.final


def test_rerun_gives_the_same_files_beside_the_stage(make_plan: MakePlan) -> None:
    planned = _finished(make_plan, value=5, workers="${runtime.workers}", loggers="${logger}", revision=3)
    before = {path.name: path.read_bytes() for path in planned.folder.iterdir()}
    assert pipeline.rerun(planned.folder / "stage.json") == {"value": 5.0}
    again = planned.folder.with_name(f"{planned.folder.name}-rerun")
    text = (again / "given.json").read_text()
    assert text.replace(str(again), str(planned.folder)) == (planned.folder / "given.json").read_text()
    assert before == {path.name: path.read_bytes() for path in planned.folder.iterdir()}


def test_rerun_elsewhere_and_after_a_move_of_the_store(make_plan: MakePlan, tmp_path: Path) -> None:
    planned = _finished(make_plan, value=5)
    moved = (tmp_path / "store").rename(tmp_path / "archive") / planned.folder.name
    pipeline.rerun(moved / "stage.json", out_dir=tmp_path / "again")
    given = json.loads((tmp_path / "again" / "given.json").read_text())
    assert Path(given["previous"]).parent == tmp_path / "archive"


def test_rerun_overwrites_nothing(make_plan: MakePlan) -> None:
    planned = _finished(make_plan)
    for taken in (planned.folder, planned.folder / "stage.json"):
        with pytest.raises(InputError, match="is in use: delete it"):
            pipeline.rerun(planned.folder / "stage.json", out_dir=taken)


def test_rerun_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no finished stage's stage\.json"):
        pipeline.rerun(tmp_path / "stage.json")


def test_rerun_without_the_stage_before(make_plan: MakePlan) -> None:
    planned = _finished(make_plan)
    (first,) = planned.folder.parent.glob("first-*")
    first.rename(first.with_name("gone"))
    with pytest.raises(InputError, match=r"last read .*first-.*, which is gone"):
        pipeline.rerun(planned.folder / "stage.json")


@pytest.mark.parametrize("change", ["gone", "changed"])
def test_rerun_with_other_weights(make_plan: MakePlan, tmp_path: Path, change: str) -> None:
    weights = tmp_path / "net.pth"
    weights.write_text("weights")
    planned = _finished(make_plan, weights=f"${{weights:{weights}}}")
    assert pipeline.rerun(planned.folder / "stage.json", out_dir=tmp_path / "again")
    weights.unlink() if change == "gone" else weights.write_text("other weights")
    with pytest.raises(InputError, match=r"last read .*net\.pth, which is gone or has changed"):
        pipeline.rerun(planned.folder / "stage.json")


def test_rerun_says_that_the_code_has_changed(make_plan: MakePlan, caplog: pytest.LogCaptureFixture) -> None:
    planned = _finished(make_plan)
    path = planned.folder / "stage.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "sources": {"fake_stages.py": "another"}}))
    pipeline.rerun(path)
    assert "the code has changed since: " in caplog.text and "fake_stages.py" in caplog.text


def test_an_unfinished_stage_has_no_record(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None


@pytest.mark.parametrize("trusted", [True, False])
def test_a_model_that_nobody_could_load_is_refused_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    monkeypatch.setenv(TRUST, "fake_stages" if trusted else "")
    optimizer = ["optimizer=adam", "optimizer._target_=fake_stages.square_into"]
    plan = pipeline.plan(["method=cam", *optimizer, "backbone.weights=null", f"paths.root={tmp_path}"])
    monkeypatch.setattr(execution, "_run_stage", lambda *_, **__: ({"metrics": {"run": 1.0}}, True))
    if trusted:
        assert pipeline.run(plan) == {"run": 1.0}
        return
    with pytest.raises(InputError, match=r"^classifier calls code of fake_stages, .*: set WSSS_TRUST=fake_stages in"):
        pipeline.run(plan)
