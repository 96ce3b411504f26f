"""Maps and masks that show nothing: training learns background from them without a word."""

import logging
from collections.abc import Sequence
from pathlib import Path

from wsss_lightning.data.base import Record, Split
from wsss_lightning.data.masks import read_mask

log = logging.getLogger(__name__)

_MANY = 0.05  # of all


def report_empty(empty: int, total: int, *, what: str) -> float:
    """The share in 0..1 of `what`, for example maps, that are empty; above 5 % it warns."""
    share = empty / max(total, 1)
    if share > _MANY:
        log.warning(
            "%s of %s %s are empty (%.1f %%): look at what made them", f"{empty:,}", f"{total:,}", what, 100 * share
        )
    return share


def count_empty(records: Sequence[Record], out_dir: Path, split: Split) -> dict[str, float]:
    """`<split>/empty`: the share of tagged images whose `masks/<image_id>.png` is background alone."""
    folder, tagged = out_dir / "masks", [record for record in records if record.tags.any()]
    empty = sum(not read_mask(folder / f"{record.image_id}.png").any() for record in tagged)
    return {f"{split}/empty": report_empty(empty, len(tagged), what=f"masks of tagged images of {split}")}
