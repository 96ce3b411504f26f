"""Stage: the embedded data set."""

from pathlib import Path

from wsss_lightning.data.shapes import write_scenes


def generate_shapes(*, out_dir: str, train: int, val: int, size: int, seed: int, workers: int, progress: bool) -> None:
    """Write the generated scenes in VOC's layout; `size`: edge in pixels. See `data.shapes`."""
    write_scenes(Path(out_dir), train=train, val=val, size=size, seed=seed, processes=workers, progress=progress)
