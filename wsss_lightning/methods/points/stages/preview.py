"""Stage: what the report shows of the localizers and the sampling on a few val images."""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsss_lightning.data.base import Record, SegmentationDataModule
from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import palette
from wsss_lightning.methods.points.samplers import Evidence, Points
from wsss_lightning.methods.points.sampling import diverse_steps_by
from wsss_lightning.methods.points.similarity import similarity_of
from wsss_lightning.methods.points.stages.features import Stored, opened
from wsss_lightning.methods.points.stages.sample import ScoreConvention
from wsss_lightning.nn.hypercolumns import Standardisation
from wsss_lightning.nn.seeds import own_seed
from wsss_lightning.stages.drawing import WHITE, Picture, draw_scores, enlarged, in_rows, titled
from wsss_lightning.stages.evaluate import panel_records
from wsss_lightning.stages.io import write_picture
from wsss_lightning.stages.predict import load_fitting

Step = tuple[Tensor, int]
_RED = (230, 30, 30)  # occurs in none of the heat map's colours


def preview(
    *,
    out_dir: str,
    data: SegmentationDataModule,
    features: Stored,
    localizers: str,
    sampler: Callable[[Evidence], Points],
    convention: ScoreConvention,
    panels: int,
    steps: int,
    seed: int,
) -> None:
    """Draw the score maps and the sampled points of the val images in the report: `<image_id>/{scores,points}.png`.

    `<image_id>/steps.png` is the paper's Figure 1: the first `steps` steps of diverse sampling, whatever the `sampler`,
    for the first class that the image shows; 0 draws none.

    Sampling needs to know which classes to sample, so these pictures, and no number, use the tags of val images.
    """
    store = opened(features)
    model: Any = load_fitting(localizers, data)
    statistics = Standardisation(*store.statistics())
    for record in panel_records(data.records("val"), panels):
        image = store.read("val", record.image_id)
        classes = np.flatnonzero(record.tags)
        with torch.inference_mode():
            maps = model.localizers(image, classes.tolist(), store.grid())[0]
        scores = convention(maps[:, 0], maps[:, 1])
        evidence = Evidence(
            scores=scores,
            similarity=cache(similarity_of(image, store.grid(), statistics)),
            present=torch.from_numpy(classes) + 1,
            peaks=scores.amax(dim=(1, 2)).clamp_min(1e-12),
            seed=own_seed(seed, record.image_id),
        )
        _draw(Path(out_dir) / record.image_id, record, data, evidence, sampler(evidence), steps)


def _draw(
    folder: Path, record: Record, data: SegmentationDataModule, evidence: Evidence, points: Points, steps: int
) -> None:
    image, grid = read_image(record.image), evidence.scores.shape[-2:]
    write_picture(folder / "scores.png", draw_scores(image, evidence.scores))
    colours = palette()[data.decode(points.labels.numpy().astype(np.uint8))]
    write_picture(folder / "points.png", draw_points(image, points.locations.numpy(), colours, grid=grid))
    walk = islice(diverse_steps_by(evidence.scores[0].flatten(), evidence.similarity), steps)
    if own := [(objective.view(grid), point) for objective, point in walk]:
        name = data.class_names[int(evidence.present[0]) - 1]
        write_picture(folder / "steps.png", draw_steps(image, own, name=name))


def draw_steps(image: Picture, steps: Sequence[Step], *, name: str) -> Picture:
    """Figure 1: for each step the map (h, w) that it maximises, scaled by itself, over the image; two side by side.

    Red is the point that the step picks, white are those before it. `name` is the class.
    """
    canvas, points, tiles = enlarged(image), [point for _, point in steps], []
    for number, (objective, _) in enumerate(steps, start=1):
        tile, colours = draw_scores(canvas, objective[None]), [*[WHITE] * (number - 1), _RED]
        _mark(tile, points[:number], colours, grid=objective.shape, radius=max(tile.shape) // 35)
        formula = "S [1 - max z·z]" if number > 1 else f"S, {name.replace('_', ' ')}"
        tiles.append(titled(tile, f"step {number}: {formula}"))
    return in_rows(tiles, columns=2)


def draw_points(image: Picture, locations: NDArray[np.int64], colours: Picture, *, grid: Sequence[int]) -> Picture:
    """A disc of its label's colour (P, 3) with a light rim at every grid location (P,), on the image (H, W, 3)."""
    canvas = (0.7 * enlarged(image)).round().astype(np.uint8)
    _mark(canvas, locations.tolist(), colours.tolist(), grid=grid, radius=max(min(canvas.shape[:2]) // 80, 2))
    return canvas


def _mark(
    canvas: Picture, locations: Sequence[int], colours: Sequence[Sequence[int]], *, grid: Sequence[int], radius: int
) -> None:
    """Draw discs with a light rim at locations of a grid."""
    height, width = canvas.shape[:2]
    for location, colour in zip(locations, colours, strict=True):
        row, column = divmod(location, grid[1])
        centre = (int((column + 0.5) * width / grid[1]), int((row + 0.5) * height / grid[0]))
        cv2.circle(canvas, centre, radius + 1, WHITE, thickness=-1, lineType=cv2.LINE_AA)
        cv2.circle(canvas, centre, radius, tuple(colour), thickness=-1, lineType=cv2.LINE_AA)
