"""Whose code a file may call: records of stages and descriptions of models can come from anywhere.

Such a file names classes and functions. Called are those of this project that compute, what its own configurations
name of Lightning, torch's layers and optimisers, and all of the packages that the user trusts; never what reads or
writes files by itself, starts processes or calls further names.
"""

import importlib
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from wsss_lightning.errors import InputError

TRUST = "WSSS_TRUST"  # packages, divided by commas
_OURS = "wsss_lightning"
_ROOMS = frozenset({"data", "methods", "metrics", "nn", "ops", "stages"})
# Of these rooms: what opens or writes whatever file it is told to, or calls what it is told to.
_NEVER = (
    *("data.fingerprint", "data.lists", "data.masks", "data.pickles", "data.prepare", "data.shapes", "data.shape_web"),
    *("nn.description", "stages.io", "stages.loggers"),
)
_LIGHTNING = frozenset(
    {
        "pytorch_lightning.Trainer",
        *(f"pytorch_lightning.loggers.{name}" for name in ("CSVLogger", "TensorBoardLogger", "WandbLogger")),
        *(
            f"pytorch_lightning.callbacks.{name}"
            for name in ("EarlyStopping", "EMAWeightAveraging", "LearningRateMonitor", "RichModelSummary", "Timer")
        ),
    }
)


def trusted(named: Collection[str] = ()) -> frozenset[str]:
    """The packages that the user trusts: `named` ones and those of the environment variable `WSSS_TRUST`."""
    return frozenset(filter(None, [*named, *map(str.strip, os.environ.get(TRUST, "").split(","))]))


@contextmanager
def trusting(named: Collection[str]) -> Iterator[None]:
    """Trust the packages `named`, too, in this process and those that it starts meanwhile."""
    before = os.environ.get(TRUST)
    os.environ[TRUST] = ",".join(sorted(trusted(named)))
    try:
        yield
    finally:
        os.environ.pop(TRUST)
        if before is not None:
            os.environ[TRUST] = before


def find(name: object, *, where: str, trust: Collection[str] = ()) -> Any:
    """The class or function of a dotted name, imported only where it may be called.

    Args:
        name: what the file names.
        where: the file, as messages call it.
        trust: top-level packages that may be called besides those of `WSSS_TRUST`.

    Raises:
        InputError: it is nothing that may be called, or there is no such name.
    """
    text = name if isinstance(name, str) else repr(name)
    module, _, attribute = text.rpartition(".")
    if not module or not all(part.isidentifier() for part in text.split(".")):
        raise InputError(f"{where} names {text[:80]!r} to be called, which is no dotted name: get another copy of it.")
    if not _may_import(text) and text.partition(".")[0] not in trusted(trust):
        raise _foreign(text, where)
    try:
        target = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError):
        raise InputError(
            f"There is no {text} here, which {where} names: install the version of the package that it is of."
        ) from None
    if text.partition(".")[0] not in trusted(trust) and not _may_call(target, text):
        raise _foreign(text, where)
    return target


def require_trust(names: Collection[str], *, where: str) -> None:
    """Raise `InputError` where a model of these classes and functions could not be loaded again, before it is trained.

    `where`: what makes the model, as messages call it.
    """
    packages = {name.partition(".")[0] for name in names} - {_OURS, "torch", "pytorch_lightning"} - trusted()
    if packages:
        package = min(packages)
        raise InputError(
            f"{where} calls code of {package}, and its model will be loaded by those behind it only where that package "
            f"is trusted: set {TRUST}={package} in the environment."
        )


def _foreign(name: str, where: str) -> InputError:
    package = name.partition(".")[0]
    if package == _OURS:
        return InputError(f"{where} calls {name}, which is no stage and no part of one: it is not called.")
    return InputError(
        f"{where} calls {name}, which is code of another package: if you trust the file, name the package in the "
        f"environment, {TRUST}={package} (or with trust=['{package}'] of load, or --trust {package} of wsss rerun, "
        "predict and export)."
    )


def _may_import(name: str) -> bool:
    top, _, rest = name.partition(".")
    if top == _OURS:
        never = any(rest == each or rest.startswith(f"{each}.") for each in _NEVER)
        return rest.partition(".")[0] in _ROOMS and not never
    return name in _LIGHTNING or name.startswith(("torch.nn.", "torch.optim."))


def _may_call(target: Any, name: str) -> bool:
    """Whether it is what it is called: not something that a module of ours has imported for itself."""
    module, _, attribute = name.rpartition(".")
    if name.partition(".")[0] == _OURS:
        return callable(target) and (target.__module__, target.__qualname__) == (module, attribute)
    if name in _LIGHTNING:
        return True
    from torch import nn, optim

    return isinstance(target, type) and issubclass(target, nn.Module | optim.Optimizer | optim.lr_scheduler.LRScheduler)
