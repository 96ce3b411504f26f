"""A loss, gradient or weight that is not finite ends a training, which names the images of the step."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from wsss_lightning.data.steps import StepData
from wsss_lightning.errors import InputError
from wsss_lightning.stages.finite import first_not_finite
from wsss_lightning.stages.fit import fit

LAST = 5


class Spoilt(pl.LightningModule):
    """One weight, with something that is not finite from step 3 on."""

    def __init__(self, what: str, value: float) -> None:
        super().__init__()
        self.weight, self.what, self.value = nn.Parameter(torch.ones(2)), what, value
        self.unread = nn.Parameter(torch.tensor(float("nan")))  # as in published weights; nothing is said of it
        if what == "start":
            self.weight.data[1] = value

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        loss = (self.weight * batch["x"]).sum()
        return loss * self.value if self.what == "loss" and self.global_step == 3 else loss

    def on_after_backward(self) -> None:
        if self.what == "gradient" and self.global_step == 3:
            assert self.weight.grad is not None
            self.weight.grad[1] = self.value

    def on_train_batch_end(self, *arguments: Any) -> None:
        if self.what == "weight" and self.global_step == LAST:
            self.weight.data[1] = self.value

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Batches:
    batch_size = 10

    def __len__(self) -> int:
        return LAST

    def batch(self, step: int, *, rank: int, world: int) -> dict[str, Any]:
        return {"x": torch.ones(2), "image_id": [f"{step}_{number}" for number in range(10)]}


def train(folder: Path, module: pl.LightningModule) -> None:
    fit(
        out_dir=folder,
        model=module,
        data=StepData(steps=lambda _: Batches()),
        inputs=None,
        callbacks=None,
        trainer=partial(pl.Trainer, accelerator="cpu", devices=1),
        loggers={},
        checkpoint_every=1,
        progress=False,
        description="network",
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("loss", r"network: the loss is not finite at step 3 \(images 3_0, .*, 3_7 and 2 more\): take a lower rate"),
        ("gradient", r"the gradient of weight is not finite at step 3 \(images 3_0, "),
        ("weight", r"the weight weight is not finite at step 5 \(images 4_0, "),
        ("start", r"network: the loss is not finite at step 0 \(images 0_0, "),
    ],
)
def test_it_ends_with_the_images_of_the_step_and_saves_nothing_of_it(
    tmp_path: Path, what: str, sentence: str, value: float
) -> None:
    with pytest.raises(InputError, match=sentence):
        train(tmp_path, Spoilt(what, value))
    if what != "start":
        saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
        assert first_not_finite({"weight": saved["weight"]}) is None
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_first_tensor_that_is_not_finite_is_named() -> None:
    whole = {"empty": torch.empty(0), "count": torch.tensor(3), "half": torch.full((2,), 6e4, dtype=torch.float16)}
    large = {"large": torch.full((100,), 3e38)}  # whose sum of squares overflows
    assert first_not_finite({}) is None and first_not_finite(whole | large) is None
    spoilt = {"a": torch.tensor([1.0, float("nan")]), "b": torch.tensor(-float("inf"))}
    assert first_not_finite(whole | spoilt) == "a" and first_not_finite({**large, "b": spoilt["b"]}) == "b"
