"""The patch of every pixel of a 375 x 500 px image: in dense form, one by one, and in batches (patches sec. 3.3).

python experiments/speed/patches.py [--rounds N] [--threads N] [--device cpu|cuda|auto] [--size H W] [--out D]

Random weights and a random image: neither changes how long a product takes. Writes patches.{json,md}.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from measurement import Clock, Row, Task, machine, measure, operations, peak_bytes, processor_of, timed
from networks import devices
from points import write
from torch import Tensor

from wsss_lightning.allocator import keep_freed_memory
from wsss_lightning.methods.patches.network import PatchNetwork

SIZE = (375, 500)
TABLE_1 = {"LSE1": ((8, 3, 5), (4, 4)), "LSE2": ((6, 3, 7), (8, 2))}  # kernels, pools
FILTERS = (40, 80, 160, 320)
_ONES, _BATCH = 32, 256  # patches whose time stands for that of all


def main(arguments: list[str]) -> None:
    """Measure and write; as `wsss` does, tell the allocator to keep what is freed."""
    parser = argparse.ArgumentParser(description="The patch of every pixel.")
    parser.add_argument("--rounds", type=int, default=4, help="repetitions of everything, after one to warm up")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda", "auto"], help="auto: a GPU where one is")
    parser.add_argument("--size", type=int, nargs=2, default=SIZE, metavar=("H", "W"), help="px of the image")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    device = devices()[-1] if options.device == "auto" else options.device
    networks = {name: _network(kernels, pools).to(device) for name, (kernels, pools) in TABLE_1.items()}
    size = (options.size[0], options.size[1])
    found = compare(networks, size=size, ones=_ONES, batch=_BATCH, rounds=options.rounds, device=device)
    command = f"python experiments/speed/patches.py --rounds {options.rounds} --threads {options.threads}"
    command += "" if device == "cpu" else f" --device {device}"
    write(options.out, "patches", found | {"machine": machine(command)}, words(found))


def _network(kernels: tuple[int, ...], pools: tuple[int, ...]) -> PatchNetwork:
    generator = torch.Generator().manual_seed(0)
    made = PatchNetwork(filters=FILTERS, kernels=kernels, pools=pools, bounded=True, generator=generator)
    return made.eval()


@torch.inference_mode()
def compare(
    networks: Mapping[str, PatchNetwork],
    *,
    size: tuple[int, int],
    ones: int,
    batch: int,
    rounds: int,
    device: str = "cpu",
) -> Row:
    """Times of an image in dense form, of `ones` patches one by one and of a batch of `batch`, and what follows."""
    image = (torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1).to(device)
    tasks = {f"{name}: {form}": task for name, n in networks.items() for form, task in _tasks(n, image, ones, batch)}
    rows, limits = measure(tasks, rounds=rounds, device=device, clock=_clock(device))
    pixels = math.prod(size)
    ratios = {name: _ratios(rows, name, n, pixels, ones, batch) for name, n in networks.items()}
    return {"size": size, "ones": ones, "batch": batch, "rows": rows, "limits": limits, "ratios": ratios}


def _tasks(network: PatchNetwork, image: Tensor, ones: int, batch: int) -> list[tuple[str, Task]]:
    patches = torch.rand(batch, 3, network.size, network.size, device=image.device) * 2 - 1
    separate = patches[:ones].split(1)
    return [
        ("dense", _task(lambda: network.dense(image), image)),
        ("dilated", _task(lambda: network.dilated(image), image)),
        (f"{ones} patches one by one", _task(lambda: [network(patch) for patch in separate], patches[:ones])),
        (f"a batch of {batch}", _task(lambda: network(patches), patches)),
    ]


def _clock(device: str) -> Clock:
    return processor_of(device) if torch.get_num_threads() == 1 else time.perf_counter


def _task(function: Callable[[], object], inputs: Tensor) -> Task:
    return Task(
        timed(function, device=inputs.device.type, clock=_clock(inputs.device.type)),
        operations=operations(function),
        traffic=inputs.nbytes,
        memory=inputs.nbytes + peak_bytes(function),
    )


def _ratios(rows: Mapping[str, Row], name: str, network: PatchNetwork, pixels: int, ones: int, batch: int) -> Row:
    """Seconds and operations of an image's every pixel, and how many times those of the dense form they are."""
    forms = ("dense", f"{ones} patches one by one", f"a batch of {batch}")
    dense, single, batched = (rows[f"{name}: {form}"] for form in forms)
    one_by_one, in_batches = single["median_s"] * pixels / ones, batched["median_s"] * pixels / batch
    weights = sum(layer.weight.numel() for layer in (*network.convolutions, network.hidden, network.scores))
    patch = batched["operations"] / batch
    return {
        "dense_s": dense["median_s"],
        "one_by_one_s": one_by_one,
        "in_batches_s": in_batches,
        "times_one_by_one": one_by_one / dense["median_s"],
        "times_in_batches": in_batches / dense["median_s"],
        "times_operations": patch * pixels / dense["operations"],
        "times_operations_without_border": patch / (2 * weights),
    }


def words(found: Row) -> list[str]:
    """What follows from the table."""
    sentences = [_sentence(name, row, found["rows"]) for name, row in found["ratios"].items()]
    height, width = found["size"]
    return [
        f"An image of {height} x {width} px has {height * width:,} patches; seconds of all of them are extrapolated "
        f"from {found['ones']} one by one and from one batch of {found['batch']}. The network's own layout of "
        "patches in memory (channels last) is used throughout.",
        *sentences,
        "dilated: the same scores by dilated convolutions and pools instead of interleaved maps.",
    ]


def _sentence(name: str, row: Row, rows: Mapping[str, Row]) -> str:
    peaks = {form: rows[f"{name}: {form}"]["peak_bytes"] / 1e6 for form in ("dense", "dilated")}
    return (
        f"{name}: dense {row['dense_s']:.2f} s; one by one {row['one_by_one_s']:,.0f} s, "
        f"{row['times_one_by_one']:.0f} x; in batches {row['in_batches_s']:,.0f} s, {row['times_in_batches']:.0f} x. "
        f"Operations: {row['times_operations']:.0f} x ({row['times_operations_without_border']:.0f} x without the "
        f"mirrored border). Peak memory {peaks['dense']:.0f} MB, dilated {peaks['dilated']:.0f} MB."
    )


if __name__ == "__main__":
    main(sys.argv[1:])
