import hashlib
import pickle
from collections import defaultdict
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.accelerators import CUDAAccelerator
from pytorch_lightning.callbacks import GradientAccumulationScheduler, ModelCheckpoint

from wsss_lightning.data.samples import Normalisation, Pixels, Sample
from wsss_lightning.data.steps import ImageSteps, OwnShare, StepData, StepLoader, seed_step, share
from wsss_lightning.errors import InputError
from wsss_lightning.stages.fit import quiet


class Numbers:
    """Image number n is n everywhere; it remembers at which step it was asked for."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def at(self, index: int, *, step: int, packed: bool) -> Sample:
        assert not packed
        return {"image": torch.full((3, 2, 2), float(index)), "image_id": f"{index}", "step": step}


def _steps(count: int = 7, **changes: Any) -> ImageSteps:
    return ImageSteps(Numbers(count), **{"batch_size": 3, "seed": 0, "epochs": 4, **changes})


def _ids(steps: ImageSteps, step: int) -> list[int]:
    return [int(name) for name in steps[step]["image_id"]]


def test_an_epoch_shows_no_image_twice_in_full_batches() -> None:
    steps = _steps()
    assert (steps.per_epoch, len(steps)) == (2, 8)
    for epoch in range(4):
        seen = _ids(steps, 2 * epoch) + _ids(steps, 2 * epoch + 1)
        assert len(seen) == len(set(seen)) == 6
        assert set(seen) <= set(range(7))


def test_the_image_that_an_epoch_leaves_over_changes() -> None:
    steps = _steps(epochs=30)
    left = [21 - sum(_ids(steps, 2 * epoch) + _ids(steps, 2 * epoch + 1)) for epoch in range(30)]
    assert set(left) == set(range(7))


def test_the_order_is_the_permutation_of_seed_and_epoch() -> None:
    for seed, epoch in [(0, 0), (0, 3), (5, 1)]:
        order = np.random.default_rng([seed, epoch]).permutation(7).tolist()
        steps = _steps(seed=seed)
        assert _ids(steps, 2 * epoch) + _ids(steps, 2 * epoch + 1) == order[:6]


def test_epochs_and_seeds_differ() -> None:
    orders = {tuple(_ids(_steps(20, batch_size=20, seed=seed), epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_a_step_is_the_same_whatever_was_asked_before() -> None:
    steps = _steps()
    forwards = [_ids(steps, step) for step in range(8)]
    assert [_ids(steps, step) for step in reversed(range(8))] == forwards[::-1]
    assert _ids(_steps(), 5) == forwards[5]
    assert _ids(pickle.loads(pickle.dumps(steps)), 5) == forwards[5]


def test_an_image_learns_its_step() -> None:
    batch = _steps()[5]
    assert batch["step"].tolist() == [5, 5, 5]
    assert batch["image"].shape == (3, 3, 2, 2)
    assert batch["image"][:, 0, 0, 0].tolist() == [float(name) for name in batch["image_id"]]


@pytest.mark.parametrize("world", [1, 2, 3])
def test_processes_together_see_the_whole_batch(world: int) -> None:
    steps = _steps()
    for step in range(8):
        parts = [steps.batch(step, rank=rank, world=world)["image_id"] for rank in range(world)]
        assert sorted(int(name) for part in parts for name in part) == sorted(_ids(steps, step))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_small_data_set_is_one_batch() -> None:
    steps = _steps(2, batch_size=5, epochs=3)
    assert len(steps) == 3
    assert [sorted(_ids(steps, step)) for step in range(3)] == [[0, 1]] * 3


def test_a_run_is_as_long_as_said() -> None:
    assert len(_steps(epochs=None, steps=5)) == 5
    assert len(_ids(_steps(epochs=None, steps=5), 4)) == 3
    for wrong in [{"steps": 5}, {"epochs": None}]:
        with pytest.raises(ValueError, match="either the number of steps or that of epochs"):
            _steps(**wrong)


def test_nothing_to_train_on_is_said() -> None:
    with pytest.raises(InputError, match="no image to train on"):
        _steps(0)


def _seen(loader: StepLoader) -> list[list[int]]:
    return [[int(name) for name in batch["image_id"]] for batch in loader]


@pytest.mark.parametrize("workers", [0, 2])
def test_each_time_through_goes_on_behind_the_last(workers: int) -> None:
    steps = _steps(epochs=1)
    loader = StepLoader.of(steps, trainer=None, workers=workers)
    assert len(loader) == 2
    assert [_seen(loader) for _ in range(3)] == [[_ids(steps, 2 * n), _ids(steps, 2 * n + 1)] for n in range(3)]


class Watcher(pl.LightningModule):
    """A network that keeps which images it was shown at which optimiser step."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: dict[int, list[list[int]]] = defaultdict(list)

    def training_step(self, batch: Sample) -> torch.Tensor:
        self.seen[self.global_step].append([int(name) for name in batch["image_id"]])
        return self.weight * batch["image"].mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Numbered(pl.LightningDataModule):
    """Steps of a method's own, in a data module of its own."""

    def __init__(self, steps: ImageSteps, workers: int = 0) -> None:
        super().__init__()
        self.steps, self.workers = steps, workers

    def train_dataloader(self) -> StepLoader:
        return StepLoader.of(self.steps, trainer=self.trainer, workers=self.workers)


def _watch(data: Numbered, *, start: Path | None = None, save: Path | None = None, **settings: Any) -> Watcher:
    watcher, silent = Watcher(), {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    with quiet():
        trainer = pl.Trainer(**{"accelerator": "cpu", "enable_checkpointing": False, **silent, **settings})
        trainer.fit(watcher, datamodule=data, ckpt_path=start)
        if save is not None:
            trainer.save_checkpoint(save)
    return watcher


def _whole(steps: ImageSteps, numbers: range) -> dict[int, list[int]]:
    return {step: sorted(_ids(steps, step)) for step in numbers}


def _joined(watcher: Watcher) -> dict[int, list[int]]:
    return {step: sorted(chain.from_iterable(batches)) for step, batches in watcher.seen.items()}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_step_is_shared_among_accumulated_batches(parts: int, workers: int) -> None:
    steps = _steps(epochs=None, steps=5)
    watcher = _watch(Numbered(steps, workers), max_steps=5, accumulate_grad_batches=parts)
    assert _joined(watcher) == _whole(steps, range(5))
    assert all(len(batches) == parts for batches in watcher.seen.values())


@pytest.mark.parametrize(
    ("steps", "settings"),
    [
        ({"epochs": None, "steps": 9}, {"max_steps": 9}),
        ({"epochs": 1}, {"max_epochs": 5}),
        ({"epochs": 1}, {"max_steps": 9}),
        ({"epochs": 2}, {"max_steps": 9, "limit_train_batches": 3}),
    ],
)
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("stopped", [2, 5])
def test_a_resumed_run_goes_on_at_the_step_that_comes_next(
    tmp_path: Path, steps: dict[str, Any], settings: dict[str, Any], parts: int, stopped: int
) -> None:
    data, settings = Numbered(_steps(**steps)), settings | {"accumulate_grad_batches": parts}
    whole = _joined(_watch(data, **settings))
    assert whole == _whole(data.steps, range(len(whole))) and len(whole) > stopped
    saved = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=stopped, save_top_k=-1)
    first = _watch(data, **settings, enable_checkpointing=True, callbacks=[saved])
    assert _joined(first) == whole
    rest = _watch(data, start=tmp_path / f"step={stopped}.ckpt", **settings)
    assert _joined(rest) == {step: images for step, images in whole.items() if step >= stopped}


def test_lightning_is_told_that_training_resumes(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    data = Numbered(_steps(epochs=None, steps=6))
    _watch(data, max_steps=3, save=tmp_path / "saved.ckpt")
    silent = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = pl.Trainer(max_steps=6, enable_checkpointing=False, **silent)
    trainer.fit(Watcher(), datamodule=data, ckpt_path=tmp_path / "saved.ckpt")
    assert not [warning for warning in recwarn if "resumable" in str(warning.message)]


def test_another_number_of_accumulated_batches_while_training_is_refused() -> None:
    callbacks = [GradientAccumulationScheduler({0: 1, 1: 2})]
    with pytest.raises(InputError, match="accumulate_grad_batches changed while training"):
        _watch(Numbered(_steps(epochs=1)), max_epochs=3, callbacks=callbacks)


def test_after_training_the_loader_can_be_looked_through() -> None:
    data = Numbered(_steps(epochs=None, steps=4))
    _watch(data, max_steps=4)
    assert _seen(data.train_dataloader()) == [_ids(data.steps, step) for step in range(4)]


def _process(rank: int, world: int, *, parts: int = 1, accelerator: Any = None) -> Any:
    """As much of a trainer of several processes as the loaders look at."""
    settings = {"accumulate_grad_batches": parts, "training": False, "accelerator": accelerator}
    return SimpleNamespace(global_rank=rank, world_size=world, **settings)


@pytest.mark.parametrize(("world", "parts"), [(2, 1), (3, 1), (2, 2)])
def test_processes_and_accumulated_batches_together_see_the_whole_step(world: int, parts: int) -> None:
    steps = _steps(20, batch_size=9)
    loaders = [StepLoader.of(steps, trainer=_process(rank, world, parts=parts), workers=0) for rank in range(world)]
    seen = [_seen(loader) for loader in loaders]
    for step in range(len(steps)):
        batches = [own[step * parts + part] for own in seen for part in range(parts)]
        assert sorted(chain.from_iterable(batches)) == sorted(_ids(steps, step))


@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_every_image_is_in_one_process(count: int, world: int) -> None:
    shares = [OwnShare(range(count), trainer=_process(rank, world)) for rank in range(world)]  # type: ignore[arg-type]
    assert sorted(index for own in shares for index in own) == list(range(count))
    assert [len(own) for own in shares] == [len(list(own)) for own in shares]
    assert list(OwnShare(range(count), trainer=None)) == list(range(count))  # type: ignore[arg-type]


def test_processes_share_a_batch_without_overlap() -> None:
    parts = [share(list(range(7)), rank=rank, world=3) for rank in range(3)]
    assert sorted(index for part in parts for index in part) == list(range(7))
    with pytest.raises(InputError, match="devices"):
        share([1], rank=0, world=2)


class Pictures(Numbers):
    """Random images, packed."""

    def at(self, index: int, *, step: int, packed: bool) -> Sample:
        values = torch.from_numpy(np.random.default_rng([index, step]).integers(0, 256, (5, 7, 3), np.uint8))
        image = Pixels(values, Normalisation([0.4, 0.5, 0.6], [0.2, 0.25, 0.3]))
        return {"image": image if packed else image.finished()}


def test_a_gpu_gets_bytes_and_finishes_them_itself() -> None:
    steps = ImageSteps(Pictures(6), batch_size=3, seed=0, steps=2, packed=True)
    expected = list(StepLoader.of(steps, trainer=None, workers=0))
    loader = StepLoader.of(steps, trainer=_process(0, 1, accelerator=CUDAAccelerator()), workers=0)
    assert loader.pin_memory
    data = StepData(steps=lambda _: steps)
    for batch, right in zip(loader, expected, strict=True):
        assert isinstance(batch["image"], Pixels) and batch["image"].to(torch.device("meta")).values.is_meta
        assert torch.equal(data.on_after_batch_transfer(batch, 0)["image"], right["image"])


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_step_draws_what_torch_draws_from_the_seed_of_seed_step_and_process(device: str) -> None:
    trainer: Any = SimpleNamespace(
        training=True,
        fit_loop=SimpleNamespace(batch_idx=1),
        accumulate_grad_batches=2,
        global_step=7,
        global_rank=3,
        strategy=SimpleNamespace(root_device=torch.device(device)),
    )
    for batch_idx, text in ((1, "5/7/3"), (0, "5/7/3/1")):  # batch_idx: of the batch before
        trainer.fit_loop.batch_idx = batch_idx
        seed_step(trainer, 5)
        drawn = torch.rand(4)
        torch.manual_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little", signed=True))
        assert torch.equal(drawn, torch.rand(4))
