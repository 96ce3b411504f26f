"""Weights from anywhere: what is read, and what is said of what is not."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from wsss_lightning.errors import InputError
from wsss_lightning.nn.states import load_weights, read_state_file
from wsss_lightning.nn.vgg import VGG, from_torchvision


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def _state() -> dict[str, Tensor]:
    return {key: value.clone() for key, value in _network().state_dict().items()}


def _prefixed(prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{key}": value for key, value in _state().items()}


WRAPPED: dict[str, Callable[[], Any]] = {
    "bare": _state,
    "state_dict": lambda: {"epoch": 3, "state_dict": _state(), "best_prec1": 0.5},
    "model": lambda: {"model": _state()},
    "two around": lambda: {"model": {"state_dict": _state()}, "args": [1]},
    "module.": lambda: _prefixed("module."),
    "module. in state_dict": lambda: {"epoch": 1, "state_dict": _prefixed("module.")},
    "Lightning": lambda: {"state_dict": _prefixed("model."), "global_step": 3, "loops": {}},
    "compiled and parallel": lambda: _prefixed("module._orig_mod."),
}


@pytest.mark.parametrize("form", WRAPPED)
def test_what_is_around_the_weights_is_taken_off(form: str, tmp_path: Path) -> None:
    torch.save(WRAPPED[form](), tmp_path / "a.pth")
    network, state = _network(), read_state_file(tmp_path / "a.pth")
    nn.init.zeros_(network[0].weight)
    load_weights(network, state, source="a.pth")
    assert all(torch.equal(value, _state()[key]) for key, value in network.state_dict().items())


def test_half_precision_and_safetensors_are_read(tmp_path: Path) -> None:
    half = {f"module.{key}": v.bfloat16() if v.is_floating_point() else v for key, v in _state().items()}
    save_file(half, tmp_path / "a.safetensors")
    network = _network()
    load_weights(network, read_state_file(tmp_path / "a.safetensors"), source="a")
    assert torch.equal(network[0].weight, _state()["0.weight"].bfloat16().float())


def _saved(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def _script() -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(nn.Linear(1, 1), torch.zeros(1, 1)), file)
    return file.getvalue()


PTH: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "cannot be read, it is damaged"),
    "noise": (lambda: bytes(range(256)) * 20, "cannot be read, it is damaged|something else"),
    "HTML": (lambda: b"<!DOCTYPE html><html></html>", "cannot be read, it "),
    "cut": (lambda: _saved(_state())[:700], "cannot be read, it is damaged"),
    "a whole network": (lambda: _saved(nn.Linear(1, 1)), "it holds torch.nn.modules.linear.Linear, which is neither"),
    "a path": (lambda: _saved({"a": Path("x")}), r"it holds pathlib\.\w+, which is neither a tensor nor plain data"),
    "a program": (_script, "TorchScript"),
    "a list": (lambda: _saved([torch.ones(1)]), "holds a list, no weights by name"),
    "a tensor": (lambda: _saved(torch.ones(1)), "holds a Tensor, no weights"),
    "a number": (lambda: _saved(3), "holds a int"),
    "nothing by name": (lambda: _saved({}), "holds an empty dictionary"),
    "a list by name": (lambda: _saved({"state_dict": [1]}), "holds a dictionary of state_dict: list, no weights"),
    "numbers by name": (lambda: _saved({"a": 1, "b": "x"}), "a dictionary of a: int, b: str"),
    "keys that are numbers": (lambda: _saved({1: torch.ones(1)}), "a dictionary of 1: Tensor"),
    "around without end": (
        lambda: _saved({"model": {"model": {"model": {"model": {"model": {}}}}}}),
        "holds a diction",
    ),
}


@pytest.mark.parametrize("fault", PTH)
def test_a_file_that_holds_no_weights(fault: str, tmp_path: Path) -> None:
    make, message = PTH[fault]
    (tmp_path / "a.pth").write_bytes(make())
    with pytest.raises(InputError, match=rf"a\.pth .*{message}") as error:
        read_state_file(tmp_path / "a.pth")
    text = str(error.value)
    assert "\n" not in text and "weights_only" not in text and "http" not in text and len(text) < 450


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\xff\xff\xff\xff\xff\xff\xff\x7f{}", b"<html>", None, 0, 40])
def test_a_damaged_safetensors_file(content: bytes | int | None, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(_state(), path)
    if isinstance(content, int):
        path.write_bytes(path.read_bytes()[: -1 if content == 0 else content])
    else:
        path.write_bytes(_saved(_state()) if content is None else content)
    with pytest.raises(
        InputError, match=r"a\.safetensors cannot be read, it is damaged or no safetensors file"
    ) as error:
        read_state_file(path)
    assert "\n" not in str(error.value)


def _with(key: str, value: Tensor) -> dict[str, Tensor]:
    return _state() | {key: value}


MISFITS: dict[str, tuple[dict[str, Tensor], str]] = {
    "missing": ({}, r"it lacks 0\.weight \(and 6 more\): give"),
    "other names": ({"a.weight": torch.ones(1)}, r"it lacks 0\.weight \(and 6 more\); a\.weight fits nothing"),
    "many others": (_prefixed("x."), r"lacks 0\.weight \(and 6 more\); x\.0\.weight \(and 6 more\) fits nothing"),
    "another shape": (_with("0.bias", torch.ones(4)), r"0\.bias has the shape \(4,\), not \(3,\)"),
    "nan": (_with("0.weight", torch.full((3, 2), torch.nan)), r"values in 0\.weight that are nan or infinite"),
    "infinite": (_with("1.running_var", torch.full((3,), torch.inf)), r"values in 1\.running_var that are nan or"),
    "complex": (_with("0.weight", torch.ones(3, 2) * 1j), r"complex64 numbers in 0\.weight"),
    "integers": (_with("0.weight", torch.ones(3, 2).long()), r"int64 numbers in 0\.weight: give weights in floating"),
    "truth values": (_with("0.bias", torch.ones(3).bool()), r"bool numbers in 0\.bias"),
}


@pytest.mark.parametrize("fault", MISFITS)
def test_weights_that_do_not_fit_are_named(fault: str) -> None:
    state, message = MISFITS[fault]
    network = _network()
    with pytest.raises(InputError, match=rf"^w\.pth .*{message}"):
        load_weights(network, state, source="w.pth")
    assert all(torch.equal(value, _state()[key]) for key, value in network.state_dict().items())


def test_layers_that_published_files_fill_with_nan_are_named_by_the_caller() -> None:
    network = nn.ModuleDict({"net": nn.ModuleDict({"fc6": nn.Linear(1, 1)})})
    state = {key: torch.full_like(value, torch.nan) for key, value in network.state_dict().items()}
    load_weights(network, state, source="w", may_be_nan=["fc6"])
    with pytest.raises(InputError, match=r"net\.fc6\.weight"):
        load_weights(network, state, source="w")


@pytest.mark.parametrize("shape", [(8, 512, 2), (10, 999), (4096, 25089)])
def test_a_vgg_with_another_classifier_is_refused_by_name(shape: tuple[int, ...]) -> None:
    network = VGG(widths=(2, 2, 2, 2, 2), fc6_kernel=7, hidden=4, num_classes=2)
    state = {f"features.0.{k}": v for k, v in network.convolutions[0].state_dict().items()}
    renamed = from_torchvision(state | {"classifier.0.weight": torch.empty(shape), "classifier.0.bias": torch.ones(1)})
    assert renamed["fc6.weight"].shape == shape
    with pytest.raises(InputError, match="does not fit VGG, it lacks"):
        load_weights(network, renamed, source="w")
