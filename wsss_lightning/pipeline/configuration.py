"""Composition of the Hydra config and resolution of one stage's node into tokens and their bindings.

A resolved node contains tokens such as `<artifact:KEY>` in the place of everything that may differ between two
machines without changing a result. The node with its tokens is what a key hashes; the bindings say what each token
stands for here.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.accelerators import gpus_of_job, jobs_at_once, loading_workers
from wsss_lightning.pipeline.dashboards import kept_offline
from wsss_lightning.pipeline.expansion import expand
from wsss_lightning.pipeline.nearest import nearest
from wsss_lightning.pipeline.origin import Origin
from wsss_lightning.pipeline.overrides import check_overrides

_PACKAGE = Path(__file__).resolve().parents[1]

OUT_DIR = "<out_dir>"
STAGE = "<stage_name>"
LOGGER = "<logger>"
_DASHBOARDS = "wsss_lightning.dashboards."

Resolve = Callable[[str, str], str]  # (kind, argument) -> token


def _outside(kind: str, argument: str) -> str:
    raise InputError(f"${{{kind}:{argument}}} stands outside of `stages`: only a stage can read it.")


_resolve: ContextVar[Resolve] = ContextVar("resolve", default=_outside)


def show_references() -> None:
    """From here on `${artifact:NAME}` and its like outside of stages are themselves, as when a config is printed."""
    register_resolvers()
    _resolve.set(lambda kind, argument: f"<{kind}:{argument}>")


def project_folder(name: str) -> Path:
    """`conf` or `experiments`: at the top of a checkout, or inside the package where a wheel was installed."""
    checkout = _PACKAGE.parent / name
    return checkout if checkout.is_dir() else _PACKAGE / name


def compose(overrides: list[str]) -> DictConfig:
    """The config that `overrides` select; a wrong override is an `InputError` in one sentence."""
    return compose_with_origin(overrides)[0]


def choices(overrides: list[str]) -> dict[str, str]:
    """The file that `overrides` select in each config group, whether they or a method's defaults name it."""
    return compose_with_origin(overrides)[1].choices


def compose_with_origin(overrides: list[str]) -> tuple[DictConfig, Origin]:
    """The config that `overrides` select, and what it is made of."""
    config = _with_hydra(overrides)
    with one_sentence():
        origin = origin_of(config.hydra)
    with open_dict(config):
        del config["hydra"]
    return config, origin


def sweeper_of(overrides: list[str]) -> dict[str, Any]:
    """Hydra's sweeper that `overrides` select, with the settings that a sweep's file varies as its `params`."""
    return plain_dict(_with_hydra(overrides).hydra.sweeper, resolve=False)


def _with_hydra(overrides: list[str]) -> DictConfig:
    conf = project_folder("conf")
    register_resolvers()
    GlobalHydra.instance().clear()
    with one_sentence(), initialize_config_dir(str(conf), version_base="1.3"):
        check_overrides(overrides, conf)
        return hydra_compose("config", overrides=[may_add(text) for text in overrides], return_hydra_config=True)


def may_add(override: str) -> str:
    """`stages.X.y=...` as an override that may also add y: what a stage takes, its function says and not the config."""
    return f"++{override}" if override.startswith("stages.") else override


def origin_of(hydra: DictConfig) -> Origin:
    """What Hydra composed a config from."""
    chosen = {str(group): str(name) for group, name in hydra.runtime.choices.items()}
    folders = [project_folder("conf"), *(Path(str(folder)) for folder in hydra.searchpath)]
    # As typed: what `${artifact:...}` in an override stands for is known inside of a stage alone.
    overrides = plain_dict(hydra.overrides, resolve=False)["task"]
    several = hydra.mode == RunMode.MULTIRUN
    return Origin(chosen, [str(text) for text in overrides], folders, several=several)


def register_resolvers() -> None:
    """Make the resolvers that configs use known to OmegaConf; docs/pipeline.md lists them."""
    for kind in ("artifact", "folder", "weights"):
        OmegaConf.register_new_resolver(kind, _delegate(kind), replace=True)
    OmegaConf.register_new_resolver("shipped", lambda name: str(_PACKAGE / name), replace=True)
    OmegaConf.register_new_resolver("out_dir", lambda: OUT_DIR, replace=True)
    OmegaConf.register_new_resolver("stage_name", lambda: STAGE, replace=True)
    OmegaConf.register_new_resolver("wandb_offline", kept_offline, replace=True)
    OmegaConf.register_new_resolver("jobs_at_once", jobs_at_once, replace=True)
    OmegaConf.register_new_resolver("loading_workers", loading_workers, replace=True)
    OmegaConf.register_new_resolver("gpus_of_job", gpus_of_job, replace=True)


def _delegate(kind: str) -> Callable[[Any], Any]:
    # A weights file may be null (random weights): null is then what the stage gets and what the key hashes.
    optional = kind == "weights"
    return lambda argument: None if argument is None and optional else _resolve.get()(kind, str(argument))


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn errors of Hydra, OmegaConf and YAML into an `InputError`, ours inside them into themselves."""
    try:
        yield
    except OverrideParseException as error:
        name, equals, value = str(error.override).strip("\"'").partition("=")
        if not equals:
            raise InputError(f"{name} cannot be read: write NAME=VALUE.") from error
        quoted = f"""'{name}="{value}"'"""
        raise InputError(
            f"{name}={value} cannot be read: quote a value with =, commas or brackets, {quoted}."
        ) from error
    except (HydraException, OmegaConfBaseException) as error:
        raise _root_cause(error) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{mark.name}, line {mark.line + 1}," if mark else "A file"
        raise InputError(f"{place} cannot be read as YAML: {error.problem}.") from error


def _root_cause(error: BaseException) -> InputError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):
            return cause
        cause = cause.__cause__ or cause.__context__
    text = str(error).partition("Config search path:")[0].replace("\\'", "'")
    lines = [line.strip().rstrip(".:") for line in text.splitlines() if "object_type=" not in line]
    return InputError("; ".join(filter(None, lines)) + nearest(text, project_folder("conf")) + ".")


class Tokens:
    """The config with its `runtime` and `logger` leaves replaced by tokens, and what these tokens stand for.

    The `root` of a data set (a node with a `_target_`) becomes `${folder:...}`, so that whatever path a user gives
    there enters keys by what it holds.
    """

    def __init__(self, config: DictConfig) -> None:
        runtime = plain_dict(config.get("runtime"), resolve=True)
        self.bindings: dict[str, Any] = {LOGGER: None} | {f"<runtime.{name}>": value for name, value in runtime.items()}
        self._logger = config.get("logger")
        masked = plain_dict(config, resolve=False)
        masked |= {"runtime": {name: f"<runtime.{name}>" for name in runtime}, "logger": LOGGER, "_roots_": {}}
        for number, group in enumerate(data_sets(masked)):
            # A reference, not the path itself, which may hold characters that mean something to OmegaConf.
            masked["_roots_"][f"r{number}"], group["root"] = group["root"], f"${{folder:${{_roots_.r{number}}}}}"
        self._masked = OmegaConf.create(masked | {"stages": expand(masked)})

    def node(self, name: str, resolve: Resolve) -> dict[str, Any]:
        """Stage `name` as plain containers, every interpolation resolved, `resolve` asked for the tokens."""
        reset = _resolve.set(resolve)
        try:
            node = plain_dict(self._masked.stages[name], resolve=True)
        finally:
            _resolve.reset(reset)
        # As JSON reads it, since a record and a process of a group get it from there: keys of mappings are strings.
        return dict(json.loads(json.dumps(node)))

    def loggers(self) -> dict[str, Any]:
        """The `logger` node with its references resolved; stage and `${out_dir:}` are still tokens."""
        return plain_dict(self._logger, resolve=True)

    def logger(self, stage: str) -> Any:
        """The loggers of a stage; dashboards are not for stages but for the job."""
        own = {name: node for name, node in self.loggers().items() if not of_job(node)}
        return bind(own, {STAGE: stage})


def of_job(node: Any) -> bool:
    """Whether an entry of `logger` is a dashboard, which shows a job as a whole."""
    return isinstance(node, dict) and str(node.get("_target_", "")).startswith(_DASHBOARDS)


def data_sets(node: Any) -> list[dict[str, Any]]:
    """The nodes that have a `_target_` and a `root` which is given."""
    if not isinstance(node, dict):
        return []
    own = [node] if "_target_" in node and node.get("root", "???") != "???" else []
    return own + [data_set for child in node.values() for data_set in data_sets(child)]


def plain_dict(config: DictConfig | None, *, resolve: bool) -> dict[str, Any]:
    """A config node as a plain dictionary, empty for null; with `resolve`, nothing may be left open in it."""
    if config is None:
        return {}
    container = OmegaConf.to_container(config, resolve=resolve, throw_on_missing=resolve)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def bind(node: Any, bindings: dict[str, Any]) -> Any:
    """`node` with every token replaced by what it stands for; a token alone keeps its value's type.

    A value may hold tokens in its turn: a logger's folder is `<out_dir>`.
    """
    if isinstance(node, dict):
        return {key: bind(value, bindings) for key, value in node.items()}
    if isinstance(node, list):
        return [bind(value, bindings) for value in node]
    if not isinstance(node, str) or "<" not in node:
        return node
    if node in bindings:
        others = {token: value for token, value in bindings.items() if token != node}
        return bind(bindings[node], others)
    for token, value in bindings.items():
        node = node.replace(token, str(value)) if token in node else node
    return node


def used(node: Any, bindings: dict[str, Any]) -> dict[str, Any]:
    """Those of `bindings` whose token occurs somewhere in `node`."""
    if isinstance(node, dict | list):
        inner = node.values() if isinstance(node, dict) else node
        return {k: v for value in inner for k, v in used(value, bindings).items()}
    return {token: value for token, value in bindings.items() if isinstance(node, str) and token in node}
