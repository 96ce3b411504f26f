"""Stage: class activation maps of the tags, in the field's own format."""

from pathlib import Path
from typing import Any

from wsss_lightning.data.base import SegmentationDataModule, Split
from wsss_lightning.data.samples import collate
from wsss_lightning.data.stored_maps import StoredMaps, as_lists
from wsss_lightning.scoring.cams import empty_maps, write_cam_file
from wsss_lightning.stages.empty import report_empty
from wsss_lightning.stages.fit import MakeTrainer
from wsss_lightning.stages.predict import infer, load_fitting, without
from wsss_lightning.stages.stored_steps import DeepMaps
from wsss_lightning.stages.tag_classifier import Activation


def activate_classes(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    classifier: str,
    maps: str | None,
    split: Split,
    trainer: MakeTrainer,
    workers: int,
    progress: bool,
) -> dict[str, float]:
    """Write `cams/<image_id>.npy` of the images of `split`, `{keys, high_res}` as IRNet's; tags say which classes.

    `classifier`: folder of a `fit_classifier` stage; `maps`: of a `store_maps` stage, None to look at the images.
    `<split>/empty`: the share of maps that are 0 everywhere.
    """
    model: Any = load_fitting(classifier, data)
    records, folder = data.records(split), Path(out_dir) / "cams"
    paths = [folder / f"{record.image_id}.npy" for record in records]
    stored = None if maps is None else DeepMaps(StoredMaps(Path(maps)), records, model.variants)

    def write(activation: Activation) -> None:
        classes = data.labels.indices[activation.classes.cpu().numpy()] - 1
        write_cam_file(folder / f"{activation.image_id}.npy", classes=classes, maps=activation.maps.cpu().numpy())

    infer(
        model,
        without(data.dataset(split) if stored is None else stored, paths),
        write=write,
        batch_size=data.inference_batch_size,
        trainer=trainer,
        workers=workers,
        progress=progress,
        description=f"class activation maps, {split}",
        together=collate if stored is None else as_lists,
    )
    empty, total = (sum(column) for column in zip(*map(empty_maps, paths), strict=True))
    return {f"{split}/empty": report_empty(empty, total, what=f"class activation maps of {split}")}
