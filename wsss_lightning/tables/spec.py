"""What a paper's table says: `experiments/<method>/tableN.yaml`.

A spec names rows, the experiment behind each and the numbers that the paper prints; it never says how to run.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from wsss_lightning.errors import InputError, obstacle
from wsss_lightning.pipeline.configuration import project_folder

_TABLE = {
    *("title", "source", "metric", "setting", "scale", "axis", "reference", "rows", "footnotes"),
    *("per_class", "profile", "confusion", "also"),
}
_ROW = {"name", "experiment", "overrides", "x", "paper", "per_class", "footnote", "metric", "also"}
_SETTING = {"text", "choices"}
_PER_CLASS = {"metric", "names"}


@dataclass(frozen=True)
class SpecRow:
    """One row: the experiment that computes it (None: the paper's number only) and the paper's numbers, per cent.

    `paper` maps metric names (`val/miou`, `test/miou`, `val/iou/<class>`) to what is printed; `x` is where the row
    stands on the table's axis, None: nowhere; `metric` stands in the table's place in this row, and `also` says which
    of the further columns the row fills, None: all.
    """

    name: str
    experiment: str | None
    overrides: list[str]
    paper: dict[str, float]
    footnote: str | None
    x: float | None = None
    metric: str | None = None
    also: list[str] | None = None


COSTS = ("seconds", "gigabytes")  # columns of what a row takes: wall time of its stages, their highest peak of memory


@dataclass(frozen=True)
class Heading:
    """What stands above and below a table.

    `metric`: of the stage that ends each row; `setting` and `choices`: the data and backbone that the paper's numbers
    hold for, in words and as config groups; `reference`: the row that differences are taken to; `axis`: what the rows'
    x are, where the table is a curve; `profile`: what the names of the values per class are, where these are numbers;
    `confusion`: the row whose confusion matrix is drawn; `also`: further columns, each a metric of the stage that ends
    the row, `STAGE:METRIC` of another stage of the row's method, or one of `COSTS`.
    """

    name: str
    title: str
    source: str
    metric: str
    setting: str
    choices: dict[str, str]
    scale: str
    reference: str | None
    footnotes: list[str]
    axis: str | None = None
    profile: str | None = None
    confusion: str | None = None
    also: list[str] = field(default_factory=list)

    @property
    def per_class(self) -> str:
        """What the names of the metric's values per class begin with; a mean IoU's are the classes' IoU."""
        split, _, name = self.metric.partition("/")
        return f"{split}/iou/" if name.startswith("miou") else f"{self.metric}/"

    @property
    def per_class_title(self) -> str:
        """What they are called."""
        if self.profile is not None:
            return f"By {self.profile}"
        return "IoU per class" if self.per_class.endswith("/iou/") else "Per class"


@dataclass(frozen=True)
class Spec:
    """One table of a paper and the file it stands in."""

    path: Path
    heading: Heading
    rows: list[SpecRow]


def find_spec(file: str) -> Path:
    """The path of a table: `points/table2` stands for `experiments/points/table2.yaml`; a path is taken as it is."""
    folder = project_folder("experiments")
    for path in (folder / f"{file}.yaml", Path(file)):
        if path.is_file():
            return path
    known = ", ".join(f"{path.parent.name}/{path.stem}" for path in sorted(folder.glob("*/*.yaml")))
    raise InputError(f"There is no table {file}: give the path of a YAML file or one of {known or 'none yet'}.")


def read_spec(path: Path) -> Spec:
    """Read a table's YAML file; whatever is wrong with it is an `InputError` that names the file."""
    content = _mapping(_parse(path), str(path), known=_TABLE)
    heading = _heading(content, path)
    rows = content.get("rows")
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{path}: rows: give a list with at least one row.")
    classes = _class_metrics(content.get("per_class"), f"{path}, per_class")
    read = [_row(item, f"{path}, row {number}", heading.metric, classes) for number, item in enumerate(rows, start=1)]
    _check_names([row.name for row in read], {"reference": heading.reference, "confusion": heading.confusion}, path)
    _check_axis(read, heading.axis, path)
    _check_columns(read, heading.also, path)
    return Spec(path=path, heading=heading, rows=read)


def _heading(content: dict[str, Any], path: Path) -> Heading:
    setting = _mapping(content.get("setting") or {}, f"{path}, setting", known=_SETTING)
    return Heading(
        name=f"{path.resolve().parent.name}/{path.stem}",
        title=_text(content, "title", str(path)),
        source=_text(content, "source", str(path)),
        metric=_text(content, "metric", str(path)),
        setting=str(setting.get("text", "")),
        choices=_choices(setting.get("choices"), f"{path}, setting"),
        scale=str(content.get("scale") or "Per cent."),
        reference=content.get("reference"),
        footnotes=_texts(content, "footnotes", str(path)),
        axis=None if content.get("axis") is None else _text(content, "axis", str(path)),
        profile=None if content.get("profile") is None else _text(content, "profile", str(path)),
        confusion=content.get("confusion"),
        also=_texts(content, "also", str(path)),
    )


def _choices(value: Any, where: str) -> dict[str, str]:
    """Config groups and the names in them that the paper's numbers hold for."""
    if value is not None and not isinstance(value, dict):
        raise InputError(f"{where}: choices is {value!r}; give a mapping such as {{data: voc, backbone: vgg16}}.")
    groups = {path.name for path in project_folder("conf").iterdir() if path.is_dir()}
    for group, name in (value or {}).items():
        if group not in groups:
            raise InputError(
                f"{where}: choices: there is no group {group}; the groups are {', '.join(sorted(groups))}."
            )
        if not isinstance(name, str):
            raise InputError(f"{where}: choices: {group} is {name!r}; give the name of a file of conf/{group}.")
    return dict(value or {})


def _parse(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise InputError(f"{path} cannot be read as YAML: it is nested too deep for a table.") from None
    # Beside its own errors PyYAML lets through what Python makes of a date or a number that cannot be.
    except (OSError, ValueError, OverflowError, yaml.YAMLError) as error:
        other = InputError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}")
        raise obstacle(path, error) or other from None


def _class_metrics(value: Any, where: str) -> list[str]:
    """The metrics whose numbers a row's `per_class` lists, in that order."""
    content = _mapping(value or {}, where, known=_PER_CLASS)
    return [f"{_text(content, 'metric', where)}/{name}" for name in _texts(content, "names", where)]


def _row(item: Any, where: str, metric: str, classes: list[str]) -> SpecRow:
    row = _mapping(item, where, known=_ROW)
    name = _text(row, "name", where)
    experiment, paper = row.get("experiment"), row.get("paper")
    if experiment is None and paper is None:
        raise InputError(f"{where} ({name}): give an experiment, the paper's number, or both.")
    printed = {} if paper is None else paper if isinstance(paper, dict) else {metric: paper}
    return SpecRow(
        name=name,
        experiment=None if experiment is None else str(experiment),
        overrides=_texts(row, "overrides", where),
        paper=_numbers(printed | _by_class(row.get("per_class"), classes, where), where),
        footnote=None if row.get("footnote") is None else str(row["footnote"]),
        x=_x(row.get("x"), where),
        metric=None if row.get("metric") is None else _text(row, "metric", where),
        also=None if row.get("also") is None else _texts(row, "also", where),
    )


def _by_class(values: Any, classes: list[str], where: str) -> dict[str, Any]:
    """A row's numbers per class, null where the paper prints none."""
    if values is None:
        return {}
    if not isinstance(values, list) or len(values) != len(classes):
        raise InputError(f"{where}: per_class: give a list of {len(classes)} numbers, one for each of per_class.names.")
    return {name: value for name, value in zip(classes, values, strict=True) if value is not None}


def _x(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{where}: x is {value!r}; give a number.")
    return float(value)


def _numbers(paper: dict[str, Any], where: str) -> dict[str, float]:
    for name, value in paper.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
            raise InputError(f"{where}: paper: {name} is {value!r}; give per cent, 0 to 100.")
    return {str(name): float(value) for name, value in paper.items()}


def _mapping(value: Any, where: str, *, known: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected a mapping with the keys {', '.join(sorted(known))}.")
    if unknown := sorted(str(key) for key in value.keys() - known):
        raise InputError(f"{where}: unknown key {', '.join(unknown)}; the keys are {', '.join(sorted(known))}.")
    return value


def _text(content: dict[str, Any], key: str, where: str) -> str:
    value = content.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: {key} is missing: give it as text.")
    return value.strip()


def _texts(content: dict[str, Any], key: str, where: str) -> list[str]:
    value = content.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InputError(f"{where}: {key}: give a list of texts.")
    return value


def _check_names(names: list[str], named: dict[str, str | None], path: Path) -> None:
    if len(set(names)) < len(names):
        raise InputError(f"{path}: two rows have one name: rename one of them.")
    for key, name in named.items():
        if name is not None and name not in names:
            raise InputError(f"{path}: {key} {name!r} is no row; the rows are {'; '.join(names)}.")


def _check_columns(rows: list[SpecRow], also: list[str], path: Path) -> None:
    for row in rows:
        if unknown := [name for name in row.also or [] if name not in also]:
            known = ", ".join(also) or "none"
            raise InputError(f"{path}: row {row.name!r}: also: {unknown[0]} is no column of the table, only {known}.")


def _check_axis(rows: list[SpecRow], axis: str | None, path: Path) -> None:
    placed = [row for row in rows if row.x is not None]
    if axis is None and placed:
        raise InputError(
            f"{path}: row {placed[0].name!r} has an x, but the table has no axis: say with `axis` what x is."
        )
    if axis is not None and len({row.x for row in placed}) < max(len(placed), 2):
        raise InputError(f"{path}: axis {axis!r}: give at least two rows an x, each another one.")
