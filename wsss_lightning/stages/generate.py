"""Stages: the embedded data sets."""

from collections.abc import Sequence
from pathlib import Path

from wsss_lightning.data.shape_figures import Textured
from wsss_lightning.data.shape_web import write_web_pictures
from wsss_lightning.data.shapes import write_scenes


def generate_shapes(
    *,
    out_dir: str,
    train: int,
    val: int,
    size: int,
    seed: int,
    workers: int,
    progress: bool,
    textured: Textured = "part",
) -> None:
    """Write the generated scenes in VOC's layout; `size`: edge in pixels. See `data.shapes`."""
    write_scenes(
        Path(out_dir),
        train=train,
        val=val,
        size=size,
        seed=seed,
        textured=textured,
        processes=workers,
        progress=progress,
    )


def generate_web_shapes(
    *,
    out_dir: str,
    per_class: int,
    wrong: float,
    duplicates: float,
    size: int,
    seed: int,
    workers: int,
    progress: bool,
    textured: Textured = "part",
    area: Sequence[int] = (24, 46),
) -> None:
    """Write the generated stand-in for images from the web, `per_class` of each class. See `data.shape_web`."""
    low, high = area
    write_web_pictures(
        Path(out_dir),
        per_class=per_class,
        wrong=wrong,
        duplicates=duplicates,
        size=size,
        seed=seed,
        textured=textured,
        area=(low, high),
        processes=workers,
        progress=progress,
    )
