"""Stage: what the report shows of the localizers and the sampling on a few val images."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib import colormaps
from numpy.typing import NDArray
from torch import Tensor

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import palette
from wsss_lightning.methods.points.samplers import Evidence, Points
from wsss_lightning.nn.hypercolumns import Standardisation
from wsss_lightning.nn.similarity import ColumnSimilarity
from wsss_lightning.stages.evaluate import panel_records
from wsss_lightning.stages.features import FeatureStore
from wsss_lightning.stages.fit import own_seed
from wsss_lightning.stages.fit_localizers import read_localizers
from wsss_lightning.stages.io import write_picture
from wsss_lightning.stages.sample import Convention

Picture = NDArray[np.uint8]
_PANEL = 384  # pixels; about what a report shows


def preview(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    features: str,
    localizers: str,
    sampler: Callable[[Evidence], Points],
    convention: Convention,
    panels: int,
    seed: int,
) -> None:
    """Draw the score maps and the sampled points of the val images in the report: `<image_id>/{scores,points}.png`.

    Sampling needs to know which classes to sample, so these pictures, and no number, use the tags of val images.
    """
    store = FeatureStore(Path(features))
    network = read_localizers(Path(localizers), store)
    statistics = Standardisation(*store.statistics())
    for record in panel_records(data.records("val"), panels):
        seen = store.read("val", record.image_id)
        classes = np.flatnonzero(record.tags)
        with torch.inference_mode():
            maps = network.on_image(seen, classes.tolist())
        scores = convention(maps[:, 0], maps[:, 1])
        evidence = Evidence(
            scores=scores,
            similarity=cache(ColumnSimilarity(seen.maps, store.grid(), statistics)),
            present=torch.from_numpy(classes) + 1,
            peaks=scores.amax(dim=(1, 2)).clamp_min(1e-12),
            seed=own_seed(seed, record.image_id),
        )
        folder = Path(out_dir) / record.image_id
        _draw(folder, record, data, evidence.scores, sampler(evidence), grid=store.grid())


def _draw(
    folder: Path, record: Record, data: SegmentationDataModule, scores: Tensor, points: Points, *, grid: tuple[int, int]
) -> None:
    image = read_image(record.image)
    write_picture(folder / "scores.png", draw_scores(image, scores))
    colours = palette()[data.decode(points.labels.numpy().astype(np.uint8))]
    write_picture(folder / "points.png", draw_points(image, points.locations.numpy(), colours, grid=grid))


def draw_scores(image: Picture, scores: Tensor) -> Picture:
    """The highest of the score maps (F, h, w), each scaled to [0, 1], as a heat map over the image (H, W, 3)."""
    low, high = scores.amin(dim=(1, 2), keepdim=True), scores.amax(dim=(1, 2), keepdim=True)
    best = ((scores - low) / (high - low).clamp_min(1e-12)).amax(dim=0).numpy()
    large = cv2.resize(best, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    heat = colormaps["viridis"](large)[..., :3] * 255
    return (0.3 * image + 0.7 * heat).round().astype(np.uint8)


def draw_points(image: Picture, locations: NDArray[np.int64], colours: Picture, *, grid: tuple[int, int]) -> Picture:
    """A disc of its label's colour (P, 3) with a light rim at every grid location (P,), on the image (H, W, 3).

    Small images are enlarged by a whole factor first, so that neighbouring points can be told apart.
    """
    factor = max(_PANEL // max(image.shape[:2]), 1)
    canvas = (0.7 * image.repeat(factor, axis=0).repeat(factor, axis=1)).round().astype(np.uint8)
    height, width = canvas.shape[:2]
    radius = max(min(height, width) // 80, 2)
    for location, colour in zip(locations.tolist(), colours.tolist(), strict=True):
        row, column = divmod(location, grid[1])
        centre = (int((column + 0.5) * width / grid[1]), int((row + 0.5) * height / grid[0]))
        cv2.circle(canvas, centre, radius + 1, (255, 255, 255), thickness=-1, lineType=cv2.LINE_AA)
        cv2.circle(canvas, centre, radius, tuple(colour), thickness=-1, lineType=cv2.LINE_AA)
    return canvas
