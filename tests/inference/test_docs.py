"""docs/predict.md: its lines run, in order, in a folder with a model and a few pictures."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch
from fake_models import picture, save_model
from typer.testing import CliRunner

from wsss_lightning import models
from wsss_lightning.cli import app
from wsss_lightning.data.masks import read_mask
from wsss_lightning.inference.graphs import load_graph

TEXT = (Path(__file__).parents[2] / "docs" / "predict.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|console)\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(torch.__version__.startswith("2.6."), reason="torch 2.6 writes no ONNX of free sizes")
def test_the_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "model", "cam")
    for name in ("photo.jpg", "photos/a.jpg", "more/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture(48, 64).save(tmp_path / name)
    _write_video(tmp_path / "clip.avi")
    space: dict[str, object] = {}
    for language, code in BLOCKS:
        if language == "python":
            exec(code, space)
            continue
        for line in code.splitlines():
            done = CliRunner().invoke(app, shlex.split(line)[1:], catch_exceptions=False)
            assert done.exit_code == 0, done.output
    names = ("a", "b", "photo", "clip/000001", "clip/000003")
    assert all((tmp_path / "labelled" / "masks" / f"{name}.png").is_file() for name in names)
    assert not (tmp_path / "tagged" / "overlays").exists()
    graph, module = load_graph(tmp_path / "graph.onnx")[0], models.load(tmp_path / "model")
    for count, size in ((1, (48, 64)), (2, (80, 32))):
        images = torch.randn(count, 3, *size)
        with torch.inference_mode():
            assert torch.allclose(graph(images), module.probabilities(images), atol=1e-5)
    masks = [read_mask(tmp_path / f"from_{form}" / "masks" / "photo.png") for form in ("shared", "graph", "onnx")]
    assert (masks[0] == masks[1]).mean() > 0.99 and (masks[1] == masks[2]).mean() > 0.99


def _write_video(path: Path) -> None:
    import cv2
    import numpy as np

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 48))
    for number in range(4):
        writer.write(np.array(picture(48, 64, number)))
    writer.release()
