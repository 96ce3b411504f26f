"""Which images a class's localizer learns from, and when (points sec. 4.1)."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wsss_lightning.nn.seeds import own_seed

Step = tuple[int, list[int]]  # an image and the classes that learn from it


def balanced_schedule(
    tags: NDArray[np.bool_], class_names: Sequence[str], *, epochs: int, seed: int
) -> list[list[Step]]:
    """Steps of each epoch: an image and the classes that learn from it.

    `tags`: (N, C). In every epoch a class learns from each image that carries its tag and from as many drawn at
    random from those that do not (sec. 4.1); an image that no class has drawn is left out. What a class draws depends
    on (seed, epoch, its name), and the order of images on (seed, epoch).
    """
    schedule = []
    for epoch in range(epochs):
        draws = [np.random.default_rng([own_seed(seed, name), epoch]) for name in class_names]
        chosen = np.stack([_balanced(column, rng) for column, rng in zip(tags.T, draws, strict=True)], axis=1)
        order = np.random.default_rng([seed, epoch]).permutation(len(tags))
        schedule.append([(int(i), np.flatnonzero(chosen[i]).tolist()) for i in order if chosen[i].any()])
    return schedule


def phase_steps(schedule: Sequence[Sequence[Step]], epochs: Sequence[int]) -> list[int]:
    """How many steps each phase of so many epochs has."""
    ends = np.cumsum([0, *epochs]).tolist()
    return [sum(map(len, schedule[start:end])) for start, end in pairwise(ends)]


def _balanced(present: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    negatives = rng.permutation(np.flatnonzero(~present))[: int(present.sum())]
    chosen = present.copy()
    chosen[negatives] = True
    return chosen
