"""Training steps of the `tiny` backbone on a CPU with and without `allocator.keep_freed_memory`, side by side.

python experiments/speed/allocator.py > experiments/speed/allocator.json
"""

import json
import multiprocessing
import platform
import statistics
import time

import torch

from wsss_lightning.allocator import keep_freed_memory
from wsss_lightning.nn.vgg import VGG

STEPS, ROUNDS, BATCH = 4, 3, 64


def seconds_per_step(keep: bool) -> float:
    """Median seconds of a forward and backward pass over 64 pictures of 96 px, after one step to warm up."""
    if keep:
        keep_freed_memory()
    network = VGG(widths=(16, 32, 64, 96, 96), fc6_kernel=3, hidden=128, num_classes=20, normalise=True)
    network = network.to(memory_format=torch.channels_last)
    images = torch.randn(BATCH, 3, 96, 96).contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(STEPS + 1):
        start = time.perf_counter()
        network(images).logsumexp(dim=1).sum().backward()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main() -> None:
    """Alternate the two, each in a process of its own, so that a busy machine slows both."""
    pool = multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1)
    runs = [(keep, pool.apply(seconds_per_step, (keep,))) for _ in range(ROUNDS) for keep in (False, True)]
    default, kept = (statistics.median(t for k, t in runs if k is keep) for keep in (False, True))
    ratio = default / kept
    found = {"default_s": default, "kept_s": kept, "ratio": ratio, "rounds": ROUNDS, "threads": torch.get_num_threads()}
    print(json.dumps({k: round(v, 3) for k, v in found.items()} | {"processor": platform.machine()}, indent=2))


if __name__ == "__main__":
    main()
