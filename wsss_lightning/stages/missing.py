"""A pass over images, in processes, that goes on where it was stopped."""

from collections.abc import Callable, Sequence
from pathlib import Path

from wsss_lightning.data.base import Record
from wsss_lightning.parallel import in_parallel


def write_missing(
    work: Callable[[Record], None],
    records: Sequence[Record],
    folder: Path,
    *,
    processes: int,
    description: str,
    progress: bool,
    kind: str = "png",
) -> None:
    """Call `work` for every record whose `<image_id>.<kind>` is not yet in `folder`, which is made if need be.

    `work` writes that file; `processes` as in `in_parallel`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [record for record in records if not (folder / f"{record.image_id}.{kind}").exists()]
    for _ in in_parallel(work, missing, processes=processes, description=description, progress=progress):
        pass
