"""Break the code on purpose, one line at a time, and say which test notices.

    python tests/mutants.py [part of a mutant's name, ...] > tests/mutants.md

Works on a copy of the repository. A mutant is an exact piece of a file and what stands in its place; the test file
beside it has to fail. Ends with status 1 if a mutant lives, or if its piece is no longer in the file.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
METHODS = "wsss_lightning/methods"
POINTS, PRIORS, COSEG, PATCHES = (
    f"tests/test_results_{method}.py" for method in ("points", "priors", "coseg", "patches")
)


class Mutant(NamedTuple):
    """`old` in `file`, its first occurrence, becomes `new`; a test of `tests` has to fail."""

    name: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = [
    # What all methods share.
    Mutant("evaluation: columns for rows", "wsss_lightning/metrics/segmentation.py",
           "_bytes(target), _bytes(pred)", "_bytes(pred), _bytes(target)", "tests/scoring/test_by_hand.py"),
    Mutant("evaluation: 255 counts as background", "wsss_lightning/metrics/segmentation.py",
           "        counts[ignore_index] = 0",
           "        counts[0] += counts[ignore_index]\n        counts[ignore_index] = 0",
           "tests/scoring/test_by_hand.py"),
    Mutant("evaluation: absent classes are 0", "wsss_lightning/metrics/segmentation.py",
           "iou(confusion).nanmean()", "iou(confusion).nan_to_num().mean()", "tests/scoring/test_by_hand.py"),
    Mutant("predict: classes decoded off by one", "wsss_lightning/data/labels.py",
           "[0, *self.indices]", "[0, *np.roll(self.indices, 1)]", "tests/stages/test_predict.py"),
    Mutant("predict: truth encoded off by one", "wsss_lightning/data/labels.py",
           "np.arange(1, len(self.kept) + 1)", "np.roll(np.arange(1, len(self.kept) + 1), 1)", POINTS),
    Mutant("predict: one device's images twice", "wsss_lightning/data/steps.py",
           "range(rank, self.count, world)", "range(0, self.count, world)", "tests/stages/test_predict.py"),
    Mutant("predict: finished images again", "wsss_lightning/stages/predict.py",
           "if not path.exists()]", "]", "tests/stages/test_predict.py"),
    Mutant("refine: the worst label", "wsss_lightning/stages/refine.py",
           "*terms).argmax(axis=0)", "*terms).argmin(axis=0)", "tests/stages/test_refine_noise.py"),
    Mutant("refine: energies with the wrong sign", "wsss_lightning/stages/refine.py",
           "crf(image, unary(probs)", "crf(image, -unary(probs)", "tests/stages/test_refine_noise.py"),
    Mutant("fit: a checkpoint before the validation of its step", "wsss_lightning/stages/fit.py",
           "if not _validates_next(trainer):", "if True:", "tests/stages/test_trainer_options.py"),
    Mutant("fit: accumulated batches count fully", "wsss_lightning/data/steps.py",
           "self.parts * self.world", "1 * self.world", "tests/stages/test_trainer_options.py"),
    # points
    Mutant("points: the worst label", f"{METHODS}/points/classifier.py",
           "full.argmax(dim=0)", "full.argmin(dim=0)", POINTS),
    Mutant("points: the worst label after the CRF", "wsss_lightning/stages/refine.py",
           "*terms).argmax(axis=0)", "*terms).argmin(axis=0)", POINTS),
    Mutant("points: foreground and background swapped", f"{METHODS}/points/localizer_module.py",
           "classes.tolist(), self.grid)[0]", "classes.tolist(), self.grid)[0].flip(1)", POINTS),
    Mutant("points: global vectors of other images", f"{METHODS}/points/stages/point_data.py",
           "self.bank.pooled[self.bank.images[rows]]", "self.bank.pooled[self.bank.images[rows] - 1]",
           "tests/methods/points/stages/test_point_data.py"),
    Mutant("points: tags off by one class", f"{METHODS}/points/localizer_module.py",
           "c, tags[c])", "c, tags[c - 1])", POINTS),
    Mutant("points: score maps of other classes", f"{METHODS}/points/localizer_module.py",
           "self.localizers(features, classes.tolist()",
           "self.localizers(features, ((classes + 1) % len(self.class_names)).tolist()", POINTS),
    Mutant("points: the lowest scores are sampled", f"{METHODS}/points/samplers.py",
           "diverse_points_by(s, image.similarity", "diverse_points_by(-s, image.similarity", POINTS),
    Mutant("points: an image that lacks a class is bright in it", f"{METHODS}/points/mil.py",
           "_max_over_pixels(foreground) - _max_over_pixels(background)",
           "_max_over_pixels(background) - _max_over_pixels(foreground)", POINTS),
    # priors
    Mutant("priors: the worst label", f"{METHODS}/priors/segmenter.py",
           "whole.argmax(dim=0)", "whole.argmin(dim=0)", PRIORS),
    Mutant("priors: the worst label after the CRF", "wsss_lightning/stages/refine.py",
           "*terms).argmax(axis=0)", "*terms).argmin(axis=0)", PRIORS),
    Mutant("priors: the fusion upside down", f"{METHODS}/priors/priors.py",
           "_ratio(total - low, high - low)", "_ratio(high - total, high - low)", PRIORS),
    Mutant("priors: CAM of another class", f"{METHODS}/priors/localization.py",
           "self.network.weights[classes]", "self.network.weights[classes - 1]", PRIORS),
    Mutant("priors: tags off by one class", f"{METHODS}/priors/localization.py",
           'self.loss(self(batch["image"]), batch["tags"])', 'self.loss(self(batch["image"]), batch["tags"].roll(1, 1))',
           PRIORS),
    Mutant("priors: threshold of eq 2 turned round", f"{METHODS}/priors/priors.py",
           "scaled > threshold", "scaled < threshold", PRIORS),
    Mutant("priors: background where objects are", f"{METHODS}/priors/priors.py",
           "(1 - scaled.mean(dim=0))", "scaled.mean(dim=0)", PRIORS),
    Mutant("priors: masks of another class", f"{METHODS}/priors/segmenter.py",
           "torch.arange(probs.shape[1], device=probs.device).view", "torch.arange(probs.shape[1]).roll(1).view",
           PRIORS),
    Mutant("priors: the segmenter's tags off by one class", f"{METHODS}/priors/segmenter.py",
           'with_background(batch["tags"])', 'with_background(batch["tags"].roll(1, 1))', PRIORS),
    # coseg
    Mutant("coseg: the worst label", f"{METHODS}/coseg/segmenter.py",
           "probs.argmax(dim=0)", "probs.argmin(dim=0)", COSEG),
    Mutant("coseg: the worst label after the CRF", "wsss_lightning/stages/refine.py",
           "*terms).argmax(axis=0)", "*terms).argmin(axis=0)", COSEG),
    Mutant("coseg: labels by tags off by one class", f"{METHODS}/coseg/multi_scale.py",
           "F.pad(tags, (1, 0)", "F.pad(tags.roll(1), (1, 0)", COSEG),
    Mutant("coseg: the least likely label", f"{METHODS}/coseg/segmenter.py",
           ".pixels.softmax(dim=1).half()", ".pixels.neg().softmax(dim=1).half()", COSEG),
    Mutant("coseg: masks of other classes", f"{METHODS}/coseg/segmenter.py",
           "    labels = labels_at(mask, scores)\n", "    labels = (labels_at(mask, scores) + 1) % 3\n", COSEG),
    Mutant("coseg: scales mirrored", f"{METHODS}/coseg/multi_scale.py",
           "resize_maps(each, size) for each", "resize_maps(each.flip(-1), size) for each", COSEG),
    Mutant("coseg: the branch is subtracted at prediction", f"{METHODS}/coseg/network.py",
           "pixels + image[..., None, None] if", "pixels - image[..., None, None] if self.added and not self.training else pixels + image[..., None, None] if",
           COSEG),
    # patches
    Mutant("patches: tags turned round", f"{METHODS}/patches/module.py",
           '(~batch["positive"]).long()', 'batch["positive"].long()', PATCHES),
    Mutant("patches: threshold turned round", f"{METHODS}/patches/stages/segment_patches.py",
           "probs > threshold", "probs < threshold", PATCHES),
    Mutant("patches: the worst threshold", f"{METHODS}/patches/stages/choose_threshold.py",
           "np.nanargmax", "np.nanargmin", PATCHES),
    Mutant("patches: pixels half a patch aside", f"{METHODS}/patches/network.py",
           "before, after = (self.size - 1) // 2, self.size // 2 + -length % stride",
           "before, after = 0, self.size + -length % stride", PATCHES),
    Mutant("patches: superpixels by the least votes", f"{METHODS}/patches/superpixels.py",
           "votes.argmax(axis=1)", "votes.argmin(axis=1)", PATCHES),
    Mutant("patches: the minimum in the place of the maximum", "wsss_lightning/ops/pooling.py",
           "(sharpness * scores).logsumexp(dim=-2)", "-(-sharpness * scores).logsumexp(dim=-2)", PATCHES),
    Mutant("patches: images without the class are drawn as its own", f"{METHODS}/patches/steps.py",
           "self.present if positive else self.absent", "self.absent if positive else self.present", PATCHES),
    Mutant("patches: masks of another class", f"{METHODS}/patches/stages/segment_patches.py",
           "labels * np.uint8(index)", "labels * np.uint8(index % 3 + 1)", PATCHES),
]  # fmt: skip


def main(words: list[str]) -> int:
    chosen = [mutant for mutant in MUTANTS if not words or any(word in mutant.name for word in words)]
    print("# What breaks when the code is broken\n\nWritten by `python tests/mutants.py > tests/mutants.md`.\n")
    print("| mutant | noticed by |\n| --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", "runs", "*cache*"))
        lived = [mutant.name for mutant in chosen if not noticed(mutant, copy)]
    for name in lived:
        print(f"lives: {name}", file=sys.stderr)
    return bool(lived)


def noticed(mutant: Mutant, copy: Path) -> bool:
    """Whether the mutant's tests fail; prints its row of the table."""
    path = copy / mutant.file
    code = path.read_text()
    if mutant.old not in code:
        print(f"| {mutant.name} | its piece of {mutant.file} is gone |", flush=True)
        return False
    path.write_text(code.replace(mutant.old, mutant.new, 1))
    command = [sys.executable, "-m", "pytest", mutant.tests, "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    path.write_text(code)
    failed = re.findall(r"^FAILED (\S+?)(?:\[| |$)", done.stdout, flags=re.MULTILINE)
    print(f"| {mutant.name} | {'`' + failed[0] + '`' if failed else '**nothing**'} |", flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
