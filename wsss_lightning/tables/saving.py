"""A collected table as a file to commit: nothing in it names a folder of this machine."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from wsss_lightning.pipeline.configuration import project_folder
from wsss_lightning.tables.render import table_markdown
from wsss_lightning.tables.results import FAILED, Result, Table, write_table, write_text

_LOCAL = {"paths", "runtime", "logger"}


def results_folder(spec: Path) -> Path:
    """Where the results of a table's file are kept: beside it; of a file that was installed, in the working folder."""
    shipped = project_folder("experiments")
    installed = (shipped.parent / "__init__.py").is_file() and spec.is_relative_to(shipped)
    return Path("experiments", spec.parent.name, "results") if installed else spec.parent / "results"


def save_table(table: Table, folder: Path, *, suffix: str | None) -> Path:
    """Write a table to `folder/<table>-<data>-<backbone>[-suffix].json` and, for reading, to a `.md` beside it."""
    name = "-".join([table.heading.name.rpartition("/")[2], table.data, table.backbone, *([suffix] if suffix else [])])
    path = folder / f"{name}.json"
    kept = portable(table)
    write_table(path, kept)
    write_text(path.with_suffix(".md"), table_markdown(kept))
    return path


def portable(table: Table) -> Table:
    """`table` without anything that names a folder of this machine."""
    rows = [replace(row, results=[_portable(result) for result in row.results]) for row in table.rows]
    return replace(table, overrides=_portable_overrides(table.overrides), store=None, rows=rows)


def _portable(result: Result) -> Result:
    detail = "" if result.status == FAILED else result.detail
    return replace(result, overrides=_portable_overrides(result.overrides), detail=detail)


def _portable_overrides(overrides: list[str]) -> list[str]:
    kept = []
    for override in overrides:
        name, _, value = override.partition("=")
        # Where files lie, workers and dashboards enter no key: no number depends on them.
        if name.lstrip("+~").partition(".")[0] not in _LOCAL:
            kept.append(f"{name}=.../{Path(value).name}" if Path(value).is_absolute() else override)
    return kept


def without_folders(value: Any) -> Any:
    """`value` with the folders of absolute paths cut off, in containers too."""
    if isinstance(value, dict):
        return {name: without_folders(item) for name, item in value.items()}
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value
