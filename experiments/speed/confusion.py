"""The confusion matrix of masks of VOC's size beside numpy's bincount, torchmetrics and scikit-learn.

python experiments/speed/confusion.py [--masks N] [--rounds N] [--out D]

Generated masks; all matrices are checked to be equal first. Writes confusion.{json,md}.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from measurement import Row, Task, machine, measure, processor_of, single_core, timed
from numpy.typing import NDArray
from points import write
from sklearn.metrics import confusion_matrix as sklearn_matrix
from torchmetrics.functional.classification import multiclass_confusion_matrix

from wsss_lightning.metrics.segmentation import confusion_matrix

HEIGHT, WIDTH, LABELS = 375, 500, 21
OBJECTS = 4  # of an image
WRONG = 0.1  # share of pixels that are predicted wrong
BAND = 5  # px of 255 around objects
OURS, BINCOUNT = "confusion_matrix", "numpy: bincount of L * true + predicted"
METRICS, UNCHECKED = "torchmetrics", "torchmetrics, validate_args=False"
SKLEARN = "sklearn"
HISTOGRAM = "numpy: bincount of 16 bits, without checks"

Mask = NDArray[np.uint8]
Pair = tuple[Mask, Mask]


def random_pair(rng: np.random.Generator) -> Pair:
    """A prediction and its target, (H, W) each: discs of some class with a band of 255 around them."""
    target, other = discs(rng), discs(rng)
    window = np.ones((BAND, BAND), np.uint8)
    target[cv2.dilate(target, window) != cv2.erode(target, window)] = 255
    wrong = (rng.random(target.shape) < WRONG) | (target == 255)
    return np.where(wrong, other, target), target


def discs(rng: np.random.Generator) -> Mask:
    """Objects on background."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for _ in range(OBJECTS):
        middle = (int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)))
        cv2.circle(mask, middle, int(rng.integers(20, 120)), int(rng.integers(1, LABELS)), thickness=-1)
    return mask


def ours(pred: Mask, target: Mask) -> NDArray[np.int64]:
    """The package's own."""
    return confusion_matrix(torch.from_numpy(pred), torch.from_numpy(target), LABELS).numpy()


def bincount(pred: Mask, target: Mask) -> NDArray[np.int64]:
    """As scripts count: no check of predictions, which makes a wrong label another cell's."""
    counted = target < LABELS
    cells = LABELS * target[counted].astype(np.int64) + pred[counted]
    return np.bincount(cells, minlength=LABELS**2).reshape(LABELS, LABELS)


def histogram(pred: Mask, target: Mask) -> NDArray[np.int64]:
    """The same by numpy's bincount of 16-bit numbers."""
    cells = target.astype(np.uint16) << 8 | pred
    return np.bincount(cells.ravel(), minlength=1 << 16).reshape(256, 256)[:LABELS, :LABELS]


def torchmetrics(pred: Mask, target: Mask, *, checked: bool) -> NDArray[np.int64]:
    """Its multi-class matrix, rows are true labels, too; it may only ignore what it is told to."""
    tensors = torch.from_numpy(pred.astype(np.int64)), torch.from_numpy(target.astype(np.int64))
    found = multiclass_confusion_matrix(*tensors, LABELS, ignore_index=255, validate_args=checked)
    return found.numpy()  # type: ignore[no-any-return]


def sklearn(pred: Mask, target: Mask) -> NDArray[np.int64]:
    """Of the pixels that count."""
    counted = target != 255
    return sklearn_matrix(target[counted], pred[counted], labels=np.arange(LABELS))  # type: ignore[no-any-return]


def compare(*, masks: int, rounds: int) -> Row:
    """Seconds per mask of each, and how many times as long as the bincount ours takes."""
    rng = np.random.default_rng(0)
    pairs = [random_pair(rng) for _ in range(masks)]
    functions = {
        OURS: ours,
        BINCOUNT: bincount,
        HISTOGRAM: histogram,
        METRICS: partial(torchmetrics, checked=True),
        UNCHECKED: partial(torchmetrics, checked=False),
        SKLEARN: sklearn,
    }
    assert all(np.array_equal(f(*pair), ours(*pair)) for f in functions.values() for pair in pairs)
    tasks = {name: _each(f, pairs) for name, f in functions.items()}
    rows, limits = measure(tasks, rounds=rounds, clock=processor_of("cpu"))
    return {"rows": rows, "limits": limits, "ratio": rows[OURS]["median_s"] / rows[BINCOUNT]["median_s"]}


def _each(function: Callable[[Mask, Mask], NDArray[np.int64]], pairs: list[Pair]) -> Task:
    whole = timed(lambda: [function(*pair) for pair in pairs], clock=processor_of("cpu"))
    return Task(lambda: whole() / len(pairs), traffic=2 * HEIGHT * WIDTH)


def main(arguments: list[str]) -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description="The confusion matrix beside its peers.")
    parser.add_argument("--masks", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=15, help="repetitions of everything, after one to warm up")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    single_core()
    found = compare(masks=options.masks, rounds=options.rounds)
    command = f"python experiments/speed/confusion.py --masks {options.masks} --rounds {options.rounds}"
    write(options.out, "confusion", found | {"machine": machine(command)}, words(found))


def words(found: Row) -> list[str]:
    """What follows from the numbers."""
    return [
        f"Times are per mask of {HEIGHT} x {WIDTH} px with {LABELS} labels; all give the same matrices, as is checked "
        "first. One thread, seconds of the processor.",
        f"Ours takes {found['ratio']:.2f} times as long as the bincount (medians); it alone refuses other labels.",
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
