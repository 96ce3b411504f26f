import logging
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn

from wsss_lightning.data.steps import StepData
from wsss_lightning.errors import InputError
from wsss_lightning.nn.seeds import seeded
from wsss_lightning.stages.fit import fit, quiet

STEPS = 25


class Regression(pl.LightningModule):
    """A network with dropout, an optimiser with state and a schedule: everything that must survive a kill."""

    def __init__(self, *, dies_at: int | None = None) -> None:
        super().__init__()
        with seeded(3):
            self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.dies_at = dies_at
        self.seen: list[int] = []

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        self.seen.append(int(batch["step"]))
        if self.global_step == self.dies_at:
            raise RuntimeError("killed")
        loss = (self.net(batch["x"]) - batch["y"]).square().mean()
        self.log("train/loss", loss, batch_size=len(batch["x"]))
        return loss

    def on_fit_end(self) -> None:
        if self.dies_at == STEPS:
            raise RuntimeError("killed")

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Batches:
    batch_size = 6

    def __len__(self) -> int:
        return STEPS

    def batch(self, step: int, *, rank: int, world: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(6, 4, generator=generator)
        return {"x": x, "y": x.sum(dim=1, keepdim=True), "step": torch.tensor(step)}


def train(folder: Path, module: Regression, *, workers: int = 0, seed: int = 0, every: int = 4) -> dict[str, float]:
    return fit(
        out_dir=folder,
        model=module,
        data=StepData(steps=lambda _: Batches(), workers=workers, seed=seed),
        inputs=None,
        callbacks=None,
        trainer=partial(pl.Trainer, accelerator="cpu", devices=1, log_every_n_steps=1),
        loggers={"csv": CSVLogger(folder, name="logs")},
        checkpoint_every=every,
        progress=False,
        description="test",
    )


def weights(module: Regression) -> list[Tensor]:
    return [parameter.detach() for parameter in module.parameters()]


@pytest.mark.parametrize("dies_at", [3, 10, 16])
def test_killed_and_resumed_gives_the_same_tensors(tmp_path: Path, dies_at: int) -> None:
    whole, killed, resumed = Regression(), Regression(dies_at=dies_at), Regression()
    train(tmp_path / "whole", whole)
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path / "parts", killed)
    train(tmp_path / "parts", resumed)
    assert killed.seen == list(range(dies_at + 1))
    assert resumed.seen == list(range(dies_at // 4 * 4, STEPS))  # from the last checkpoint on, no step twice
    for one, other in zip(weights(whole), weights(resumed), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("every", [1, 4, STEPS])
def test_a_stage_killed_after_its_last_step_ends_with_the_same_tensors(tmp_path: Path, every: int) -> None:
    whole, killed, again, anew = Regression(), Regression(dies_at=STEPS), Regression(), Regression()
    metrics = [train(tmp_path / "whole", whole, every=every)]
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path / "parts", killed, every=every)
    assert (tmp_path / "parts" / "last.ckpt").exists() == (every < STEPS)
    for other in (again, anew):  # before its weights were written, and before its record was
        metrics.append(train(tmp_path / "parts", other, every=every))
        assert not list(tmp_path.rglob("*.ckpt")), "a finished stage keeps no optimiser's states"
        for one, same in zip(weights(whole), weights(other), strict=True):
            torch.testing.assert_close(one, same, rtol=0, atol=0)
    assert metrics[0].keys() == {"train/loss"} and metrics[0] == metrics[1] == metrics[2]


def test_loading_processes_change_nothing(tmp_path: Path) -> None:
    alone, helped = Regression(), Regression()
    train(tmp_path / "0", alone, workers=0)
    train(tmp_path / "2", helped, workers=2)
    for one, other in zip(weights(alone), weights(helped), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_dropout_follows_the_seed(tmp_path: Path) -> None:
    one, other = Regression(), Regression()
    train(tmp_path / "0", one, seed=0)
    train(tmp_path / "1", other, seed=1)
    assert any(not torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


def test_returns_what_was_logged_last_and_writes_a_log(tmp_path: Path) -> None:
    metrics = train(tmp_path, Regression())
    assert metrics.keys() == {"train/loss"}
    (written,) = (tmp_path / "logs").rglob("metrics.csv")
    assert "lr-" in written.read_text().partition("\n")[0]


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"half a checkpoint")
    with pytest.raises(InputError, match=r"last\.ckpt is damaged"):
        train(tmp_path, Regression())


def test_initial_weights_do_not_touch_the_global_generator() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    with seeded(1):
        torch.rand(100)
    assert torch.equal(torch.rand(1), expected)


def test_lightning_is_as_loud_as_before_after_an_error_too() -> None:
    logger = logging.getLogger("pytorch_lightning")
    before = logger.level
    with pytest.raises(RuntimeError), quiet():
        assert logger.level == logging.ERROR != before
        raise RuntimeError
    assert logger.level == before
