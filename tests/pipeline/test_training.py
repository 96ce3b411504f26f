"""What a training is given in vain is refused when planning, by name; what stages say that they log they do log."""

from __future__ import annotations

from pathlib import Path

import pytest

import wsss_lightning
from wsss_lightning import pipeline
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.identity import TRAINS

PLAIN = "backbone.weights=null"
STOPPING = "{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: %s}"
REFUSED = {
    "++optimizer={lr: 4}": r"optimizer=\{'lr': 4\} names nothing to call: give it a _target_, or null\.",
    "+optimizer.foo=1": r"optimizer=\{'foo': 1\} names nothing to call",
    "++scheduler={power: 3}": r"scheduler=\{'power': 3\} names nothing to call",
    "+callbacks.x=3": r"callbacks\.x=3 names nothing to call",
    "++callbacks={early: {patience: 3}}": r"callbacks\.early=\{'patience': 3\} names nothing to call",
    "+stages.classifier.callbacks={x: {patience: 3}}": r"stages\.classifier\.callbacks\.x=\{'patience': 3\} names",
    "optimizer=sgd +optimizer.lr=3": (
        r"stages\.localizers\.optimizer\.lr=3 has no effect: the stage gives the rate of every step itself, so set "
        r"stages\.localizers\.rates, or that of tuning\."
    ),
    "scheduler=cosine +scheduler.first=3": r"stages\.localizers\.scheduler\.first=3 has no effect: .*localizers\.rates",
    "callbacks=early_stopping": (
        r"stages\.classifier\.callbacks\.early_stopping waits for val/tag_ap, but this stage logs train/loss: let it "
        r"monitor one of these, or set stages\.classifier\.callbacks=null\."
    ),
    "+trainer.min_steps=60": (
        r"stages\.localizers\.trainer\.min_steps=60 has no effect, since nothing stops this training early: leave "
        r"it out, set stages\.localizers\.trainer\.max_steps, or take callbacks=early_stopping\."
    ),
    "+trainer.limit_train_batches=0": r"trainer\.limit_train_batches=0 leaves no step to train: give a positive number",
    "+trainer.max_epochs=0": r"stages\.localizers\.trainer\.max_epochs=0 leaves no step",
    "callbacks=early_stopping trainer.devices=2": r"stages\.localizers\.callbacks\.early_stopping waits for val/tag_ap",
    "method=priors callbacks=early_stopping callbacks.early_stopping.monitor=val/loss": "this stage logs train",
    "method=cam callbacks=early_stopping callbacks.early_stopping.monitor=val/miou": "waits for val/miou",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_what_a_training_is_given_in_vain_is_refused_by_name(typed: str) -> None:
    overrides = typed.split(" ") if "{" not in typed else [typed]
    with pytest.raises(InputError, match=REFUSED[typed]) as refusal:
        pipeline.plan([PLAIN, *overrides])
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "typed",
    [
        "optimizer=sgd +optimizer.nesterov=true",
        "scheduler=poly scheduler.power=3",
        "callbacks=ema +callbacks.x=null",
        "method=cam callbacks=early_stopping +trainer.min_epochs=1",
        "method=patches callbacks=early_stopping callbacks.early_stopping.monitor=val/tag_accuracy",
    ],
)
def test_what_a_training_follows_is_not(typed: str) -> None:
    assert pipeline.plan([PLAIN, *typed.split(" ")])


def test_a_file_s_optimiser_without_a_function_is_refused(tmp_path: Path) -> None:
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "mine.yaml").write_text("lr: 4\n")
    with pytest.raises(InputError, match=r"optimizer=\{'lr': 4\} names nothing to call"):
        pipeline.plan([PLAIN, f"hydra.searchpath=[file://{tmp_path}]", "optimizer=mine"])


def test_every_stage_that_trains_says_what_it_logs() -> None:
    stages = sorted(Path(wsss_lightning.__path__[0]).rglob("stages/*.py"))
    training = {
        path: text for path in stages if f"    {TRAINS}: int,\n" in (text := path.read_text()) and "seed" in text
    }
    training = {path: text for path, text in training.items() if path.stem != "fit"}
    assert len(training) == 10
    assert [path for path, text in training.items() if '\nLOGS = {"train/loss": None' not in text] == []
