"""Seeds of initial weights and of whatever is drawn for one image or class."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def own_seed(seed: int, name: str) -> int:
    """A seed of one image's or class's own: a function of (seed, name), whatever was drawn for others."""
    return zlib.crc32(f"{seed}/{name}".encode())


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Initial weights as a function of `seed`, torch's global generator left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
