"""`wsss predict`: a trained model on one's own pictures and videos."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wsss_lightning.errors import InputError

if TYPE_CHECKING:
    from wsss_lightning.inference.folder import OutputKind

_FIRST = 20  # bad pictures that are named
Model = Annotated[str, typer.Argument(help="A stage of the store (name or key), a model's folder, an exported file.")]
Store = Annotated[Path | None, typer.Option(help="Where runs are; default: paths.root.")]
Trust = Annotated[list[str] | None, typer.Option(help="Package of a third party whose code the model is built of.")]


def predict(
    model: Model,
    pictures: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Images, folders, patterns, videos.")],
    out: Annotated[Path, typer.Option(help="Folder for masks/, overlays/ and classes.json.")],
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Write probabilities/, too.")] = False,
    overlays: Annotated[bool, typer.Option(help="Write overlays/.")] = True,
    scales: Annotated[str, typer.Option(help="Of the pictures, such as 0.75,1,1.25; the mean counts.")] = "1",
    flip: Annotated[bool, typer.Option("--flip", help="Mirror images, too.")] = False,
    crf: Annotated[
        str | None, typer.Option(help="Dense CRF: krahenbuehl, sec, deeplab_v2, coseg; par, which is none; or none.")
    ] = None,
    tags: Annotated[str | None, typer.Option(help="Classes that are there: a,b for all, or a CSV image,tags.")] = None,
    longest: Annotated[int, typer.Option(min=0, help="Longer side, px, that work is done at; 0: any.")] = 1024,
    every: Annotated[int, typer.Option(min=1, help="Take every n-th frame of videos.")] = 1,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, gpu, ...")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that read pictures.")] = 0,
    root: Store = None,
    trust: Trust = None,
) -> None:
    """Label every pixel of pictures of any size: index PNGs and overlays, no data set or store needed."""
    from wsss_lightning.commands.finding import find_model
    from wsss_lightning.inference.pictures import find_pictures

    sizes, field = _numbers(scales), _crf_file(crf)
    path = find_model(model, store_folder(root))
    images, failures = find_pictures(pictures, every=every)

    # Torch: a wrong name need not wait for it.
    from wsss_lightning.inference.folder import label_pictures, read_picture_tags
    from wsss_lightning.inference.labelling import Settings
    from wsss_lightning.inference.loading import load_trained, require_labelling

    settings = Settings(scales=sizes, flip=flip, crf=_crf(field), longest=longest or None)
    trained = load_trained(path, trust=trust or [])
    require_labelling(trained)
    typer.echo(f"model: {path}, {len(trained.inputs.class_names)} classes; pictures: {len(images):,}", err=True)
    contents: list[OutputKind] = ["masks"]
    contents += ["overlays"] if overlays else []
    contents += ["probabilities"] if probabilities else []
    unread = label_pictures(
        trained,
        images,
        out=out,
        inputs=trained.inputs,
        settings=settings,
        tags=None if tags is None else read_picture_tags(tags, trained.inputs.class_names),
        contents=contents,
        accelerator=accelerator,
        workers=workers,
    )
    if len(unread) < len(images):
        typer.echo(f"written to {out}: {', '.join(f'{name}/' for name in contents)}")
    _name([*failures, *unread])


def store_folder(root: Path | None) -> Path:
    """The store below `root`; that of the configuration without one."""
    from wsss_lightning.pipeline.configuration import compose

    return Path(str(compose([]).paths.store)) if root is None else root / "store"


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"scales={text}: give numbers divided by commas, such as 0.75,1,1.25.") from None


def _crf_file(name: str | None) -> Path | None:
    """`conf/crf/<name>.yaml`, None for no field."""
    from wsss_lightning.pipeline.configuration import project_folder

    if name in (None, "none"):
        return None
    choices = {path.stem: path for path in sorted((project_folder("conf") / "crf").glob("*.yaml"))}
    if name not in choices:
        raise InputError(f"There is no CRF {name}: choose from {', '.join(choices)}.")
    return choices[name]


def _crf(path: Path | None) -> Any:
    """The dense CRF of such a file."""
    import yaml

    from wsss_lightning.nn.description import build

    return None if path is None else build(yaml.safe_load(path.read_text()))


def _name(failures: list[str]) -> None:
    """Say what is missing, and end with status 1."""
    if not failures:
        return
    typer.echo(f"{len(failures):,} could not be labelled:", err=True)
    for reason in failures[:_FIRST]:
        typer.echo(f"  {reason}", err=True)
    if len(failures) > _FIRST:
        typer.echo(f"  and {len(failures) - _FIRST:,} more", err=True)
    raise typer.Exit(1)
