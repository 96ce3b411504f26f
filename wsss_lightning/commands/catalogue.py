"""`wsss list`: what there is to choose from, a line each."""

from collections.abc import Iterator
from pathlib import Path

import typer

from wsss_lightning.pipeline.configuration import project_folder

_GROUPS = {  # heading, folder below conf/ and what selects one of its files
    "methods": ("method", "method="),
    "ablations": ("ablation", "ablation="),
    "experiments": ("experiment", "experiment="),
    "sweeps": ("sweep", "-m sweep="),
    "backbones": ("backbone", "backbone="),
    "data sets": ("data", "data="),
    "sources": ("source", "source="),
}


def catalogue() -> None:
    """List methods, ablations, experiments, sweeps, backbones, data sets and tables, each in a line."""
    for heading, (group, prefix) in _GROUPS.items():
        _print(heading, prefix, _described(project_folder("conf") / group))
    tables = project_folder("experiments")
    _print("tables", "wsss table ", [(name, text) for name, text in _described(tables) if name.count("/") == 1])


def _print(heading: str, prefix: str, described: list[tuple[str, str]]) -> None:
    typer.echo(f"{heading}:")
    width = max((len(name) for name, _ in described), default=0)
    for name, text in described:
        typer.echo(f"  {prefix}{name:<{width}}  {text}".rstrip())


def _described(folder: Path) -> list[tuple[str, str]]:
    paths = sorted(folder.rglob("*.yaml"))
    return [(path.relative_to(folder).with_suffix("").as_posix(), next(_sentences(path), "")) for path in paths]


def _sentences(path: Path) -> Iterator[str]:
    """A table's title, or the first comment of a file of conf/ that says what it is."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("title: "):
            yield line.removeprefix("title: ").strip("\"'")
        elif line.startswith("# ") and not line.startswith("# @package"):
            yield line.removeprefix("# ")
