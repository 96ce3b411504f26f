"""What a trainer is given besides devices: it works in a stage as in Lightning, and survives a kill."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, EMAWeightAveraging
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader

from wsss_lightning.data.steps import StepData, share
from wsss_lightning.errors import InputError
from wsss_lightning.nn.seeds import seeded
from wsss_lightning.stages.fit import fit, make_trainer

STEPS = 12


class Line(pl.LightningModule):
    """A regression with an optimiser that has state and a schedule by the step; held-out batches are counted."""

    def __init__(self, *, dies_at: int | None = None, dropout: float = 0.5) -> None:
        super().__init__()
        with seeded(3):
            self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(dropout), nn.Linear(8, 1))
        self.dies_at = dies_at
        self.validated: list[int] = []
        self.stepped: list[int] = []

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        if self.global_step == self.dies_at:
            raise RuntimeError("killed")
        self.stepped.append(self.global_step)
        loss = (self.net(batch["x"]) - batch["y"]).square().mean()
        self.log("train/loss", loss, batch_size=len(batch["x"]))
        return loss * batch["share"]

    def validation_step(self, batch: Tensor, _: int) -> None:
        self.validated.append(self.global_step)
        self.log("val/error", (self.net(batch) - batch.sum(dim=1, keepdim=True)).square().mean())
        self.log("val/rising", torch.tensor(float(self.global_step)))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Numbers:
    """Step t learns from `batch_size` points drawn from t."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size

    def __len__(self) -> int:
        return STEPS

    def batch(self, step: int, *, rank: int, world: int) -> dict[str, Tensor]:
        x = torch.randn(self.batch_size, 4, generator=torch.Generator().manual_seed(step))
        x = share(x, rank=rank, world=world)
        return {"x": x, "y": x.sum(dim=1, keepdim=True)}


def train(
    folder: Path,
    module: Line,
    *,
    stage_callbacks: dict[str, pl.Callback] | None = None,
    batch_size: int = 5,
    every: int = 4,
    held_out: bool = True,
    **options: Any,
) -> dict[str, float]:
    shown = DataLoader(torch.linspace(-1, 1, 24).reshape(6, 4), batch_size=3)  # type: ignore[arg-type]
    return fit(
        out_dir=folder,
        model=module,
        data=StepData(steps=lambda parts: Numbers(batch_size * parts), held_out=shown if held_out else None),
        inputs=None,
        callbacks=stage_callbacks,
        trainer=partial(pl.Trainer, accelerator="cpu", devices=1, log_every_n_steps=1, **options),
        loggers={"csv": CSVLogger(folder, name="logs")},
        checkpoint_every=every,
        progress=False,
        description="test",
    )


def weights(module: Line) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def averaged() -> dict[str, pl.Callback]:
    return {"ema": EMAWeightAveraging(decay=0.9)}


def stopping() -> dict[str, pl.Callback]:
    return {"stop": EarlyStopping("val/rising", mode="min", patience=2, check_on_train_epoch_end=False)}


class Counter(pl.Callback):
    def __init__(self) -> None:
        self.batches = 0

    def on_train_batch_end(self, *_: Any) -> None:
        self.batches += 1


def test_callbacks_of_the_trainer_and_of_the_stage_are_called(tmp_path: Path) -> None:
    one, other = Counter(), Counter()
    train(tmp_path, Line(), stage_callbacks={"one": one}, callbacks=[other])
    assert (one.batches, other.batches) == (STEPS, STEPS)


@pytest.mark.parametrize(
    ("options", "stepped"),
    [
        ({}, STEPS),
        ({"max_steps": 5}, 5),
        ({"max_epochs": 2}, 2 * STEPS),
        ({"limit_train_batches": 7}, 7),
        ({"limit_train_batches": 7, "max_epochs": 2}, 14),
        ({"max_steps": 10, "accumulate_grad_batches": 2}, 10),
        ({"fast_dev_run": True}, 1),
        ({"fast_dev_run": 3}, 3),
    ],
)
def test_the_trainer_says_how_long(tmp_path: Path, options: dict[str, Any], stepped: int) -> None:
    module = Line()
    train(tmp_path, module, **options)
    assert sorted(set(module.stepped)) == list(range(stepped)) and module.trainer.global_step == stepped


@pytest.mark.parametrize("parts", [2, 3])
def test_accumulated_batches_equal_one_of_their_sum(tmp_path: Path, parts: int) -> None:
    whole, shared = Line(dropout=0), Line(dropout=0)
    train(tmp_path / "whole", whole, batch_size=6)
    train(tmp_path / "shared", shared, batch_size=6 // parts, accumulate_grad_batches=parts)
    assert len(shared.stepped) == parts * STEPS
    torch.testing.assert_close(weights(shared), weights(whole), rtol=0, atol=1e-6)
    assert not torch.equal(weights(shared), weights(Line(dropout=0)))


def test_an_uneven_share_counts_by_its_images(tmp_path: Path) -> None:
    """Seven points in batches of three and two and two."""

    class Seven(Numbers):
        def __init__(self, _: int) -> None:
            super().__init__(7)

    whole, shared = Line(dropout=0), Line(dropout=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(train.__globals__, "Numbers", Seven)
        train(tmp_path / "whole", whole)
        train(tmp_path / "shared", shared, accumulate_grad_batches=3)
    torch.testing.assert_close(weights(shared), weights(whole), rtol=0, atol=1e-6)


def test_validation_every_few_steps_gives_a_curve(tmp_path: Path) -> None:
    module = Line()
    train(tmp_path, module, val_check_interval=5)
    assert sorted(set(module.validated)) == [5, 10]
    (log,) = (tmp_path / "logs").rglob("metrics.csv")
    header, *rows = [line.split(",") for line in log.read_text().splitlines()]
    curve = {int(row[header.index("step")]): row[header.index("val/error")] for row in rows}
    assert [step for step, value in curve.items() if value] == [4, 9]  # Lightning's logs count steps from 0
    assert curve[4] != curve[9]


@pytest.mark.parametrize(
    ("options", "validated"),
    [
        ({}, [STEPS]),
        ({"max_steps": 5}, [5]),
        ({"max_steps": 4, "accumulate_grad_batches": 2}, [4]),
        ({"max_steps": 7, "val_check_interval": 3}, [3, 6]),
        ({"max_steps": 5, "limit_val_batches": 0}, []),
        ({"max_steps": 2 * STEPS}, [STEPS, 2 * STEPS]),
    ],
)
def test_a_training_that_is_cut_short_is_validated_at_its_end(
    tmp_path: Path, options: dict[str, Any], validated: list[int]
) -> None:
    module = Line()
    metrics = train(tmp_path, module, **options)
    assert sorted(set(module.validated)) == validated
    assert ("val/error" in metrics) == bool(validated)


def test_early_stopping_stops(tmp_path: Path) -> None:
    module = Line()
    train(tmp_path, module, stage_callbacks=stopping(), val_check_interval=2)
    assert module.stepped == list(range(6))  # the best at 2, then two that are worse


@pytest.mark.parametrize(
    ("callback", "options"),
    [
        (EarlyStopping("val/rising"), {}),
        (EarlyStopping("val/rising"), {"limit_val_batches": 0}),
        (EarlyStopping("train/loss"), {"val_check_interval": 2}),
    ],
)
def test_what_waits_for_validations_is_refused_where_nothing_is_held_out(
    tmp_path: Path, callback: pl.Callback, options: dict[str, Any]
) -> None:
    module = Line()
    with pytest.raises(InputError, match=r"EarlyStopping waits for .* of validations, but nothing is held out from"):
        train(tmp_path, module, stage_callbacks={"stop": callback}, held_out="limit_val_batches" in options, **options)
    assert module.stepped == [] and not (tmp_path / "model.json").exists()


@pytest.mark.parametrize(
    ("callback", "options", "stepped"),
    [
        (EarlyStopping("train/loss", patience=1, stopping_threshold=1e9), {"max_epochs": 3}, STEPS),
        (EarlyStopping("val/rising", patience=1), {"max_epochs": 4, "check_val_every_n_epoch": 2}, 4 * STEPS),
    ],
)
def test_what_waits_for_something_that_comes_is_not(
    tmp_path: Path, callback: pl.Callback, options: dict[str, Any], stepped: int
) -> None:
    module, held_out = Line(), "check_val_every_n_epoch" in options
    train(tmp_path, module, stage_callbacks={"stop": callback}, held_out=held_out, **options)
    assert len(module.stepped) == stepped


def test_averaged_weights_are_what_stays(tmp_path: Path) -> None:
    class Steps(pl.Callback):
        weights: list[Tensor]

        def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
            self.weights = [weights(pl_module).clone()]

        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
            self.weights.append(weights(pl_module).clone())

    plain, average, each = Line(), Line(), Steps()
    train(tmp_path / "plain", plain, callbacks=[each])
    train(tmp_path / "ema", average, stage_callbacks=averaged())
    expected = each.weights[1]
    for later in each.weights[2:]:
        expected = 0.9 * expected + 0.1 * later
    torch.testing.assert_close(weights(average), expected)
    assert (weights(average) - weights(plain)).abs().max() > 0.01


OPTIONS: dict[str, tuple[Any, dict[str, Any]]] = {
    "plain": (dict, {}),
    "accumulated": (dict, {"accumulate_grad_batches": 2}),
    "validated": (dict, {"val_check_interval": 2}),
    "validated and accumulated": (dict, {"val_check_interval": 4, "accumulate_grad_batches": 2}),
    "averaged": (averaged, {"val_check_interval": 3}),
    "stopped": (stopping, {"val_check_interval": 4, "max_epochs": 2}),
    "stopped soon": (stopping, {"val_check_interval": 2}),
    "epochs": (dict, {"max_epochs": 3}),
    "short epochs": (dict, {"max_epochs": 3, "limit_train_batches": 5}),
    "averaged epochs": (averaged, {"max_epochs": 2, "check_val_every_n_epoch": 2}),
    "clipped": (dict, {"gradient_clip_val": 0.5, "max_steps": 9}),
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("every", [1, 4])
def test_killed_and_resumed_gives_the_same_bits(tmp_path: Path, name: str, every: int) -> None:
    callbacks, options = OPTIONS[name]
    whole = Line()
    metrics = train(tmp_path / "whole", whole, stage_callbacks=callbacks(), every=every, **options)
    length = len(set(whole.stepped))
    for dies_at in {4, 5, length - 1}:
        folder, resumed = tmp_path / f"{dies_at}", Line()
        with pytest.raises(RuntimeError, match="killed"):
            train(folder, Line(dies_at=dies_at), stage_callbacks=callbacks(), every=every, **options)
        again = train(folder, resumed, stage_callbacks=callbacks(), every=every, **options)
        assert torch.equal(weights(resumed), weights(whole)), f"killed at {dies_at}"
        assert again == metrics, f"killed at {dies_at}"


@pytest.mark.parametrize("loop", ["fit", "validate", "predict"])
def test_sigterm_ends_the_process_at_once_in_every_loop(tmp_path: Path, loop: str) -> None:
    """Lightning's own handler waits for the end of a step, and in inference for that of all images."""
    handlers = []

    class Look(pl.Callback):
        def look(self, *_: Any) -> None:
            handlers.append(signal.getsignal(signal.SIGTERM))

        on_train_batch_start = on_validation_batch_start = on_predict_batch_start = look

    class Predicting(Line):
        def predict_step(self, batch: Tensor, _: int) -> Tensor:
            return self.net(batch)  # type: ignore[no-any-return]

    made = make_trainer(
        partial(pl.Trainer, accelerator="cpu", devices=1, limit_train_batches=2),
        callbacks=[Look()],
        logger=[],
        folder=tmp_path,
    )
    data = StepData(steps=lambda parts: Numbers(parts), held_out=DataLoader(torch.zeros(2, 4)))  # type: ignore[arg-type]
    if loop == "fit":
        made.fit(Predicting(), datamodule=data)
    else:
        getattr(made, loop)(Predicting(), DataLoader(torch.zeros(2, 4)))  # type: ignore[arg-type]
    assert len(handlers) >= 2 and set(handlers) == {signal.SIG_DFL}


class KilledAtTheEnd(pl.Callback):
    """Behind the last step and before the stage has written its weights."""

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        raise RuntimeError("killed")


@pytest.mark.parametrize("name", OPTIONS)
def test_run_again_after_the_last_step_gives_the_same_bits(tmp_path: Path, name: str) -> None:
    callbacks, options = OPTIONS[name]
    whole, again = Line(), Line()
    metrics = train(tmp_path / "whole", whole, stage_callbacks=callbacks(), every=1, **options)
    with pytest.raises(RuntimeError, match="killed"):
        killed = {**(callbacks() or {}), "killed": KilledAtTheEnd()}
        train(tmp_path / "parts", Line(), stage_callbacks=killed, every=1, **options)
    assert metrics == train(tmp_path / "parts", again, stage_callbacks=callbacks(), every=1, **options)
    assert torch.equal(weights(again), weights(whole))
    assert len(set(again.stepped)) <= 4


SLURM = {
    "SLURM_JOB_ID": "1",
    "SLURM_NTASKS": "1",
    "SLURM_JOB_NAME": "wsss",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURM_JOB_NODELIST": "node1",
    "SLURM_NTASKS_PER_NODE": "1",
}
PROGRAM = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import torch
from stages.test_trainer_options import Line, train, weights

class Killed(Line):
    def training_step(self, batch, index):
        if self.global_step == {signal_at}:
            os.kill(os.getpid(), signal.SIGUSR1)
        if self.global_step == {signal_at} + 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().training_step(batch, index)

module = Killed()
train(Path("."), module)
torch.save(weights(module), "weights.pt")
"""


def run_in_allocation(folder: Path, *, signal_at: int = -9) -> int:
    program = PROGRAM.format(tests=str(Path(__file__).parents[1]), signal_at=signal_at)
    environment = {**os.environ, **SLURM}
    return subprocess.run([sys.executable, "-c", program], env=environment, cwd=folder, check=False).returncode


def test_a_preempted_job_goes_on_to_the_same_bits_and_lightning_does_not_requeue(tmp_path: Path) -> None:
    """SLURM warns by SIGUSR1, then kills; the job is started again from outside."""
    whole, folder = Line(), tmp_path / "job"
    train(tmp_path / "whole", whole)
    folder.mkdir()
    assert run_in_allocation(folder, signal_at=6) in (-signal.SIGUSR1, -signal.SIGKILL)
    assert (folder / "last.ckpt").exists() and not list(folder.rglob("hpc_ckpt*"))
    assert run_in_allocation(folder) == 0
    assert torch.equal(torch.load(folder / "weights.pt"), weights(whole))
    assert not list(folder.rglob("hpc_ckpt*"))
