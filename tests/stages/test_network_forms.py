"""Networks that are computed in another form learn the same weights."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from wsss_lightning import pipeline
from wsss_lightning.stages.fit import quiet
from wsss_lightning.stages.network_forms import ChannelsLast, Compiled


class Module(pl.LightningModule):
    """Two convolutions; notes how its network was called and what memory its maps lie in."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 3))
        self.seen: list[tuple[bool, bool]] = []

    def training_step(self, images: Tensor, _: int) -> Tensor:
        maps = self.network(images)
        last = maps.is_contiguous(memory_format=torch.channels_last)
        self.seen.append((self.network._compiled_call_impl is not None, last))
        return maps.square().mean()  # type: ignore[no-any-return]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def learned(*callbacks: pl.Callback) -> tuple[Module, dict[str, Tensor]]:
    module, images = Module(), torch.randn(4, 2, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    with quiet():
        pl.Trainer(
            accelerator="cpu",
            max_epochs=1,
            callbacks=[*callbacks],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(module, DataLoader(images, batch_size=None))  # type: ignore[arg-type]
    return module, module.state_dict()


@pytest.mark.parametrize(("callback", "seen"), [(Compiled("eager"), (True, False)), (ChannelsLast(), (False, True))])
def test_another_form_is_taken_and_learns_the_same_weights(callback: pl.Callback, seen: tuple[bool, bool]) -> None:
    (plain, weights), (module, found) = learned(), learned(callback)
    assert set(plain.seen) == {(False, False)} and set(module.seen) == {seen}
    assert [*found] == [*weights], "names as without"
    torch.testing.assert_close(found, weights, atol=1e-6, rtol=1e-5)
    assert module.network._compiled_call_impl is None, "a copy of it is the plain network"


def test_forms_are_settings_that_change_the_keys_of_what_learns_alone() -> None:
    plain, compiled, last = (
        pipeline.plan(given).stages
        for given in ([], ["callbacks=compiled", "callbacks.compiled.backend=eager"], ["callbacks=channels_last"])
    )
    assert compiled["localizers"].node["callbacks"]["compiled"]["backend"] == "eager"
    for other in (compiled, last):
        assert other["localizers"].key != plain["localizers"].key
        assert other["features"].key == plain["features"].key
