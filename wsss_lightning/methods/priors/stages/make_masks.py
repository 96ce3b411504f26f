"""Stage: masks out of the built-in priors, smoothed by a dense CRF (priors sec. 3.1)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss_lightning.data.base import Record, SegmentationDataModule, Split
from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import write_mask
from wsss_lightning.methods.priors.stages.activate import read_fusion
from wsss_lightning.methods.priors.stages.class_activations import read_class_activations
from wsss_lightning.stages.empty import count_empty
from wsss_lightning.stages.missing import write_missing
from wsss_lightning.stages.refine import Crf, Unary, read_regions, smooth

Kind = Literal["foreground", "classes"]
Counted = Literal["present", "all"]
Combine = Callable[..., Tensor]


@dataclass(frozen=True)
class Priors:
    """The probabilities P of one image's labels (secs. 3.1.1 and 3.1.2).

    `fusion`: folder of an `activate` stage, None to do without, which is alpha = 0; `cams`: of a `class_activations`
    stage; `combine`: `priors.combine`; `counted`: the classes that eq 4 averages over, absent ones at M_c = 0.
    """

    kind: Kind
    fusion: Path | None
    cams: Path | None
    combine: Combine
    counted: Counted

    def __post_init__(self) -> None:
        if (self.fusion if self.kind == "foreground" else self.cams) is None:
            raise ValueError("masks of the foreground need `fusion`, those of classes `cams`")

    def of_image(self, record: Record, size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Labels (L',), background first, and their probabilities (L', *size).

        Labels are 0 and 1 for kind "foreground", else 0 and those of the tags. An image without tags has background
        alone, since tags name all that it shows (sec. 3.2).
        """
        if not record.tags.any():
            return np.zeros(1, np.uint8), np.ones((1, *size), np.float32)
        fusion = None if self.fusion is None else read_fusion(self.fusion, record.image_id, size)
        if self.cams is None or self.kind == "foreground":
            assert fusion is not None
            return np.arange(2, dtype=np.uint8), foreground_probabilities(fusion)
        cams, present = read_class_activations(self.cams, record.image_id, size)
        counted = len(record.tags) if self.counted == "all" else len(present)
        return np.array([0, *present], np.uint8), prior_probabilities(fusion, cams, self.combine, counted=counted)


def foreground_probabilities(fusion: Tensor) -> NDArray[np.float32]:
    """P of background and foreground, (2, H, W), from P_f (sec. 3.1.1)."""
    probs: NDArray[np.float32] = torch.stack([1 - fusion, fusion]).numpy()
    return probs


def prior_probabilities(fusion: Tensor | None, cams: Tensor, combine: Combine, *, counted: int) -> NDArray[np.float32]:
    """P of background and of the T tagged classes, (T + 1, H, W) (eqs 2-5).

    Args:
        fusion: P_f, (H, W); None for P = M, alpha = 0 in eqs 3 and 5.
        cams: M_c of the tagged classes, (T, H, W).
        combine: `priors.combine` with its settings.
        counted: C of eq 4, at least T; the maps of classes without a tag are 0.
    """
    whole = torch.cat([cams, cams.new_zeros(counted - len(cams), *cams.shape[1:])])
    probs = combine(torch.zeros_like(cams[0]), whole, alpha=0.0) if fusion is None else combine(fusion, whole)
    tagged: NDArray[np.float32] = probs[: len(cams) + 1].numpy()
    return tagged


def make_masks(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    split: Split,
    kind: Kind,
    fusion: str | None,
    cams: str | None,
    regions: str | None,
    combine: Combine,
    counted: Counted,
    unary: Unary,
    crf: Crf,
    workers: int,
    progress: bool,
) -> dict[str, float]:
    """Write `masks/<image_id>.png` at the image's own size: 0 and 1, or for kind "classes" the data set's own indices.

    `fusion`, `cams`, `combine`, `counted`: see `Priors`; `regions`: folder of a `find_regions` stage, None for a CRF
    of pairs alone; `unary`: energies of P (eq 7). Ground truth is not looked at.

    `<split>/empty`: the share of tagged images whose masks are background alone.
    """
    folder = Path(out_dir) / "masks"
    priors = Priors(kind, _path(fusion), _path(cams), combine, counted)
    work = partial(_make_one, folder=folder, data=data, priors=priors, regions=regions, unary=unary, crf=crf)
    description = f"masks, {split}"
    records = data.records(split)
    write_missing(work, records, folder, processes=workers, description=description, progress=progress)
    return count_empty(records, Path(out_dir), split)


def _path(folder: str | None) -> Path | None:
    return None if folder is None else Path(folder)


def _make_one(
    record: Record,
    *,
    folder: Path,
    data: SegmentationDataModule,
    priors: Priors,
    regions: str | None,
    unary: Unary,
    crf: Crf,
) -> None:
    image = read_image(record.image)
    labels, probs = priors.of_image(record, image.shape[:2])
    numbered = None if regions is None else read_regions(Path(regions), record.image_id)
    mask = labels[smooth(image, probs, numbered, unary=unary, crf=crf)]
    write_mask(folder / f"{record.image_id}.png", data.decode(mask) if priors.kind == "classes" else mask)
