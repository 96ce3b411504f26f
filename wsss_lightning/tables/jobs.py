"""Jobs of sweeps as their folders tell: what each was given, what came of it, and why it failed."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.store import read_record

METRICS, STAGES, FAILURE = "metrics.json", "stages.json", "failure.json"  # what a job leaves in its folder
_OVERRIDES = Path(".hydra", "overrides.yaml")
_SHOWN = 5


@dataclass(frozen=True)
class SweepJob:
    """One job of a sweep.

    `settings`: its overrides by name; `metrics`: those of its result, None where it has none; `stages`: folders of its
    stages by name, the result's last; `failure`: why there is none.
    """

    folder: Path
    settings: dict[str, str]
    metrics: dict[str, float] | None
    stages: dict[str, Path]
    failure: str | None

    @property
    def number(self) -> str:
        """The job's number in its sweep."""
        return self.folder.name

    @property
    def result(self) -> Path | None:
        """The folder of the stage that ends the job."""
        return list(self.stages.values())[-1] if self.stages else None

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """What the store holds of the job's stages, upstream first."""
        return [record for folder in self.stages.values() if (record := read_record(folder)) is not None]

    @property
    def seconds(self) -> float | None:
        """Wall time of all stages behind the result, whichever job computed them."""
        return sum(record["wall_seconds"] for record in self.records) if self.records else None

    def value(self, metric: str) -> float | None:
        """A metric of the result, or else of the last stage that reports it; None where it is none or nan."""
        reports = [self.metrics or {}, *(record["metrics"] for record in reversed(self.records))]
        number = next((report[metric] for report in reports if metric in report), None)
        return None if number is None or math.isnan(number) else float(number)


@dataclass(frozen=True)
class Sweep:
    """The jobs of one `wsss run -m`, by number."""

    name: str
    jobs: list[SweepJob]

    def fixed(self) -> dict[str, str]:
        """What all jobs were given alike."""
        first = self.jobs[0].settings.items()
        return {name: value for name, value in first if all(job.settings.get(name) == value for job in self.jobs)}

    def varied(self) -> list[str]:
        """Names of what the jobs were given differently, the first named first."""
        fixed = self.fixed()
        return list(dict.fromkeys(name for job in self.jobs for name in job.settings if name not in fixed))


def find_sweeps(named: Sequence[str], root: Path) -> list[Sweep]:
    """The sweeps that are named: folders, patterns, or names below `root/sweeps`; the latest one where none is.

    Raises:
        InputError: there is no such sweep; the sentence names some that there are.
    """
    known = sorted(folder for folder in (root / "sweeps").glob("*") if _jobs(folder))
    if not named and known:
        return [read_sweep(known[-1])]
    folders: list[Path] = []
    for name in named:
        places = [*_matching(Path(), name), *_matching(root / "sweeps", name)]
        matches = [folder for folder in places if _jobs(folder)]
        if not matches:
            raise InputError(f"{name} is no folder of a sweep; {_known(known, root)}.")
        folders += matches
    if not folders:
        raise InputError(f"There is no sweep yet; {_known(known, root)}.")
    return [read_sweep(folder) for folder in dict.fromkeys(folder.resolve() for folder in folders)]


def _matching(folder: Path, name: str) -> list[Path]:
    """What a path or a pattern stands for below `folder`, or anywhere where it is absolute."""
    path = folder / name
    return [path] if path.is_dir() else sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))


def _known(known: list[Path], root: Path) -> str:
    names = ", ".join(folder.name for folder in known[-_SHOWN:])
    return f"{root / 'sweeps'} holds {names}" if names else f"wsss run -m writes one to {root / 'sweeps'}"


def _jobs(folder: Path) -> list[Path]:
    folders = [path.parents[1] for path in folder.glob(f"*/{_OVERRIDES}")] if folder.is_dir() else []
    return sorted(
        folders, key=lambda path: (not path.name.isdigit(), int(path.name) if path.name.isdigit() else 0, path)
    )


def read_sweep(folder: Path) -> Sweep:
    """The jobs below a sweep's folder; a damaged file in there is an `InputError`."""
    return Sweep(folder.name, [_job(path) for path in _jobs(folder)])


def _job(folder: Path) -> SweepJob:
    pairs = [str(text).lstrip("+~").partition("=") for text in _content(folder / _OVERRIDES, list) or []]
    settings = {name: value for name, _, value in pairs if not name.startswith("hydra.")}
    stages = _content(folder / STAGES, dict) or {}
    metrics = _content(folder / METRICS, dict)
    failure = (_content(folder / FAILURE, dict) or {}).get("failure")
    if metrics is None and failure is None:
        failure = "it has not ended, or was killed"
    numbers = None if metrics is None else {name: math.nan if v is None else float(v) for name, v in metrics.items()}
    places = {name: _stage(Path(str(place)), folder) for name, place in stages.items()}
    return SweepJob(folder, settings, numbers, places, failure)


def _content(path: Path, kind: type) -> Any:
    """What a JSON or YAML file of a job holds, None where there is no such file."""
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read ({error}): delete the job's folder, or run it again.") from None
    if not isinstance(content, kind):
        raise InputError(f"{path} holds no {kind.__name__}: delete the job's folder, or run it again.")
    return content


def _stage(place: Path, job: Path) -> Path:
    """Where a stage lies: as the job wrote it or, of a root that was moved, in the store beside the sweeps."""
    moved = job.parents[2] / "store" / place.name
    return moved if not place.is_dir() and moved.is_dir() else place
