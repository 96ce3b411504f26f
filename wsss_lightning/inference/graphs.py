"""Exported graphs, ONNX and TorchScript, as modules that predict like those that they were exported of."""

import json
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from wsss_lightning.errors import InputError
from wsss_lightning.models import Inputs
from wsss_lightning.nn.prediction import Edges, Prediction, best_labels
from wsss_lightning.ops.resize import resize_maps

RunGraph = Callable[[Tensor], Tensor]
SUFFIXES = (".onnx", ".pt")


class GraphModule(pl.LightningModule):
    """A graph from normalised images to probabilities; `takes`: the sizes of images that it takes."""

    def __init__(self, run: RunGraph, *, takes: Edges, threshold: float | None) -> None:
        super().__init__()
        self.run, self.takes, self.threshold = run, takes, threshold

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) -> probabilities (N, L, H, W)."""
        return self.run(images)

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[Prediction]:  # noqa: ARG002
        sizes = [(height, width) for height, width in batch["size"].tolist()]
        return [
            Prediction(image_id, best_labels(probs, size, threshold=self.threshold), {"probabilities": probs})
            for image_id, probs, size in zip(batch["image_id"], self(batch["image"]), sizes, strict=True)
        ]

    def reading(self, stored: dict[str, Tensor], size: tuple[int, int]) -> Tensor:
        """Probabilities (L, *size)."""
        return resize_maps(stored["probabilities"][None], size)[0]


def load_graph(path: Path) -> tuple[GraphModule, Inputs]:
    """The graph of a file that `wsss export` wrote, and what the JSON file beside it says that it expects.

    Raises:
        InputError: a file is missing or damaged, or onnxruntime is not installed.
    """
    description = read_graph_description(path)
    run = _onnx(path) if path.suffix == ".onnx" else _torchscript(path)
    module = GraphModule(run, takes=Edges(**description["edges"]), threshold=description["threshold"])
    return module.eval(), Inputs(**description["inputs"])


def read_graph_description(path: Path) -> dict[str, Any]:
    """The JSON file beside a graph."""
    beside = path.with_name(f"{path.name}.json")
    if not path.is_file():
        raise InputError(f"{path} does not exist: give a file that `wsss export` wrote.")
    try:
        description: dict[str, Any] = json.loads(beside.read_text())
    except (OSError, ValueError):
        raise InputError(f"{beside} is missing or damaged: keep it beside {path.name}, as it was exported.") from None
    return description


def _onnx(path: Path) -> RunGraph:
    try:
        onnxruntime: Any = import_module("onnxruntime")  # whose names are not exported in the sense of mypy
    except ImportError:
        raise InputError(f"{path} needs onnxruntime: pip install 'wsss-lightning[export]'.") from None
    wanted = {"CUDAExecutionProvider", "CPUExecutionProvider"}
    providers = [name for name in onnxruntime.get_available_providers() if name in wanted]
    try:
        session = onnxruntime.InferenceSession(path, providers=providers)
    except Exception as error:  # onnxruntime's errors have no common base
        raise InputError(f"{path} cannot be read ({error}): export the model again.") from None
    return lambda images: torch.from_numpy(session.run(None, {"images": images.cpu().numpy()})[0])


def _torchscript(path: Path) -> RunGraph:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch.jit's age
            graph: RunGraph = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read ({reason}): export the model again.") from None
    return graph
