"""Models in forms that others can use: a folder for the hub, ONNX, TorchScript; each says what it is."""

import json
import logging
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.module import _jit_is_scripting
from torch import Tensor, nn

from wsss_lightning import models
from wsss_lightning.atomic import replace_file
from wsss_lightning.errors import InputError
from wsss_lightning.inference.model_card import model_card
from wsss_lightning.model_files import SHARED_DESCRIPTION, WEIGHTS, read_description
from wsss_lightning.nn.prediction import Edges
from wsss_lightning.stages.io import write_json

_LEAST = 64  # px, about: of the picture that graphs are traced with
_KEPT = ("stage", "key", "metrics", "finished", "device", "commit", "packages", "python")  # of a stage's record
_TALKATIVE = ("torch.onnx", "onnxscript", "onnx_ir")  # the last two tell each step of their optimiser


def export_shared(model: Path, out: Path, *, trust: Collection[str] = ()) -> list[Path]:
    """Write the model of a folder as one that the Hugging Face hub takes: weights, `config.json` and a model card.

    `load` and `hub.HubModel` read it. Returns what was written.

    Raises:
        InputError: `model` is no folder of a model, or `out` is that folder.
    """
    network = models.load(model, trust=trust)
    if model.resolve() == out.resolve():
        raise InputError(f"{out} is the model itself: give another folder.")
    return write_shared(network, describe_model(model), out)


def write_shared(model: pl.LightningModule, description: Mapping[str, Any], out: Path) -> list[Path]:
    """Write a model with its description as `export_shared` does."""
    models.write_weights(model, out)
    replace_file(out / "README.md", lambda temporary: temporary.write_text(model_card(description), encoding="utf-8"))
    write_json(out / SHARED_DESCRIPTION, description)
    return [out / name for name in (WEIGHTS, SHARED_DESCRIPTION, "README.md")]


def export_graph(model: Path, out: Path, *, trust: Collection[str] = ()) -> list[Path]:
    """Write the model of a folder as a graph, ONNX or TorchScript by the suffix of `out`, and `<out>.json` beside it.

    The graph turns normalised images (N, 3, H, W) into probabilities (N, L, H, W), for N of any size; H and W are those
    that the JSON's `inputs.size` fixes, or else `edges.rest` more than multiples of `edges.multiple`.

    Raises:
        InputError: `model` is no folder of a model, or it labels no pixels, or a package is missing.
    """
    network, description = models.load(model, trust=trust), describe_model(model)
    if not hasattr(network, "probabilities"):
        raise InputError(f"{model} holds a {type(network).__name__}, which labels no pixels: name another stage.")
    edges: Edges = network.edges  # type: ignore[assignment]
    fixed = description["inputs"]["size"]
    write = _write_onnx if out.suffix == ".onnx" else _write_torchscript
    size = (fixed[0], fixed[1]) if isinstance(fixed, list) else edges.nearest((_LEAST, 2 * _LEAST))
    images = torch.zeros(2, 3, *size)
    replace_file(out, lambda temporary: write(network, images, edges, temporary, fixed=isinstance(fixed, list)))
    graph = {
        "format": "onnx" if out.suffix == ".onnx" else "torchscript",
        "images": "float32 (N, 3, H, W): (RGB / 255 - mean) / std",
        "probabilities": "float32 (N, L, H, W), label 0 background",
        "edges": edges._asdict(),
        "threshold": getattr(network, "threshold", None),
    }
    beside = out.with_name(f"{out.name}.json")
    write_json(beside, graph | {name: value for name, value in description.items() if name != "module"})
    return [out, beside]


def describe_model(folder: Path) -> dict[str, Any]:
    """`module`, `inputs`, supervision `card`, `provenance` of the model of a folder, without paths of this machine."""
    description = read_description(folder)
    record = folder / "stage.json"
    if "provenance" not in description and record.is_file():
        content = json.loads(record.read_text())
        description["provenance"] = {name: content[name] for name in _KEPT if content.get(name) is not None}
    card = {name: _without_path(value) for name, value in description.get("card", {}).items()}
    return {"library_name": "wsss-lightning", **description, "card": card}


def _without_path(value: Any) -> Any:
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


class _Graph(nn.Module):
    """A method of a model, such as `probabilities`, as `forward`."""

    def __init__(self, model: pl.LightningModule, method: str = "probabilities") -> None:
        super().__init__()
        self.model, self.method = model, method

    def forward(self, images: Tensor) -> Tensor:
        probs: Tensor = getattr(self.model, self.method)(images)
        return probs


def _write_onnx(model: pl.LightningModule, images: Tensor, edges: Edges, path: Path, *, fixed: bool) -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise InputError("ONNX needs more packages: pip install 'wsss-lightning[export]'.") from None
    method = "onnx_probabilities" if hasattr(model, "onnx_probabilities") else "probabilities"
    with _silent(), _told():
        program = torch.onnx.export(
            _Graph(model, method).eval(),
            (images,),
            dynamo=True,
            dynamic_shapes={"images": _dimensions(edges, fixed=fixed)},
            input_names=["images"],
            output_names=["probabilities"],
            verbose=False,
        )
    assert program is not None
    program.save(path)


def _dimensions(edges: Edges, *, fixed: bool) -> dict[int, Any]:
    """Which dimensions of the images may differ, and how."""
    if fixed:
        return {0: torch.export.Dim.DYNAMIC}
    count = torch.export.Dim("count")
    if edges == Edges():
        return {0: count, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    rows, columns = (torch.export.Dim(name, min=2, max=4096) for name in ("rows", "columns"))
    return {0: count, 2: edges.multiple * rows + edges.rest, 3: edges.multiple * columns + edges.rest}


def _write_torchscript(model: pl.LightningModule, images: Tensor, edges: Edges, path: Path, *, fixed: bool) -> None:  # noqa: ARG001
    with _silent(), _jit_is_scripting(), torch.no_grad():
        # Lightning's own modules hinder tracing but for this.
        graph = torch.jit.trace(_Graph(model).eval(), images, check_trace=False)  # type: ignore[no-untyped-call]
    graph.save(str(path))


@contextmanager
def _told() -> Iterator[None]:
    """What torch cannot convert as a sentence; torch 2.6 knows no enlarging to free sizes."""
    try:
        yield
    except torch.onnx.errors.OnnxExporterError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"torch {torch.__version__} does not write this network as ONNX ({reason}): install a newer one, or take "
            "--to torchscript."
        ) from error


@contextmanager
def _silent() -> Iterator[None]:
    """Without the exporters' remarks on what they do and on the age of TorchScript."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
