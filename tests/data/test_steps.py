import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from wsss_lightning.data.samples import Sample
from wsss_lightning.data.steps import EachEpoch, ImageSteps, share
from wsss_lightning.errors import InputError


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


def test_each_time_through_is_the_next_epoch() -> None:
    sampler = EachEpoch(3)
    assert len(sampler) == 3
    assert [list(sampler) for _ in range(3)] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    sampler.set_epoch(1)
    assert [list(sampler), list(sampler)] == [[3, 4, 5], [6, 7, 8]]


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_prepare_whole_steps(workers: int) -> None:
    steps = _steps()
    loader = DataLoader(steps, batch_size=None, sampler=EachEpoch(steps.per_epoch), num_workers=workers)
    seen = [batch["image_id"] for _ in range(2) for batch in loader]
    assert seen == [steps[step]["image_id"] for step in range(4)]


def test_processes_share_a_batch_without_overlap() -> None:
    parts = [share(list(range(7)), rank=rank, world=3) for rank in range(3)]
    assert sorted(index for part in parts for index in part) == list(range(7))
    with pytest.raises(InputError, match="devices"):
        share([1], rank=0, world=2)
