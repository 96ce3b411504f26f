"""`wsss store`: look after finished stages."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsss_lightning.errors import InputError

if TYPE_CHECKING:
    from wsss_lightning.pipeline.inventory import Holding

app = typer.Typer(help="Look after finished stages.", no_args_is_help=True, rich_markup_mode=None)
Store = Annotated[Path | None, typer.Option("--store", help="The store; default: paths.store.")]
Roots = Annotated[
    list[Path] | None, typer.Option("--runs", help="Where runs are kept; default: paths.root, or beside --store.")
]
Stages = Annotated[list[str], typer.Argument(help="Names, folders, first digits of keys of stages.")]
Some = Annotated[list[str] | None, typer.Argument(help="Names, folders, first digits of keys; default: all.")]
Yes = Annotated[bool, typer.Option("--yes", help="Delete; without it, only say what would go.")]


def _places(store: Path | None, roots: list[Path] | None) -> tuple[Path, list[Path]]:
    from wsss_lightning.pipeline import compose

    if store is not None:
        return store, roots or [store.resolve().parent]
    paths = compose([]).paths
    return Path(str(paths.store)), roots or [Path(str(paths.root))]


@app.command()
def verify(
    stages: Annotated[
        list[str] | None, typer.Argument(help="Names, folders, first digits of keys; default: all.")
    ] = None,
    folder: Store = None,
) -> None:
    """Hash every file of finished stages and name those that are lost or changed; status 1 if there are any."""
    from wsss_lightning.pipeline.contents import verified

    place, _ = _places(folder, None)
    counts = {"whole": 0, "damaged": 0, "without a list of files": 0}
    for name, verdict, files in verified(place, stages or []):
        counts[verdict] += 1
        for file in files:
            typer.echo(f"{name}: {file}")
    typer.echo(f"{place}: " + ", ".join(f"{count:,} {verdict}" for verdict, count in counts.items()))
    if counts["damaged"]:
        typer.echo("put back what was there, or compute a damaged stage again: wsss run ... --fresh STAGE")
        raise typer.Exit(1)


@app.command("ls")
def show(
    stages: Annotated[
        list[str] | None, typer.Argument(help="Names, folders, first digits of keys; default: all.")
    ] = None,
    folder: Store = None,
    roots: Roots = None,
) -> None:
    """List stages, the largest first: size, key, what each is, and the latest run that used it."""
    from wsss_lightning.pipeline.inventory import chosen, holdings, referring

    place, runs = _places(folder, roots)
    held, users = holdings(place), referring(runs)
    picked = chosen(held, stages) if stages else held
    for item in sorted(picked, key=lambda item: -item.size):
        readers = users.get(item.folder.name, [])
        more = f" and {len(readers) - 1} more" if len(readers) > 1 else ""
        used = f"used by {readers[-1]}{more}" if readers else "no run refers to it"
        state = "" if item.finished else "half done, "
        typer.echo(f"{_bytes(item.size):>9}  {item.folder.name}  {item.name}  ({state}{used})")
    typer.echo(f"{place}: {len(picked):,} stages, {_bytes(sum(item.size for item in picked))}")


def _bytes(size: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"


@app.command()
def gc(
    keep: Annotated[
        list[str] | None, typer.Option(help="Overrides whose stages stay, 'experiment=... data=...'; repeatable.")
    ] = None,
    days: Annotated[float, typer.Option(min=0, help="What was finished in so many last days stays.")] = 1.0,
    delete: Yes = False,
    folder: Store = None,
    roots: Roots = None,
) -> None:
    """Name the finished stages that no run, collected table or --keep refers to; delete them with --yes."""
    from wsss_lightning.pipeline.inventory import days_ago, holdings, referring, unreferenced

    place, runs = _places(folder, roots)
    kept = {*referring(runs), *(name for overrides in keep or [] for name in _planned(overrides))}
    _delete(unreferenced(holdings(place), kept, before=days_ago(days)), delete=delete)


def _planned(overrides: str) -> list[str]:
    import shlex

    from wsss_lightning import pipeline

    return [stage.folder.name for stage in pipeline.plan(shlex.split(overrides)).stages.values()]


@app.command()
def rm(
    stages: Stages,
    downstream: Annotated[bool, typer.Option("--downstream", help="Also every stage that reads them.")] = False,
    delete: Yes = False,
    folder: Store = None,
) -> None:
    """Delete stages; those that others read only together with these."""
    from wsss_lightning.pipeline.inventory import chosen, dependents, holdings

    held = holdings(_places(folder, None)[0])
    picked = chosen(held, stages)
    readers = dependents(held, {item.folder.name for item in picked})
    if readers and not downstream:
        raise InputError(f"{readers[0].folder.name} and {len(readers) - 1} more stages read these: add --downstream.")
    _delete([*picked, *readers], delete=delete)


def _delete(holdings: "Sequence[Holding]", *, delete: bool) -> None:
    from wsss_lightning.pipeline.inventory import remove

    for item in holdings:
        typer.echo(f"{_bytes(item.size):>9}  {item.folder.name}  {item.name}")
    size = _bytes(sum(item.size for item in holdings))
    if not delete:
        typer.echo(f"{len(holdings):,} stages, {size}: nothing was deleted{', add --yes to do so' if holdings else ''}")
        return
    left = [item.folder.name for item, gone in remove(holdings) if not gone]
    for name in left:
        typer.echo(f"{name} is being computed and stays", err=True)
    typer.echo(f"{len(holdings) - len(left):,} stages deleted of {size}")


@app.command("export")
def export_(
    target: Annotated[Path, typer.Argument(help="The tar file to write; compressed if it ends in gz.")],
    sources: Annotated[list[str], typer.Argument(help="Names or folders of stages, folders of runs or sweeps.")],
    upstream: Annotated[bool, typer.Option(help="With all stages that they read.")] = True,
    folder: Store = None,
) -> None:
    """Write stages with their records, and runs with theirs, to a tar file for another machine."""
    from wsss_lightning.pipeline.archive import export_archive
    from wsss_lightning.pipeline.inventory import chosen, holdings, stages_of_run, with_upstream

    held = holdings(_places(folder, None)[0])
    runs = {Path(source): stages_of_run(Path(source)) for source in sources}
    named = [name for source, stages in runs.items() for name in stages or [str(source)]]
    names = {item.folder.name for item in chosen(held, named)}
    picked = [item for item in held if item.folder.name in (with_upstream(held, names) if upstream else names)]
    export_archive(target, [item.folder for item in picked], [source for source, stages in runs.items() if stages])
    typer.echo(f"{target}: {len(picked):,} stages, {_bytes(sum(item.size for item in picked))}")


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="A tar file of wsss store export.")],
    folder: Store = None,
    roots: Roots = None,
) -> None:
    """Take stages and runs of another machine over; each file is compared with its record first."""
    from wsss_lightning.pipeline.archive import import_archive

    place, runs = _places(folder, roots)
    new, there = import_archive(source, place, runs[0])
    for name in new:
        typer.echo(name)
    typer.echo(f"{len(new):,} taken over to {place}, {len(there):,} were there")
