"""Networks, losses and settings as plain data, so that a file of weights says how to build what they belong to.

A description is what Hydra instantiates, too: `{"_target_": dotted name, "_partial_": bool, argument: ...}`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass
from functools import partial, wraps
from inspect import signature
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from torch import nn

from wsss_lightning.trust import find

_WHERE = "the description of a model"
# Names that models were saved under -> today's.
_LOSSES = "wsss_lightning.nn.tag_losses"
_COSEG = "wsss_lightning.methods.coseg.frozen_segmenter"
_MOVED = {
    f"{_COSEG}.read_scores": f"{_COSEG}.mean_probabilities",
    "wsss_lightning.methods.cam.classifier.TagClassifier": "wsss_lightning.stages.tag_classifier.TagClassifier",
    "wsss_lightning.methods.priors.localization.sigmoid_cross_entropy": f"{_LOSSES}.sigmoid_cross_entropy",
    "wsss_lightning.methods.priors.localization.softmax_cross_entropy": f"{_LOSSES}.softmax_cross_entropy",
}
Node = dict[str, Any]
Parameters = ParamSpec("Parameters")
Made = TypeVar("Made", bound=nn.Module)


def described(make: Callable[Parameters, Made]) -> Callable[Parameters, Made]:
    """Decorator of a function that builds a network: the network knows its call as `description`, without `weights`.

    Published weights are not asked for again where a trained network is built: its own are loaded into it.
    """

    @wraps(make)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Made:
        network = make(*args, **kwargs)
        given = dict(signature(make).bind(*args, **kwargs).arguments)
        without = {name: None if name == "weights" else describe(value) for name, value in given.items()}
        network.description = {"_target_": _name(make), **without}  # type: ignore[assignment]
        return network

    return call


def describe(value: Any) -> Any:
    """Plain data that `build` makes `value` of again.

    Raises:
        TypeError: `value` is neither plain data, a function, a `partial`, a dataclass nor a `described` network.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(value, partial) and not value.args:
        return {"_target_": _name(value.func), "_partial_": True, **describe(value.keywords)}
    if isinstance(getattr(value, "description", None), dict):
        return value.description
    if is_dataclass(value) and not isinstance(value, type):
        own = {field.name: describe(getattr(value, field.name)) for field in fields(value) if field.init}
        return {"_target_": _name(type(value)), **own}
    if callable(value) and hasattr(value, "__qualname__") and "<" not in value.__qualname__:
        return {"_target_": _name(value), "_partial_": True}
    raise TypeError(f"{value!r} cannot be described: build networks by functions that are `described`.")


def build(node: Any, *, trust: Collection[str] = ()) -> Any:
    """What a description describes; values that are no descriptions come back as they are.

    Args:
        node: from `describe`, or what it describes.
        trust: top-level packages whose functions may be called besides what `trust.find` admits.

    Raises:
        InputError: a name is of another package, or is not there.
    """
    if isinstance(node, list):
        return [build(item, trust=trust) for item in node]
    if not isinstance(node, dict):
        return node
    arguments = {name: build(item, trust=trust) for name, item in node.items() if name not in {"_target_", "_partial_"}}
    if "_target_" not in node:
        return arguments
    function = find(_MOVED.get(node["_target_"], node["_target_"]), where=_WHERE, trust=trust)
    if node.get("_partial_"):
        return partial(function, **arguments) if arguments else function
    return function(**arguments)


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"
