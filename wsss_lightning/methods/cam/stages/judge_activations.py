"""Stage: class activation maps against ground truth, to judge and never to train."""

from pathlib import Path

from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.errors import InputError
from wsss_lightning.scoring.evaluation import write_evaluation
from wsss_lightning.scoring.folder import SWEEP, score_folder


def judge_activations(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    cams: str,
    split: Split,
    threshold: float,
    workers: int,
    progress: bool,
) -> dict[str, float]:
    """Score `cams/*.npy` with the tags known, as `wsss evaluate` does; writes its figures to `evaluation.json`.

    `<split>/miou`: at `threshold`; `<split>/best_miou`, `<split>/best_threshold`: the best of `SWEEP` on these very
    masks; `<split>/iou/<label>`: at the best.
    """
    if threshold not in SWEEP:
        raise InputError(f"the threshold {threshold} is not one of {SWEEP[0]}, {SWEEP[1]}, ..., {SWEEP[-1]}.")
    evaluation = score_folder(
        folder=Path(cams) / "cams",
        data=data,
        split=split,
        threshold=None,
        partial_ok=False,
        processes=workers,
        progress=progress,
    )
    write_evaluation(Path(out_dir) / "evaluation.json", evaluation)
    best = {"best_miou": evaluation.summary["miou"], "best_threshold": evaluation.threshold or 0.0}
    each = {f"iou/{name}": value for name, value in evaluation.iou.items()}
    figures = {"miou": dict(evaluation.curve)[threshold], **best, **each}
    return {f"{split}/{name}": value for name, value in figures.items()}
