"""What an offline run of W&B wrote, read back from its file."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_training
import numpy as np
import pytest
import wandb
from omegaconf import OmegaConf
from packaging.version import Version
from PIL import Image
from wandb_file import WandbFile, read_runs

from wsss_lightning import pipeline
from wsss_lightning.dashboards.wandb_run import WandbRun
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.planning import plan_config
from wsss_lightning.pipeline.telling import DashboardJob, Finished

Run = Callable[..., WandbFile]
LOGGERS = {
    "csv": {"save_dir": "${out_dir:}"},
    "wandb": {
        "_target_": "wsss_lightning.dashboards.wandb_run.WandbRun",
        "project": "test",
        "folder": "${paths.root}",
        "offline": True,
    },
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the stages of `fake_training` with W&B and read back what it wrote."""
    for name in ("WANDB_MODE", "WANDB_DIR", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    wandb.teardown()  # it reads the environment once in a process
    (tmp_path / "photographs").mkdir()
    for number in range(8):
        Image.new("RGB", (30, 20)).save(tmp_path / "photographs" / f"train_{number}.png")

    def run(*, group: str | None = None, **settings: Any) -> WandbFile:
        stages = copy.deepcopy(fake_training.STAGES)
        stages["labels"]["data"]["root"] = str(tmp_path / "photographs")  # type: ignore[index]
        stages["model"] |= settings
        named = {"name": "points/top rate=0.5", "group": group, "tags": ["mine"], "varied": {"rate": 0.5}}
        config = {"paths": {"root": str(tmp_path), "store": str(tmp_path / "store")}, "logger": LOGGERS, "run": named}
        config |= {"stages": stages, "result": "evaluation", "seed": 3, "card": {"supervision": "image tags"}}
        before = len(read_runs(tmp_path))
        try:
            pipeline.run(plan_config(OmegaConf.create(config)))
        finally:
            wandb.teardown()  # what it writes with is another process
            runs = read_runs(tmp_path)
            assert len(runs) == before + 1
        return runs[-1]

    return run


def test_one_run_has_all_that_a_job_computed_and_a_later_one_what_was_cached(run: Run, tmp_path: Path) -> None:
    first, second = run(group="sweep"), run(group="sweep")
    for written in (first, second):
        assert (written.name, written.group, written.exit_code) == ("points/top rate=0.5", "sweep", 0)
        assert written.config["seed"] == 3 and written.config["varied"] == {"rate": 0.5}
        assert written.config["card"] == {"supervision": "image tags"}
        assert written.config["stages"]["model"]["rate"] == 0.5 and len(written.config["stages"]["labels"]["key"]) == 64
        assert written.curve("model/train/loss") == [(10, 4.0), (20, 3.0), (30, 2.0)]
        assert written.curve("model/val/tag_ap") == [(30, 0.5)]
        assert written.curve("evaluation/miou_by_threshold") == [(0.1, 0.25), (0.2, 0.5)]
        assert written.step_of["evaluation/miou_by_threshold"] == "evaluation/threshold"
        assert (written.summary["val/miou"], written.summary["evaluation/val/iou/cat"]) == (0.5, 0.25)
        if Version(wandb.__version__) >= Version("0.31"):  # earlier ones sample for the first time after 15 s
            assert written.system, "no system metrics"
    assert (first.tags, second.tags) == (["mine"], ["mine", "cached"])
    assert first.config["cached"] == dict.fromkeys(("model", "labels", "evaluation"), False)
    assert second.config["cached"] == dict.fromkeys(("model", "labels", "evaluation"), True)
    assert not list((tmp_path / "store").rglob("*.wandb")), "a stage has started a run of its own"


def test_overlays_hold_class_indices_with_names_and_have_one_size(run: Run, tmp_path: Path) -> None:
    written = run()
    (files,) = tmp_path.glob("wandb/offline-run-*/files")

    def masks(stage: str) -> list[dict[str, Any]]:
        (found,) = [
            row[f"{stage}/overlays.all_masks"] for row in written.history if f"{stage}/overlays.all_masks" in row
        ]
        return list(found)

    shown = masks("evaluation")
    assert [sorted(each) for each in shown] == [["prediction", "truth"]] * 2
    mask = np.asarray(Image.open(files / shown[0]["truth"]["path"]))
    assert set(np.unique(mask)) == {7, 255}
    assert mask[0, 0] == 255 and mask[200, 100] == 7 and mask[200, 300] == 255  # 40 x 20 px, the right half filled up
    assert [sorted(each) for each in masks("labels")] == [["mask"]] * 6
    named = written.config["_wandb"]["mask/class_labels"]["evaluation/overlays_wandb_delimeter_truth"]["value"]
    assert named == {"0": "background", "7": "cat", "255": "ignored"}
    pictures = list(files.glob("media/images/[!m]*/*.png"))
    assert {Image.open(path).size for path in pictures} == {(384, 384)}
    assert {path.name.partition("_")[0] for path in pictures} == {"overlays", "cam", "scores"}
    (table,) = files.glob("media/table/evaluation/val/iou_per_class*.json")
    assert '["cat",0.25]' in table.read_text().replace(", ", ",")  # wandb wrote blanks before


def test_a_failed_job_is_marked_and_keeps_its_curves(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not finite"):
        run(fails=True)
    (written,) = read_runs(tmp_path)
    assert written.exit_code == 1 and len(written.curve("model/train/loss")) == 3
    assert "val/miou" not in written.summary


def test_a_picture_that_cannot_be_shown_costs_no_result(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr("wsss_lightning.dashboards.wandb_run.read_overlays", fail)
    with caplog.at_level(logging.WARNING):
        assert run().exit_code == 0
    assert "wandb could not show evaluation (RuntimeError: no room)" in caplog.text


def test_the_environment_decides_the_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def start(**settings: Any) -> Any:
        given.update(settings)
        raise TimeoutError("no answer")

    monkeypatch.setattr("wandb.init", start)
    board = WandbRun(project="test", folder=str(tmp_path), offline=True)
    for mode in ("disabled", "online"):
        monkeypatch.setenv("WANDB_MODE", mode)
        with pytest.raises(InputError, match=r"W&B cannot be reached \(no answer\): set WANDB_MODE=offline"):
            board.start(DashboardJob("name", None, [], {}))
        assert given["mode"] == mode
    monkeypatch.setenv("WANDB_MODE", "foo")
    with pytest.raises(InputError, match=r"^WANDB_MODE=foo: .* set one of online, offline, disabled, shared\.$"):
        board.start(DashboardJob("name", None, [], {}))
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    with pytest.raises(InputError):
        board.start(DashboardJob("name", None, [], {}))
    assert given["mode"] == "offline" and given["dir"] == tmp_path / "elsewhere"


@pytest.mark.parametrize("cached", [False, True])
def test_online_a_stage_is_an_artifact_made_or_used(tmp_path: Path, cached: bool) -> None:
    (tmp_path / "stage.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    record = {"key": "a" * 64, "upstream": {"labels": "b" * 64}, "card": {}, "metrics": {}, "wall_seconds": 1.0}
    stage = Finished("model", tmp_path, record, final=False, cached=cached, trials={}, data=[])
    made: dict[str, Any] = {}
    board = WandbRun(project="test", folder=str(tmp_path), offline=False)
    board.run = SimpleNamespace(
        log_artifact=lambda it: made.update(made=it), use_artifact=lambda it: made.update(used=it)
    )
    board._artifact(stage)
    artifact = made["used" if cached else "made"]
    assert len(made) == 1 and (artifact.name, artifact.type) == ("model-aaaaaaaaaaaaaaaa", "model")
    assert artifact.metadata["upstream"] == {"labels": "b" * 64}
    assert set(artifact.manifest.entries) == {"stage.json", "model.safetensors"}
