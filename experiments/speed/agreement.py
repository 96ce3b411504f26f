"""Whether a GPU gives what the processor gives: activation maps, predictions and the CRF, with stated tolerances.

python experiments/speed/agreement.py IMAGES [--backbone NAME] [--weights FILE] [--photographs N] [--out D]

IMAGES: folder of photographs. Where there is no GPU the processor is compared with itself. Writes agreement.{json,md};
the exit status is 1 where a tolerance is exceeded.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from crf import parameters
from measurement import Row, machine, on_device
from networks import Image, batches, classifier, devices, photographs, student
from numpy.typing import NDArray
from priors import soft_labels
from torch import Tensor

from wsss_lightning.ops.crf import dense_crf, unary_from_probabilities
from wsss_lightning.stages.io import write_json

Results = list[NDArray[np.float32]]  # of each image, (K, H, W)
LARGEST = {"activation maps": 1e-3, "probabilities": 1e-3, "marginals of the lattice": 2e-3}
SAME_LABELS = {"probabilities": 0.999, "marginals of the lattice": 0.9999}  # shares of pixels, at least
TF32, BF16 = "TF32", "bf16"  # told, not judged


def main(arguments: list[str]) -> None:
    """Compare, write and judge."""
    options = _options(arguments)
    images = photographs(options.images, options.photographs)
    rows = compare(images, options.backbone, options.weights)
    chosen = f"--backbone {options.backbone} --photographs {len(images)}"
    command = f"python experiments/speed/agreement.py IMAGES {chosen}"
    found: Row = {"rows": rows, "images": len(images), "machine": machine(command)}
    write_json(options.out / "agreement.json", found)
    (options.out / "agreement.md").write_text("\n".join(page(found)) + "\n")
    if failed := [row["what"] for row in rows if row["within"] is False]:
        sys.exit(f"agreement.py: beyond its tolerance: {', '.join(failed)}.")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Results of a GPU beside those of the processor.")
    parser.add_argument("images", type=Path, help="folder of photographs")
    parser.add_argument("--backbone", default="resnet50", choices=["resnet18", "resnet50"])
    parser.add_argument("--weights", help="state dict as torchvision has it; default: random")
    parser.add_argument("--photographs", type=int, default=8, help="of the commonest size")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args(arguments)


@torch.inference_mode()
def compare(images: Sequence[Image], backbone: str, weights: str | None) -> list[Row]:
    """A row for each quantity, and on a GPU for what shorter numbers change."""
    device = devices()[-1]
    computed: dict[str, Callable[[str], Results]] = {
        "activation maps": lambda place: _cams(images, backbone, weights, place),
        "probabilities": lambda place: _probabilities(images, backbone, weights, place),
        "marginals of the lattice": lambda place: [_marginals(image, place) for image in images],
    }
    rows = []
    for what, compute in computed.items():
        with torch.backends.cudnn.flags(allow_tf32=False):
            exact, there, again = compute("cpu"), compute(device), compute(device)
        same = all(np.array_equal(a, b) for a, b in zip(there, again, strict=True))
        rows.append(judged(what, exact, there) | {"repeats_to_the_bit": same})
        if device != "cpu" and what != "marginals of the lattice":
            rows.append(differences(f"{what}, {TF32}", exact, compute(device)))
            with torch.autocast(device, torch.bfloat16):
                rows.append(differences(f"{what}, {BF16}", exact, compute(device)))
    return rows


def judged(what: str, exact: Results, there: Results) -> Row:
    """`differences`, held against the tolerances of `what`."""
    row = differences(what, exact, there)
    within = row["largest_difference"] <= LARGEST[what] and row["same_labels"] >= SAME_LABELS.get(what, 0.0)
    return row | {"within": within, "tolerance": LARGEST[what], "least_same_labels": SAME_LABELS.get(what)}


def differences(what: str, exact: Results, there: Results) -> Row:
    """The largest difference of a value, and the share of pixels whose best row is the same."""
    pairs = list(zip(exact, there, strict=True))
    same = sum(int((a.argmax(0) == b.argmax(0)).sum()) for a, b in pairs)
    return {
        "what": what,
        "largest_difference": max(float(np.abs(a - b).max()) for a, b in pairs),
        "same_labels": same / sum(a[0].size for a, _ in pairs),
        "within": None,
    }


def _cams(images: Sequence[Image], backbone: str, weights: str | None, device: str) -> Results:
    model = classifier(backbone, weights).to(device)
    found = [each for batch in batches(images, size=1, device=device) for each in model.predict_step(batch, 0)]
    return [_array(each.maps) for each in found]


def _probabilities(images: Sequence[Image], backbone: str, weights: str | None, device: str) -> Results:
    model = student(backbone, weights).to(device)
    given = batches(images, size=1, device=device)
    return [_array(model(batch["image"]).float().softmax(dim=1)[0]) for batch in given]


def _marginals(image: Image, device: str) -> NDArray[np.float32]:
    unary = unary_from_probabilities(soft_labels(image, labels=7))
    return dense_crf(image, unary, backend="lattice", device=device, **parameters("deeplab_v2"))


def _array(tensor: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = tensor.float().cpu().numpy()
    return found


def page(found: Row) -> list[str]:
    """The Markdown page."""
    conditions = (
        f"{on_device(found['machine'])} The GPU, if any, beside the processor; {found['images']} photographs, float32 "
        "without TF32 where nothing else is said."
    )
    head = [
        "| | largest difference | tolerance | pixels of the same label, % | at least | within | repeats to the bit |",
        "|---|" + "---:|" * 4 + "---|---|",
    ]
    return [conditions, "", *head, *map(_line, found["rows"])]


def _line(row: Row) -> str:
    least, words = row.get("least_same_labels"), {True: "yes", False: "**no**", None: ""}
    tolerance = "" if row["within"] is None else f"{row['tolerance']:.0e}"
    return (
        f"| {row['what']} | {row['largest_difference']:.1e} | {tolerance} | {100 * row['same_labels']:.3f} "
        f"| {'' if least is None else f'{100 * least:.2f}'} | {words[row['within']]} "
        f"| {words[row.get('repeats_to_the_bit')]} |"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
