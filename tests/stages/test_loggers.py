from pathlib import Path

import pytest
import wandb
from pytorch_lightning.loggers import CSVLogger, WandbLogger

from wsss_lightning.stages.io import write_json
from wsss_lightning.stages.loggers import closing_loggers, log_scalars, log_stage


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    wandb.teardown()  # it reads the environment once in a process


def wandb_logger(folder: Path) -> WandbLogger:
    return WandbLogger(project="test", save_dir=folder, offline=True, group="sweep", job_type="stage")


def test_two_stages_of_one_process_are_two_offline_runs(tmp_path: Path, offline: None) -> None:
    ids = []
    for stage in ("one", "two"):
        write_json(tmp_path / stage / "node.json", {"stage": stage, "upstream": {"before": "key"}})
        loggers = {"wandb": wandb_logger(tmp_path / stage)}
        with closing_loggers(loggers):
            log_stage(loggers, tmp_path / stage)
            log_scalars(loggers, {"val/miou": 0.5})
            run = loggers["wandb"].experiment
            assert run.config["stage"] == stage and run.config["upstream"] == {"before": "key"}
            assert run.group == "sweep" and run.job_type == "stage"
            ids.append(run.id)
    assert len(set(ids)) == 2
    for stage in ("one", "two"):
        assert len(list((tmp_path / stage / "wandb").glob("offline-run-*"))) == 1


def test_a_failed_stage_is_marked_as_failed(tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch) -> None:
    logger, codes = wandb_logger(tmp_path), []
    run = logger.experiment
    finish = run.finish
    monkeypatch.setattr(type(run), "finish", lambda _, exit_code=None: codes.append(exit_code))
    with pytest.raises(RuntimeError), closing_loggers({"wandb": logger}):
        raise RuntimeError("the stage failed")
    with closing_loggers({"wandb": logger}):
        pass
    assert codes == [1, 0]
    monkeypatch.undo()
    finish()


def test_numbers_reach_the_file(tmp_path: Path) -> None:
    loggers = {"csv": CSVLogger(tmp_path, name="logs")}
    with closing_loggers(loggers):
        log_scalars(loggers, {"val/miou": 0.25})
    (written,) = (tmp_path / "logs").rglob("metrics.csv")
    assert "0.25" in written.read_text()
