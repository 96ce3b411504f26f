"""Stage: localizers of known and of added classes as one set (points sec. 4.3)."""

from pathlib import Path
from typing import Any

import torch

from wsss_lightning import models
from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.points.localizer_module import LocalizerModule, joined
from wsss_lightning.stages.fit import inputs_of


def join_localizers(*, out_dir: str, data: SegmentationDataModule, known: str, added: str) -> None:
    """The localizers of the classes of `data` as one model, from two folders of models; no weight changes.

    Raises:
        InputError: the two differ in what they see.
    """
    parts: list[Any] = [models.load(folder) for folder in (known, added)]
    if not _see_the_same(*parts):
        raise InputError(f"The localizers in {added} see other inputs than those in {known}: train both alike.")
    models.save(joined(parts, data.class_names), Path(out_dir), inputs=inputs_of(data))


def _see_the_same(first: LocalizerModule, second: LocalizerModule) -> bool:
    alike = all(first.hparams[name] == second.hparams[name] for name in ("backbone", "global_features", "hidden"))
    buffers = zip(first.localizers.statistics.buffers(), second.localizers.statistics.buffers(), strict=True)
    return alike and all(torch.equal(one, other) for one, other in buffers)
