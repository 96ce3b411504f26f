"""Settings of a training that would have no effect, or that it could not follow: refused by name when planning."""

from collections.abc import Iterator
from typing import Any

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.calls import processes
from wsss_lightning.pipeline.identity import TRAINS
from wsss_lightning.pipeline.signatures import constant_beside

Node = dict[str, Any]

_LENGTHS = ("max_steps", "max_epochs", "limit_train_batches")
_AT_LEAST = ("min_steps", "min_epochs")  # before an early stop
_HANDED = {"optimizer": ("params", "lr"), "scheduler": ("first", "total")}  # what a network gives them itself


def check_groups(config: Node) -> None:
    """Raise `InputError` for an optimiser, a schedule, a trainer or a callback of a config that cannot be called."""
    for name in ("optimizer", "scheduler", "trainer"):
        _require_target(config.get(name), where=name)
    for name, callback in _callbacks(config):
        _require_target(callback, where=f"callbacks.{name}")


def check_training(node: Node, *, where: str) -> None:
    """Raise `InputError` for what a stage's optimiser, schedule and callbacks are given in vain.

    A stage whose module says `LOGS = {NAME: PARAMETER or None}` logs these metrics, those with a parameter where that
    is not null; a callback can wait for no others.
    """
    for group, names in _HANDED.items():
        given = node.get(group) or {}
        for name in names:
            if name in given:
                raise InputError(f"{where}.{group}.{name}={given[name]} has no effect: {_remedy(node, where=where)}.")
    _check_length(node, where=f"{where}.trainer")
    logs = _logged(node)
    for name, callback in _callbacks(node):
        _require_target(callback, where=f"{where}.callbacks.{name}")
        monitor = callback.get("monitor") if callback else None
        if monitor and logs and monitor not in logs:
            raise InputError(
                f"{where}.callbacks.{name} waits for {monitor}, but this stage logs {', '.join(logs)}: let it monitor "
                f"one of these, or set {where}.callbacks=null."
            )


def _check_length(node: Node, *, where: str) -> None:
    trainer = node.get("trainer") or {}
    stops = "EarlyStopping" in f"{node.get('callbacks')} {trainer.get('callbacks')}"
    for name in _LENGTHS:
        if trainer.get(name) in (0, 0.0) and TRAINS in node:
            raise InputError(f"{where}.{name}={trainer[name]} leaves no step to train: give a positive number.")
    for name in _AT_LEAST:
        if trainer.get(name) and TRAINS in node and not stops:
            raise InputError(
                f"{where}.{name}={trainer[name]} has no effect, since nothing stops this training early: leave it out, "
                f"set {where}.max_{name.partition('_')[2]}, or take callbacks=early_stopping."
            )


def _remedy(node: Node, *, where: str) -> str:
    rate = next((name for name in ("rates", "rate") if name in node), "rate")
    return f"the stage gives the rate of every step itself, so set {where}.{rate}, or that of tuning"


def _callbacks(node: Node) -> Iterator[tuple[str, Any]]:
    callbacks = node.get("callbacks")
    yield from callbacks.items() if isinstance(callbacks, dict) else ()


def _require_target(value: Any, *, where: str) -> None:
    if value is None or (isinstance(value, str) and "${" in value):
        return
    if not isinstance(value, dict) or "_target_" not in value:
        raise InputError(f"{where}={value} names nothing to call: give it a _target_, or null.")


def _logged(node: Node) -> list[str]:
    """Names of the metrics that a stage logs while it trains; empty where its module does not say."""
    logs = constant_beside(node["_target_"], "LOGS") or {}
    known = [name for name, needed in logs.items() if needed is None or node.get(needed) is not None]
    # Classes that devices share are validated when all are trained.
    shared = constant_beside(node["_target_"], "SHARES") == "classes" and processes(node) > 1
    return [name for name in known if not (shared and name.startswith("val/"))]
