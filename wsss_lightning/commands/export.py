"""`wsss export`: a trained model in a form that others can use."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wsss_lightning.commands.predict import Model, Store, Trust, store_folder
from wsss_lightning.errors import InputError
from wsss_lightning.model_files import WEIGHTS


class Form(StrEnum):
    """What `wsss export` writes."""

    SAFETENSORS = "safetensors"
    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"


_SUFFIX = {Form.SAFETENSORS: "", Form.ONNX: ".onnx", Form.TORCHSCRIPT: ".pt"}
_OF_FILES = (".onnx", ".pt", ".pth", ".safetensors")


def export(
    model: Model,
    to: Annotated[Form, typer.Option(help="safetensors: a folder as on the Hugging Face hub.")],
    out: Annotated[Path | None, typer.Option(help="Folder or file; default: NAME, NAME.onnx or NAME.pt here.")] = None,
    root: Store = None,
    trust: Trust = None,
) -> None:
    """Write a model as a folder for the hub, an ONNX or a TorchScript file, with classes, normalisation and card."""
    from wsss_lightning.commands.finding import find_model

    given = None if out is None else _named_for(to, out)
    path = find_model(model, store_folder(root))
    place = given or _named_for(to, Path(path.name.rpartition("-")[0] or path.name))
    from wsss_lightning.inference.export import export_graph, export_shared  # torch: a wrong name need not wait for it

    write = export_shared if to is Form.SAFETENSORS else export_graph
    replaced = ", in the place of what was there" if (place / WEIGHTS).exists() or place.is_file() else ""
    written = write(path, place, trust=trust or [])
    typer.echo(f"written to {', '.join(map(str, written))}{replaced}")


def _named_for(to: Form, out: Path) -> Path:
    """`out` with the suffix of a form; `InputError` where it has that of another one."""
    suffix = _SUFFIX[to]
    if out.suffix.lower() in _OF_FILES and out.suffix != suffix:
        kind = f"a {suffix} file" if suffix else "a folder"
        raise InputError(f"--out {out}: --to {to} writes {kind}: give {out.with_suffix(suffix)}, or another --to.")
    if not suffix or out.suffix == suffix:
        return out
    if not out.name:
        raise InputError(f"--out {out}: --to {to} writes a {suffix} file: give its name.")
    return out.with_name(f"{out.name}{suffix}")
