"""Callbacks that change how a network is computed while it learns, not what it computes: up to rounding, the same."""

from typing import Any

import pytorch_lightning as pl
import torch


class Compiled(pl.Callback):
    """`torch.compile` of each network of a module; the weights that are kept are those of the plain one.

    Args:
        backend: of torch.compile; `inductor` needs a C++ compiler on CPUs, and Triton on GPUs.
    """

    def __init__(self, backend: str = "inductor") -> None:
        self.backend = backend

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        networks: list[Any] = [child for child in pl_module.children() if [*child.children()]]
        for network in networks:
            network.compile(backend=self.backend)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        for network in pl_module.children():
            network._compiled_call_impl = None


class ChannelsLast(pl.Callback):
    """Channels of an image side by side in memory, which most convolutions of GPUs and CPUs are faster with."""

    def __init__(self) -> None:  # plans read what a callback takes from here
        super().__init__()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:  # noqa: ARG002
        pl_module.to(memory_format=torch.channels_last)
