"""Many pictures through a model by `Trainer.predict`, into a folder; a bad one does not stop the others."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch.utils.data import Dataset

from wsss_lightning.atomic import replace_file
from wsss_lightning.data.masks import write_mask
from wsss_lightning.data.tag_table import read_tags
from wsss_lightning.errors import InputError
from wsss_lightning.inference.labelled import LabelledPicture
from wsss_lightning.inference.labelling import Settings, known_tags, label_picture
from wsss_lightning.inference.pictures import PictureArray, PictureFile, PictureReader
from wsss_lightning.models import Inputs
from wsss_lightning.stages.io import write_json, write_tensors
from wsss_lightning.stages.predict import infer

Tags = Sequence[str] | Mapping[str, Sequence[str]] | None  # of all pictures, or by the name of the file
OutputKind = Literal["masks", "overlays", "probabilities"]
log = logging.getLogger(__name__)


@dataclass(eq=False)
class Failure:
    """Why a picture has no result."""

    reason: str


def label_pictures(
    model: pl.LightningModule,
    pictures: Sequence[PictureFile],
    *,
    out: Path,
    inputs: Inputs,
    settings: Settings,
    tags: Tags = None,
    contents: Sequence[OutputKind] = ("masks", "overlays"),
    accelerator: str = "auto",
    workers: int = 0,
    progress: bool = True,
) -> list[str]:
    """Write what `model` says of `pictures`, and return a sentence for each that it could not be asked about.

    Below `out`: `masks/<name>.png` in the indices of the data set that the model was trained on, which `classes.json`
    names, `overlays/<name>.jpg`, `probabilities/<name>.safetensors` (`probabilities`, (L, H, W) float16).

    Args:
        model: from `load`.
        pictures: from `find_pictures`.
        out: a folder; files of the same names are replaced.
        inputs: see `models.Inputs`.
        settings: of each picture.
        tags: classes that all pictures show, or those of each file by its name without suffix.
        contents: what is written.
        accelerator: Lightning's.
        workers: loading processes.
        progress: show a bar.
    """
    failures: list[str] = []
    infer(
        _Labelling(model, inputs=inputs, settings=settings, tags=tags),
        _Pictures(pictures),
        write=partial(_write, out=out, contents=contents, failures=failures),
        batch_size=1,
        trainer=partial(pl.Trainer, accelerator=accelerator, devices=1),
        workers=workers,
        progress=progress,
        description="pictures",
        together=list,
    )
    classes = {"names": ["background", *inputs.class_names], "indices": [*inputs.indices]}
    write_json(out / "classes.json", classes | {"palette": [list(colour) for colour in inputs.palette]})
    return list(dict.fromkeys(failures))


def read_picture_tags(text: str, names: Sequence[str]) -> Tags:
    """Tags as a command line gives them: names divided by commas, or a CSV file `image,tags`."""
    if not text.lower().endswith(".csv"):
        tags = [name.strip() for name in text.split(",")]
        known_tags(tags, names)
        return tags
    return {row.image_id: sorted(row.tags) for row in read_tags(Path(text), names=names).rows}


class _Pictures(Dataset[Any]):
    """Pairs of a picture and its pixels, or of the reason why it has none."""

    def __init__(self, pictures: Sequence[PictureFile]) -> None:
        self.records, self.reader = pictures, PictureReader()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[PictureFile, PictureArray | Failure]:
        picture = self.records[index]
        try:
            return picture, self.reader.read(picture)
        except InputError as error:
            return picture, Failure(str(error))


class _Labelling(pl.LightningModule):
    """`label_picture` as a step of Lightning's."""

    def __init__(self, model: pl.LightningModule, *, inputs: Inputs, settings: Settings, tags: Tags) -> None:
        super().__init__()
        self.model, self.inputs, self.settings, self.tags = model, inputs, settings, tags

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:  # noqa: ARG002
        return batch  # pixels are moved when they are normalised

    def on_predict_start(self) -> None:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"
        log.info("device: %s (%s)", self.device, name)

    def predict_step(self, batch: list[tuple[PictureFile, Any]], batch_idx: int) -> list[LabelledPicture | Failure]:  # noqa: ARG002
        return [self._labelled(picture, pixels) for picture, pixels in batch]

    def _labelled(self, picture: PictureFile, pixels: Any) -> LabelledPicture | Failure:
        if isinstance(pixels, Failure):
            return pixels
        try:
            return label_picture(
                self.model,
                pixels,
                name=picture.name,
                inputs=self.inputs,
                settings=self.settings,
                tags=self._tags(picture),
            )
        except InputError as error:
            return Failure(f"{picture.path}: {error}")
        except torch.OutOfMemoryError:
            return Failure(f"{picture.path} does not fit into the memory of the device: give a smaller longest.")

    def _tags(self, picture: PictureFile) -> Sequence[str] | None:
        if not isinstance(self.tags, Mapping):
            return self.tags
        if picture.path.stem not in self.tags:
            raise InputError(f"the file of tags does not name {picture.path.stem}: give its tags there.")
        return self.tags[picture.path.stem]


def _write(
    outcome: LabelledPicture | Failure, *, out: Path, contents: Sequence[OutputKind], failures: list[str]
) -> None:
    if isinstance(outcome, Failure):
        failures.append(outcome.reason)
        return
    if "masks" in contents:
        write_mask(out / "masks" / f"{outcome.name}.png", outcome.indices)
    if "overlays" in contents:
        picture = outcome.picture
        replace_file(out / "overlays" / f"{outcome.name}.jpg", lambda temporary: picture.save(temporary, quality=92))
    if "probabilities" in contents:
        half = torch.from_numpy(outcome.probabilities).half()
        write_tensors(out / "probabilities" / f"{outcome.name}.safetensors", {"probabilities": half})
