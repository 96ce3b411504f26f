"""Weights as files bring them: found in what was saved around them, freed of prefixes, checked, put into networks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wsss_lightning.errors import InputError
from wsss_lightning.tensors import UnreadableError, load_pickle, load_tensors

State = dict[str, Tensor]
# What training scripts put around a state dict, and what wrapped networks put before its keys.
_AROUND = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
_PREFIXES = ("module.", "model.", "state_dict.", "_orig_mod.")
_DEEPEST = 4
UNTRAINED = ("fc6", "fc7", "fc8")  # layers that a published VGG-16 lacks and fills with nan


def read_state_file(path: Path) -> State:
    """The state dict of a file: `.safetensors`, or what `torch.save` wrote.

    A dictionary around it (`state_dict`, `model`, ...) and prefixes that all keys share (`module.` of DataParallel,
    `model.` of Lightning) are taken off.

    Raises:
        InputError: the file is damaged or holds no state dict.
    """
    try:
        content = load_tensors(path) if path.suffix == ".safetensors" else load_pickle(path)
    except UnreadableError as error:
        raise InputError(
            f"{path} cannot be read, it {error}: save the network's state_dict(), or copy the file again."
        ) from None
    return _without_prefixes(_unwrapped(content, path))


def _unwrapped(content: Any, path: Path) -> State:
    for _ in range(_DEEPEST):
        if _is_state(content):
            return dict(content)
        around = [name for name in _AROUND if isinstance(content, Mapping) and isinstance(content.get(name), Mapping)]
        if not around:
            break
        content = content[around[0]]
    raise InputError(f"{path} holds {_described(content)}, no weights by name: save the network's state_dict().")


def _is_state(content: Any) -> bool:
    if not isinstance(content, Mapping) or not content:
        return False
    return all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items())


def _described(content: Any) -> str:
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    if not content:
        return "an empty dictionary"
    kinds = [f"{str(key)[:40]}: {type(value).__name__}" for key, value in list(content.items())[:3]]
    return f"a dictionary of {', '.join(kinds)}"


def _without_prefixes(state: State) -> State:
    while prefix := next((p for p in _PREFIXES if all(key.startswith(p) for key in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def load_weights(
    network: nn.Module, state: Mapping[str, Tensor], *, source: str, may_be_nan: Collection[str] = ()
) -> None:
    """Copy `state` into `network`; what the network has no place for is left out.

    Args:
        network: any.
        state: tensors by the names of the network's own.
        source: what messages call the weights.
        may_be_nan: names of layers that published files lack and fill with nan instead.

    Raises:
        InputError: keys are missing, shapes differ, or a weight is no finite real number; the first of each is named.
    """
    own = network.state_dict()
    missing, unexpected = [key for key in own if key not in state], [key for key in state if key not in own]
    if missing:
        surplus = f"; {_first(unexpected)} fits nothing" if unexpected else ""
        raise _misfit(network, source, f"it lacks {_first(missing)}{surplus}")
    if wrong := [key for key in own if own[key].shape != state[key].shape]:
        has, needs = tuple(state[wrong[0]].shape), tuple(own[wrong[0]].shape)
        raise _misfit(network, source, f"{_first(wrong)} has the shape {has}, not {needs}")
    for key, value in own.items():
        if value.is_floating_point():
            layer = key.rpartition(".")[0].rpartition(".")[2]
            _check_numbers(state[key], key, source, may_be_nan=layer in may_be_nan)
    network.load_state_dict({key: state[key] for key in own})


def _misfit(network: nn.Module, source: str, reason: str) -> InputError:
    return InputError(f"{source} does not fit {type(network).__name__}, {reason}: give weights of this network.")


def _first(keys: list[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{keys[0]} (and {len(keys) - 1} more)"


def _check_numbers(values: Tensor, key: str, source: str, *, may_be_nan: bool) -> None:
    if not values.is_floating_point():
        kind = str(values.dtype).removeprefix("torch.")
        raise InputError(f"{source} has {kind} numbers in {key}: give weights in floating point.")
    if not may_be_nan and not bool(torch.isfinite(values).all()):
        raise InputError(f"{source} has values in {key} that are nan or infinite: its training failed, take another.")
