"""`wsss export`: a trained model in a form that others can use."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wsss_lightning.commands.predict import Model, Store, Trust, store_folder


class Form(StrEnum):
    """What `wsss export` writes."""

    SAFETENSORS = "safetensors"
    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"


def export(
    model: Model,
    to: Annotated[Form, typer.Option(help="safetensors: a folder as on the Hugging Face hub.")],
    out: Annotated[Path | None, typer.Option(help="Folder or file; default: NAME, NAME.onnx or NAME.pt here.")] = None,
    root: Store = None,
    trust: Trust = None,
) -> None:
    """Write a model as a folder for the hub, an ONNX or a TorchScript file, with classes, normalisation and card."""
    from wsss_lightning.inference.export import export_graph, export_shared
    from wsss_lightning.inference.loading import find_model

    path = find_model(model, store_folder(root))
    name = Path(path.name.rpartition("-")[0] or path.name)
    if to is Form.SAFETENSORS:
        written = export_shared(path, out or name, trust=trust or [])
    else:
        suffix = ".onnx" if to is Form.ONNX else ".pt"
        written = export_graph(path, (out or name).with_suffix(suffix), trust=trust or [])
    typer.echo(f"written to {', '.join(map(str, written))}")
