from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_models import METHODS, NAMES, picture, save_model

import wsss_lightning
from wsss_lightning import models
from wsss_lightning.errors import InputError
from wsss_lightning.inference.export import export_graph, export_shared
from wsss_lightning.inference.graphs import load_graph

SLOW = [pytest.param(method, ".onnx", marks=pytest.mark.long) for method in METHODS]


@pytest.mark.parametrize(("method", "suffix"), [*((method, ".pt") for method in METHODS), *SLOW])
def test_graphs_give_the_probabilities_of_the_module_at_two_sizes(tmp_path: Path, method: str, suffix: str) -> None:
    folder = save_model(tmp_path / "model", method)
    path, beside = export_graph(folder, tmp_path / f"graph{suffix}")
    graph, _ = load_graph(path)
    model, own = models.load(folder), models.read_inputs(folder)
    sizes = [tuple(own.size)] if method == "points" else [model.edges.nearest(size) for size in ((50, 70), (90, 40))]
    for count, size in enumerate(sizes, start=1):
        images = torch.randn(count, 3, *size)
        with torch.inference_mode():
            assert torch.allclose(graph(images), model.probabilities(images), atol=1e-5)
    written = json.loads(beside.read_text())
    assert written["inputs"]["class_names"] == list(own.class_names) and written["inputs"]["mean"] == [0.5] * 3
    for height, width in ((41, 60), (75, 52)):  # of any size, as `wsss predict` uses them
        expected = wsss_lightning.load(folder).predict(picture(height, width)).probabilities
        probs = wsss_lightning.load(path).predict(picture(height, width)).probabilities
        assert probs.shape == expected.shape and np.abs(probs - expected).mean() < 0.03, method


def test_an_export_says_nothing_of_its_steps_and_leaves_loggers_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loggers = [logging.getLogger(name) for name in ("onnxscript.optimizer", "onnx_ir.passes")]

    class Program:
        def save(self, path: Path) -> None:
            path.touch()

    def talks(*_: object, **__: object) -> Program:
        for logger in loggers:
            logger.info("Skipping constant folding")
            logger.error("a fault")
        return Program()

    def told() -> list[str]:
        return [record.message for record in caplog.records if record.name in {logger.name for logger in loggers}]

    monkeypatch.setattr(torch.onnx, "export", talks)
    folder = save_model(tmp_path / "model", "cam")
    with caplog.at_level(logging.INFO):
        export_graph(folder, tmp_path / "a.onnx")
        assert told() == ["a fault"] * 2
        talks()
    assert "Skipping constant folding" in told()


def test_a_shared_folder_is_the_model_and_says_what_it_is(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", "cam")
    content = json.loads((folder / "model.json").read_text())
    card = {"supervision": "image tags", "initial_weights": "/home/someone/weights.pth", "seed": 0}
    (folder / "model.json").write_text(json.dumps(content | {"card": card}))
    record = {"stage": "student", "key": "0123", "metrics": {"val/tag_ap": 0.5}, "commit": "abc", "node": {"a": "/x"}}
    (folder / "stage.json").write_text(json.dumps(record))
    export_shared(folder, tmp_path / "shared")
    expected = wsss_lightning.load(folder).predict(picture(40, 56)).mask
    for path in (tmp_path / "shared", tmp_path / "shared" / "model.safetensors"):
        assert np.array_equal(wsss_lightning.load(path).predict(picture(40, 56)).mask, expected)
    config, text = (tmp_path / "shared" / "config.json").read_text(), (tmp_path / "shared" / "README.md").read_text()
    assert json.loads(config)["provenance"]["metrics"] == {"val/tag_ap": 0.5}
    assert text.startswith("---\nlibrary_name: wsss-lightning\n")
    for words in ("- supervision: image tags", "- val/tag_ap: 0.5", "- commit: abc", "weights.pth", *NAMES):
        assert words in text
    assert "/home/someone" not in text + config


def test_the_hubs_mixin_reads_and_writes_it_offline(tmp_path: Path) -> None:
    hub = pytest.importorskip("wsss_lightning.inference.hub", reason="needs huggingface_hub")
    folder = save_model(tmp_path / "model", "priors")
    export_shared(folder, tmp_path / "shared")
    expected = wsss_lightning.load(folder).predict(picture(40, 56)).mask
    first = hub.HubModel.from_pretrained(str(tmp_path / "shared"))
    first.save_pretrained(tmp_path / "again")
    for name in ("config.json", "README.md", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "shared" / name).read_bytes()
    second = hub.HubModel.from_pretrained(tmp_path / "again")
    assert np.array_equal(second.predict(picture(40, 56)).mask, expected)
    first.save_pretrained(tmp_path / "shared")  # over what it was read from
    assert np.array_equal(wsss_lightning.load(tmp_path / "shared").predict(picture(40, 56)).mask, expected)


def test_what_cannot_be_exported_or_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_model(tmp_path / "model", "cam")

    def fails(*_: object, **__: object) -> None:
        raise torch.onnx.errors.OnnxExporterError("no symbols\nmore")

    monkeypatch.setattr(torch.onnx, "export", fails)
    with pytest.raises(InputError, match=r"does not write this network as ONNX \(no symbols\): install a newer one"):
        export_graph(folder, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()
    with pytest.raises(InputError, match="another folder"):
        export_shared(folder, folder)
    with pytest.raises(InputError, match="no folder of a trained model"):
        export_graph(tmp_path, tmp_path / "a.pt")
    (tmp_path / "a.pt").write_bytes(b"no graph")
    with pytest.raises(InputError, match=r"a\.pt\.json is missing"):
        wsss_lightning.load(tmp_path / "a.pt")
    path, _ = export_graph(folder, tmp_path / "a.pt")
    path.write_bytes(b"no graph")
    with pytest.raises(InputError, match="export the model again"):
        wsss_lightning.load(path)
