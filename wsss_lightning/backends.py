"""Where per-image work runs: in processes of this machine (loky), or on a Ray or Dask cluster through joblib."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from wsss_lightning.errors import InputError

_EXTRAS = {"loky": (), "ray": ("ray",), "dask": ("distributed",)}  # what must be installed; an extra has that name
_DEATHS = {"TerminatedWorkerError", "ActorDiedError", "RayActorError", "WorkerCrashedError", "KilledWorker"}
_current: ContextVar[str] = ContextVar("backend", default="loky")


def check_backend(name: str) -> None:
    """Raise `InputError` for a backend that there is not, or that is not installed."""
    if name not in _EXTRAS:
        raise InputError(f"runtime.backend={name}: there is no such backend; take one of {', '.join(_EXTRAS)}.")
    if any(importlib.util.find_spec(module) is None for module in _EXTRAS[name]):
        raise InputError(
            f"runtime.backend={name}: {name} is not installed; pip install 'wsss-lightning[{name}]', or take loky."
        )


@contextmanager
def working_on(name: str) -> Iterator[None]:
    """Inside, `parallel.in_parallel` works on backend `name`; nothing is started before there is work for it."""
    check_backend(name)
    reset = _current.set(name)
    try:
        yield
    finally:
        _current.reset(reset)


@contextmanager
def connected() -> Iterator[bool]:
    """Inside, joblib works on the backend in force, which is started or connected to; whether results come one by one.

    Ray is the cluster that RAY_ADDRESS names, or one of this machine; Dask that of DASK_SCHEDULER_ADDRESS, or one of
    this machine. Either lasts as long as this process.
    """
    import joblib  # a plan, which only checks the name, need not wait for it

    name = _current.get()
    if name != "loky":  # which starts its processes itself
        {"ray": _ray, "dask": _dask}[name]()
    with joblib.parallel_config(backend=name):  # type: ignore[no-untyped-call]
        yield name != "ray"


def killed(error: Exception) -> bool:
    """Whether a worker process of any backend has died, most likely for want of memory."""
    return type(error).__name__ in _DEATHS


def _ray() -> None:
    import ray
    from ray.util.joblib import register_ray

    if not ray.is_initialized():
        # None would be the last that was started on this machine, even if it has ended.
        address = os.environ.get("RAY_ADDRESS", "local")
        try:
            ray.init(address, logging_level="error", log_to_driver=False)
        except ConnectionError as error:
            raise InputError(f"runtime.backend=ray: {error}: see that the cluster of RAY_ADDRESS runs.") from error
    register_ray()


def _dask() -> None:
    from distributed import Client, default_client

    try:
        default_client()
    except ValueError:  # there is none yet
        Client(set_as_default=True, threads_per_worker=1)
