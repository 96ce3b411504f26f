"""A job as one run of Weights & Biases."""

import logging
import os
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, cast, get_args

import wandb

from wsss_lightning.dashboards.overlays import read_classes, read_drawings, read_overlays
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.curves import Curve
from wsss_lightning.pipeline.telling import DashboardJob, Finished

log = logging.getLogger(__name__)
_MODEL = "model.safetensors"
_Mode = Literal["online", "offline", "disabled", "shared"]


class WandbRun:
    """Curves, results and pictures of all stages of a job, named `<stage>/<quantity>`.

    The metrics of the job's result stand without its stage's name in the summary, too, so that all runs have them
    under one name.

    Args:
        project: where to.
        folder: what is kept offline lies in `wandb` below it, unless `WANDB_DIR` says otherwise.
        offline: keep the run on disk; `WANDB_MODE` decides before this.
        artifacts: of a run that is online: a record for every stage, with lineage, and models with their weights.
    """

    def __init__(self, *, project: str, folder: str, offline: bool, artifacts: bool = True) -> None:
        self.project, self.folder, self.offline, self.artifacts = project, folder, offline, artifacts
        self.cached: dict[str, bool] = {}

    def start(self, job: DashboardJob) -> None:
        folder = Path(os.environ.get("WANDB_DIR", self.folder))
        folder.mkdir(parents=True, exist_ok=True)
        given = os.environ.get("WANDB_MODE") or ("offline" if self.offline else "online")
        if given not in get_args(_Mode):
            raise InputError(f"WANDB_MODE={given}: W&B knows no such mode; set one of {', '.join(get_args(_Mode))}.")
        try:
            self.run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", self.project),
                dir=folder,
                name=job.name,
                group=job.group,
                tags=[tag[:64] for tag in job.tags],  # W&B refuses longer ones
                config=job.settings,
                mode=cast("_Mode", given),
                reinit="create_new",
                settings=wandb.Settings(quiet=True),  # its summary of a job is longer than ours of a sweep
            )
        except (wandb.Error, TimeoutError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"W&B cannot be reached ({reason}): set WANDB_MODE=offline, or logger=csv.") from error
        where = f"wandb sync {Path(self.run.dir).parent}" if self.run.offline else self.run.url
        log.info("W&B: %s", where)

    def curve(self, stage: str, name: str, axis: str, points: Curve) -> None:
        along = f"{stage}/{axis}"
        self.run.define_metric(along, hidden=True)
        self.run.define_metric(f"{stage}/{name}", step_metric=along)
        for x, value in points:
            self.run.log({along: x, f"{stage}/{name}": value})  # its own steps go on from stage to stage

    def result(self, stage: Finished) -> None:
        metrics = stage.record["metrics"]
        self.cached[stage.name] = stage.cached
        self._configure(cached=self.cached)
        self.run.summary.update({f"{stage.name}/{name}": value for name, value in metrics.items()})
        self.run.summary.update({f"{stage.name}/wall_seconds": stage.record["wall_seconds"]})
        self._tables(stage)
        self._pictures(stage)
        if stage.final:
            self._configure(card=stage.record["card"])
            self.run.summary.update(metrics)
        if stage.final and all(self.cached.values()):
            self.run.tags = (*(self.run.tags or ()), "cached")
        if self.artifacts and not self.run.offline and not self.run.disabled:
            self._artifact(stage)

    def finish(self, *, failed: bool) -> None:
        self.run.finish(exit_code=int(failed))

    def _configure(self, **settings: dict[str, Any]) -> None:
        config: Any = self.run.config
        config.update(settings, allow_val_change=True)

    def _tables(self, stage: Finished) -> None:
        """Values per class of each metric that has some (`val/iou/<class>`)."""
        named = [(*name.rpartition("/")[::2], value) for name, value in stage.record["metrics"].items()]
        for metric, rows in groupby(named, key=lambda row: row[0]):
            if metric.endswith("/iou"):
                data = [[name, value] for _, name, value in rows]
                table = wandb.Table(columns=["class", "iou"], data=data)
                self.run.log({f"{stage.name}/{metric}_per_class": table})

    def _pictures(self, stage: Finished) -> None:
        labels = read_classes(stage.folder, stage.data)
        shown: dict[str, list[wandb.Image]] = {}
        for overlay in read_overlays(stage.folder, stage.data, labels):
            masks = {name: {"mask_data": mask, "class_labels": labels} for name, mask in overlay.masks.items()}
            image = wandb.Image(overlay.image, masks=masks or None, caption=overlay.image_id)
            shown.setdefault("overlays", []).append(image)
        for kind, image_id, picture in read_drawings(stage.folder, stage.data, labels):
            shown.setdefault(kind, []).append(wandb.Image(picture, caption=image_id))
        for name, images in shown.items():
            self.run.log({f"{stage.name}/{name}": images})

    def _artifact(self, stage: Finished) -> None:
        """The stage's record, and its model; what was served from the store is an input of this run."""
        model = stage.folder / _MODEL
        artifact = wandb.Artifact(
            f"{stage.name}-{stage.record['key'][:16]}",
            type="model" if model.is_file() else "stage",
            metadata={"key": stage.record["key"], "upstream": stage.record["upstream"], "card": stage.record["card"]},
        )
        for path in filter(Path.is_file, (stage.folder / "stage.json", stage.folder / "model.json", model)):
            artifact.add_file(str(path))
        if stage.cached:
            self.run.use_artifact(artifact)
        else:
            self.run.log_artifact(artifact)
