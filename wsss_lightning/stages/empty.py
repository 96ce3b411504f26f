"""Maps and masks that show nothing: training learns background from them without a word."""

import logging

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
