"""How long stages will take, by what their like took before in the same store."""

from collections.abc import Sequence
from statistics import median

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.planning import PlannedStage
from wsss_lightning.pipeline.store import RECORD, read_record

_LATEST = 3  # records of a stage that are read, since one of many files is large


def usual_seconds(stage: PlannedStage) -> float | None:
    """Median wall time of the latest finished stages of the same name and function; None where there is none."""
    paths = list(stage.folder.parent.glob(f"{stage.name}-*/{RECORD}"))
    latest = sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)[:_LATEST]
    known = [seconds for path in latest if (seconds := _seconds(path.parent.name, stage)) is not None]
    return median(known) if known else None


def _seconds(folder: str, stage: PlannedStage) -> float | None:
    try:
        record = read_record(stage.folder.with_name(folder))
    except InputError:  # whoever needs that stage is told
        return None
    same = record is not None and record["node"]["_target_"] == stage.node["_target_"]
    return float(record["wall_seconds"]) if record is not None and same else None


def estimated(stages: Sequence[PlannedStage]) -> str:
    """`about 3.5 min by earlier runs`, with the names of stages that no run tells of; empty where none is known."""
    times = {stage.name: usual_seconds(stage) for stage in stages}
    known = [seconds for seconds in times.values() if seconds is not None]
    unknown = [name for name, seconds in times.items() if seconds is None]
    if not known:
        return ""
    without = f", without {', '.join(unknown)}" if unknown else ""
    return f"about {rounded(sum(known))} by earlier runs{without}"


def rounded(seconds: float) -> str:
    """Seconds below two minutes, minutes below two hours, else hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
