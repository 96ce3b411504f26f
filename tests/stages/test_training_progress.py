from __future__ import annotations

import io
import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from rich.console import Console

from wsss_lightning.progress import ProgressBar
from wsss_lightning.stages import training_progress
from wsss_lightning.stages.training_progress import TrainingProgress


def test_the_bar_shows_the_loss_and_a_line_names_the_device(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bar = ProgressBar(Console(file=io.StringIO(), force_terminal=True), enabled=True)
    monkeypatch.setattr(training_progress, "display", lambda _: bar)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    trainer = cast(Any, SimpleNamespace(strategy=strategy, world_size=1, is_global_zero=True, global_step=0))
    trainer.estimated_stepping_batches = 8
    progress, module = TrainingProgress(description="classifier"), cast(Any, None)
    with caplog.at_level(logging.INFO):
        progress.on_train_start(trainer, module)
    assert "classifier: 8 steps on CPU, " in caplog.text and "going on" not in caplog.text
    trainer.global_step = 3
    progress.on_train_batch_end(trainer, module, {"loss": torch.tensor(0.25)}, None, 0)
    progress.on_train_batch_end(trainer, module, torch.tensor(0.75), None, 0)
    (task,) = bar.tasks
    assert (task.completed, task.total, task.description) == (3, 8, "classifier, loss 0.25"), "read twice a second"
    progress.on_train_end(trainer, module)
    assert bar.finished is False and not bar.live.is_started


def test_a_training_that_goes_on_says_from_where(caplog: pytest.LogCaptureFixture) -> None:
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    trainer = cast(Any, SimpleNamespace(strategy=strategy, world_size=1, is_global_zero=True, global_step=3))
    trainer.estimated_stepping_batches = 8
    with caplog.at_level(logging.INFO):
        TrainingProgress(description="classifier").on_train_start(trainer, cast(Any, None))
    assert caplog.records[-1].getMessage().endswith(", going on behind step 3")
