"""The points method at the paper's full size, each part beside the machine's own limits in the same run.

python experiments/speed/points.py [--only images|classifier] [--images N] [--steps N] [--rounds N] [--threads N]
    [--whole] [--out D]

Random weights and synthetic data: neither changes how long a product takes. Writes points_images.{json,md} and
points_classifier.{json,md}.
"""

import argparse
import sys
from pathlib import Path

import torch
from measurement import Row, machine
from points_classifier import Setting, classifier
from points_images import images

from wsss_lightning.allocator import keep_freed_memory
from wsss_lightning.nn.vgg import vgg16
from wsss_lightning.stages.io import write_json

_HEAD = ["| | ms | fastest - slowest | floor | set by | x floor | peak, MB |", "|---|---:|---:|---:|---|---:|---:|"]


def main(arguments: list[str]) -> None:
    """Measure what is asked for; as `wsss` does, tell the allocator to keep what is freed."""
    options = _options(arguments)
    keep_freed_memory()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.only != "classifier":
        found = images(vgg16(weights=None), size=(256, 336), hidden=1024, k=20, rounds=options.rounds)
        found |= {"machine": machine(_command(arguments))}
        write(options.out, "points_images", found, _on_images(found))
    if options.only != "images":
        setting = Setting(images=options.images)
        found = classifier(setting, steps=options.steps, rounds=options.rounds, whole=options.whole)
        found |= {"machine": machine(_command(arguments))}
        write(options.out, "points_classifier", found, _on_classifier(found))


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The points method at the paper's full size.")
    parser.add_argument("--only", choices=["images", "classifier"])
    parser.add_argument("--images", type=int, default=Setting.images, help="whose points the classifier learns from")
    parser.add_argument("--steps", type=int, default=300, help="training steps in a block that is timed")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of everything, after one to warm up")
    parser.add_argument("--threads", type=int, help="of torch; default: its own choice")
    parser.add_argument("--whole", action="store_true", help="also run the stage's whole training")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args(arguments)


def _command(arguments: list[str]) -> str:
    """The command without where its results went."""
    out = argparse.ArgumentParser(add_help=False)
    out.add_argument("--out")
    return " ".join(["python experiments/speed/points.py", *out.parse_known_args(arguments)[1]])


def write(folder: Path, name: str, found: Row, words: list[str]) -> None:
    """`<name>.json` with everything and `<name>.md` with a table and what follows from it."""
    write_json(folder / f"{name}.json", found)
    rows = [_line(*row) for row in (found["rows"] | found.get("cuda", {}).get("rows", {})).items()]
    page = [_conditions(found), "", *_HEAD, *rows, "", *(f"- {sentence}" for sentence in words)]
    (folder / f"{name}.md").write_text("\n".join(page) + "\n")


def _conditions(found: Row) -> str:
    at, limits = found["machine"], found["limits"]
    return (
        f"`{at['command']}`, {at['date']}, commit {at['commit']}, torch {at['torch']}, {at['processor']}, "
        f"{at['cores']} cores, threads: {at['threads']}, load average {at['load_average_1_5_15_min']}, CUDA device: "
        f"{at['device']}. Floor: the bytes of inputs, parameters and results, once each, at {_3(limits['gb_s'])} GB/s, "
        f"or the operations at {_3(limits['gflop_s'])} GFLOP/s, whichever takes longer; both rates were measured in "
        "the same rounds, on one large copy and one large product; what stays in a cache can beat a floor of memory. "
        "Peak: inputs and what torch's allocator held."
    )


def _line(name: str, row: Row) -> str:
    times = [_3(1000 * row[key]) for key in ("median_s", "fastest_s", "slowest_s", "floor_s")]
    peak = "" if row["peak_bytes"] is None else _3(row["peak_bytes"] / 1e6)
    median, fastest, slowest, floor = times
    return (
        f"| {name} | {median} | {fastest} - {slowest} | {floor} | {row['bound']} | {row['times_floor']:.1f} | {peak} |"
    )


def _3(number: float) -> str:
    """Three significant digits, never as a power of ten."""
    return f"{number:.0f}" if number >= 100 else f"{number:#.3g}"


def _on_images(found: Row) -> list[str]:
    sampling = found["sampling"]
    return [
        f"Sampling {sampling['points']} points: the textbook's tensor takes {sampling['time_ratio']:.2f} times as long "
        f"and {sampling['memory_ratio']:.1f} times the memory of `ColumnSimilarity`.",
        f"Its peak with the stored half-precision maps, {sampling['stored_bytes'] / 1e6:.1f} MB, is "
        f"{sampling['peak_over_tensor']:.3f} of the float32 tensor's {sampling['tensor_bytes'] / 1e6:.1f} MB.",
        f"Same points: {sampling['same_points']}; largest difference of a dot product: "
        f"{sampling['largest_difference']:.1e}.",
    ]


def _on_classifier(found: Row) -> list[str]:
    setting, blocks = found["setting"], found["extrapolated"]
    minutes = "; ".join(f"{name.partition(': ')[2]} {value:.1f}" for name, value in blocks["minutes"].items())
    words = [
        f"{setting['points']:,} points, assumed: {setting['points_per_image']} for each of {setting['images']:,} "
        f"images (1.5 classes x 20, 20 of background); {found['bank_bytes'] / 1e9:.2f} GB in memory; "
        f"{setting['steps']:,} steps of {setting['batch']} points are {setting['epochs']} epochs.",
        f"Whole training, minutes, extrapolated from blocks of {blocks['from_steps']} steps: {minutes}.",
        "The paper: less than 3 minutes on a Titan X.",
    ]
    if "whole_stage_minutes" in found:
        words.append(f"Whole training by the stage, run from first to last step: {found['whole_stage_minutes']:.1f}.")
    if "cuda" in found:
        words.append(f"Whole training on the CUDA device, run: {found['cuda']['whole_s']:.1f} seconds.")
    return words


if __name__ == "__main__":
    main(sys.argv[1:])
