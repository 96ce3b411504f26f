"""Which stages a result needs, in which order, and the key of each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig

from wsss_lightning.backends import check_backend
from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.calls import arguments, check_image_size, check_trainer
from wsss_lightning.pipeline.configuration import (
    LOGGER,
    OUT_DIR,
    Tokens,
    bind,
    compose_with_origin,
    of_job,
    one_sentence,
    plain_dict,
    register_resolvers,
    used,
)
from wsss_lightning.pipeline.contents import count_and_first, lost, read_whole
from wsss_lightning.pipeline.expansion import check_artifacts, expand
from wsss_lightning.pipeline.fingerprints import FINGERPRINTS, reading_fingerprint
from wsss_lightning.pipeline.identity import key_of, with_current_targets
from wsss_lightning.pipeline.inputs import check_inputs
from wsss_lightning.pipeline.origin import Origin
from wsss_lightning.pipeline.readings import Reading, readers, reading_of, words
from wsss_lightning.pipeline.signatures import check_node
from wsss_lightning.pipeline.store import changed_sources, in_progress, read_record
from wsss_lightning.pipeline.teams import Team
from wsss_lightning.pipeline.training import check_groups, check_training
from wsss_lightning.pipeline.unread import check_read
from wsss_lightning.pipeline.values import check_values

_SHOWN = 3  # files of changed code that a status names
_IN_NAME = 16  # digits of a key


@dataclass(frozen=True)
class PlannedStage:
    """One stage of a plan: its node with tokens, what they stand for here, and where its output lies."""

    name: str
    key: str
    folder: Path
    node: dict[str, Any]
    bindings: dict[str, Any]
    upstream: dict[str, str]

    def record(self) -> dict[str, Any] | None:
        """The finished stage's `stage.json`, None where it has not finished; `InputError` where it has lost files."""
        return read_whole(self.folder)

    def reads(self) -> list[Path]:
        """Folders of the stages that this one reads."""
        return [self.folder.with_name(f"{name}-{key[:_IN_NAME]}") for name, key in self.upstream.items()]

    def status(self) -> str:
        """`cached`, `cached, code changed: FILES`, `damaged: ...`, `running` (elsewhere), `half done` or `to run`."""
        record = read_record(self.folder)
        if record is None and in_progress(self.folder):
            return "running"
        if record is None:
            return "half done" if self.folder.is_dir() else "to run"
        if missing := lost(record, self.folder):
            return f"damaged: {count_and_first(missing)} lost or changed"
        return cached(record)


def cached(record: dict[str, Any]) -> str:
    """`cached`, or `cached, code changed: FILES` where code of today is not what computed this record."""
    changed = changed_sources(record)
    others = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    return f"cached, code changed: {', '.join(changed[:_SHOWN])}{others}" if changed else "cached"


@dataclass(frozen=True)
class Plan:
    """The stages that `result` needs, upstream first, and the supervision card of what they compute.

    `loggers`: of stages and of the job; `choices`: the file of each config group; `backend`: of per-image work;
    `team`: the machines that stages on several machines are computed on; `root`: everything is written below it.
    """

    stages: dict[str, PlannedStage]
    result: str
    card: dict[str, Any]
    config: dict[str, Any]
    loggers: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)
    backend: str = "loky"
    team: Team | None = None
    root: Path = Path()

    @property
    def run(self) -> dict[str, Any]:
        """How dashboards call this job: `name`, `group`, `tags`, and what a sweep `varied`."""
        return dict(self.config.get("run") or {})

    @property
    def devices(self) -> int:
        """How many devices of a machine its stages take; 0 where they compute on CPUs or name which they take."""
        trainers = [trainer for stage in self.stages.values() if (trainer := stage.node.get("trainer"))]
        asked = [trainer.get("devices", 1) for trainer in trainers if trainer.get("accelerator") != "cpu"]
        return max([count for count in asked if isinstance(count, int)], default=0)

    @property
    def dashboards(self) -> dict[str, Any]:
        """Those of `loggers` that show the job as a whole."""
        return {name: node for name, node in self.loggers.items() if of_job(node)}

    def called(self, **run: Any) -> "Plan":
        """The same plan under another name, where none was given on the command line."""
        kept = {name: value for name, value in self.run.items() if value}
        return replace(self, config={**self.config, "run": {**run, **kept}})

    @property
    def final(self) -> PlannedStage:
        """The stage that ends the pipeline."""
        return self.stages[self.result]

    def described(self, name: str) -> str:
        """The resolved node of a stage as YAML: what its function is called with, tokens where machines may differ."""
        if name not in self.stages:
            raise InputError(f"{self.result} needs no stage {name}; it needs {', '.join(self.stages)}.")
        return yaml.safe_dump(self.stages[name].node, sort_keys=False, allow_unicode=True)


_Fingerprints = tuple[dict[Path, str], dict[Reading, str]]
_seen: list[_Fingerprints] = []  # of blocks in one another
_commands: dict[object, _Fingerprints] = {}


@contextmanager
def looking_once(command: object = None) -> Iterator[None]:
    """Inside, plans look at a data set or a file of weights once; so do all blocks of the same `command`."""
    _seen.append(_commands.setdefault(command, ({}, {})) if command is not None else ({}, {}))
    try:
        yield
    finally:
        _seen.pop()


def plan(overrides: list[str], *, several: bool = False) -> Plan:
    """Plan what `overrides` select; raises `InputError` for everything that can be known before running.

    `several`: they hold for rows of other methods, too, of which some may read a `source` that this one does not.
    """
    config, origin = compose_with_origin(overrides)
    return plan_config(config, replace(origin, several=several or origin.several))


def plan_config(config: DictConfig, origin: Origin | None = None) -> Plan:
    """Plan a composed config; with `origin`, a setting that no stage reads is an `InputError`."""
    register_resolvers()
    _require_forms(config)
    with nullcontext() if origin is None else origin.naming_files(), one_sentence():
        if origin is not None:
            _check(plain_dict(config, resolve=False), origin)
        result = str(config.result)
        planner = Planner(config)
        planner.key(result)
        card = plain_dict(config.get("card"), resolve=True)
        loggers = planner.tokens.loggers()
        runtime = plain_dict(config.get("runtime"), resolve=True)
        check_backend(backend := str(runtime.get("backend", Plan.backend)))
    return Plan(
        stages=planner.stages,
        result=result,
        card=card,
        config=plain_dict(config, resolve=False),
        loggers=loggers,
        choices={} if origin is None else origin.described(),
        backend=backend,
        team=Team(planner.store, str(runtime.get("team", "default")), runtime.get("address")),
        root=Path(str(config.paths.get("root", ""))),
    )


def _require_forms(config: DictConfig) -> None:
    for name in ("stages", "given", "card", "paths", "runtime", "logger"):
        value = config.get(name) if name == "stages" else config.get(name) or {}
        if not isinstance(value, DictConfig | dict):
            raise InputError(f"{name}={value}: a mapping is needed, so set what stands below it.")
    for name in ("root", "store"):
        if config.paths.get(name, "") is None:
            raise InputError(f"paths.{name}=null: give a folder.")


def _check(config: dict[str, Any], origin: Origin) -> None:
    origin.check_methods()
    origin.check_ablations()
    origin.check_backbone(config)
    check_groups(config)
    stages = expand(config)
    check_read(config, stages, origin)
    check_artifacts(stages)
    for name, node in stages.items():
        check_node(arguments(node), where=f"stages.{name}")


class Planner:
    """Depth-first over `${artifact:NAME}` references: a stage is planned after those that it refers to."""

    def __init__(self, config: DictConfig) -> None:
        self.store = Path(config.paths.store).resolve()
        self.known = [str(name) for name in config.stages]
        self.tokens = Tokens(config)
        self.stages: dict[str, PlannedStage] = {}
        self.open: list[str] = []
        self.fingerprints, self.readings = _seen[-1] if _seen else ({}, {})

    def key(self, name: str) -> str:
        if name in self.open:
            raise InputError(f"The stages {' -> '.join([*self.open, name])} form a cycle: remove one reference.")
        if name not in self.known:
            reader = f", which {self.open[-1]} reads" if self.open else ""
            raise InputError(f"There is no stage {name}{reader}; the stages are {', '.join(self.known)}.")
        if name not in self.stages:
            self.open.append(name)
            self.stages[name] = self._plan(name)
            self.open.pop()
        return self.stages[name].key

    def _plan(self, name: str) -> PlannedStage:
        references: dict[str, tuple[str, str]] = {}
        node = with_current_targets(self.tokens.node(name, partial(_note, references)))
        roots = self._key_roots(node, references)
        places = {token: self._place(kind, argument) for token, (kind, argument) in used(node, references).items()}
        node = bind(node, {token: keyed for token, (keyed, _) in places.items()})
        check_node(arguments(node), where=f"stages.{name}")
        check_inputs(node, where=f"stages.{name}")
        check_trainer(node, where=f"stages.{name}")
        check_training(node, where=f"stages.{name}")
        key = key_of(node)
        folder = self.store / f"{name}-{key[:_IN_NAME]}"
        bindings = self.tokens.bindings | roots | {keyed: str(path) for keyed, path in places.values()}
        bindings |= {OUT_DIR: str(folder), LOGGER: self.tokens.logger(name)}
        check_values(bind(node, bindings), where=f"stages.{name}")
        check_image_size(node, where=f"stages.{name}")
        upstream = {argument: self.key(argument) for kind, argument in references.values() if kind == "artifact"}
        return PlannedStage(name, key, folder, node, used(node, bindings), upstream)

    def _key_roots(self, node: dict[str, Any], references: dict[str, tuple[str, str]]) -> dict[str, str]:
        """Name the roots of known readers in `node` by what is read there; returns the paths that they stand for."""
        paths: dict[str, str] = {}
        for reader in readers(node):
            path = Path(references[reader["root"]][1]).resolve() if reader["root"] in references else None
            reading = reading_of(reader, root=path, asked=words(node)) if path and path.is_dir() else None
            if path is None or reading is None:
                continue
            if reading not in self.readings:
                self.readings[reading] = self._guarded(path, partial(reading_fingerprint, reading))
            reader["root"] = f"<folder:{self.readings[reading]}>"
            paths[reader["root"]] = str(path)
        return paths

    def _place(self, kind: str, argument: str) -> tuple[str, Path]:
        """The token that enters the key, and the path that it stands for."""
        if kind == "artifact":
            return f"<artifact:{self.key(argument)}>", self.stages[argument].folder
        path = Path(argument).resolve()
        if path not in self.fingerprints:
            self.fingerprints[path] = self._guarded(path, partial(FINGERPRINTS[kind], path))
        return f"<{kind}:{self.fingerprints[path]}>", path

    def _guarded(self, path: Path, fingerprint: Callable[..., str]) -> str:
        if self.store.is_relative_to(path):
            raise InputError(f"The store {self.store} lies inside the data {path}: set paths.root to another folder.")
        try:
            return fingerprint(cache=self.store / ".fingerprints")
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error}): give this account the right to read it.") from error


def _note(references: dict[str, tuple[str, str]], kind: str, argument: str) -> str:
    # Artifacts are planned after the node is resolved: a resolver inside a resolver inside ... ends at Python's limit.
    if argument.startswith("<") or (kind == "weights" and _is_name(argument)):
        return argument
    token = f"<{kind}:{argument}>"
    references[token] = kind, argument
    return token


def _is_name(weights: str) -> bool:
    """Whether `weights` is a library's name for published weights (`IMAGENET1K_V1`) and not the path of a file."""
    return not Path(weights).suffix and len(Path(weights).parts) == 1 and not Path(weights).exists()
