"""Which stages a result needs, in which order, and the key of each."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from wsss_lightning.errors import InputError
from wsss_lightning.pipeline.configuration import LOGGER, OUT_DIR, Tokens, compose, one_sentence, used
from wsss_lightning.pipeline.fingerprints import file_fingerprint, folder_fingerprint
from wsss_lightning.pipeline.signatures import check_node
from wsss_lightning.pipeline.store import changed_sources, read_record


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
        """The finished stage's `stage.json`, or None where it has not finished."""
        return read_record(self.folder)

    def status(self) -> str:
        """`cached`, `cached, code changed: FILES`, `half done` or `to run`."""
        record = self.record()
        if record is None:
            return "half done" if self.folder.is_dir() else "to run"
        changed = changed_sources(record)
        return f"cached, code changed: {', '.join(changed)}" if changed else "cached"


@dataclass(frozen=True)
class Plan:
    """The stages that `result` needs, upstream first, and the supervision card of what they compute."""

    stages: dict[str, PlannedStage]
    result: str
    card: dict[str, Any]
    config: dict[str, Any]

    @property
    def final(self) -> PlannedStage:
        """The stage that ends the pipeline."""
        return self.stages[self.result]


def plan(overrides: list[str]) -> Plan:
    """Plan what `overrides` select; raises `InputError` for everything that can be known before running."""
    return plan_config(compose(overrides))


def plan_config(config: DictConfig) -> Plan:
    """Plan a composed config."""
    planner = _Planner(config)
    with one_sentence():
        result = str(config.result)
        planner.key(result)
        card = OmegaConf.to_container(config.get("card") or OmegaConf.create({}), resolve=True)
        plain = OmegaConf.to_container(config, resolve=False)
    assert isinstance(card, dict) and isinstance(plain, dict)
    return Plan(
        stages=planner.stages,
        result=result,
        card={str(key): value for key, value in card.items()},
        config={str(key): value for key, value in plain.items()},
    )


class _Planner:
    """Depth-first over `${artifact:NAME}` references: resolving a node plans what it refers to."""

    def __init__(self, config: DictConfig) -> None:
        with one_sentence():
            self.store = Path(config.paths.store).resolve()
        self.known = list(config.stages)
        self.tokens = Tokens(config)
        self.stages: dict[str, PlannedStage] = {}
        self.open: list[str] = []

    def key(self, name: str) -> str:
        if name in self.open:
            raise InputError(f"The stages {' -> '.join([*self.open, name])} form a cycle: remove one reference.")
        if name not in self.known:
            raise InputError(f"There is no stage {name}; the stages are {', '.join(self.known)}.")
        if name not in self.stages:
            self.open.append(name)
            self.stages[name] = self._plan(name)
            self.open.pop()
        return self.stages[name].key

    def _plan(self, name: str) -> PlannedStage:
        bindings = dict(self.tokens.bindings)
        upstream: dict[str, str] = {}

        def resolve(kind: str, argument: str) -> str:
            if (kind == "weights" and _is_name(argument)) or argument.startswith("<"):
                return argument
            if kind == "artifact":
                upstream[argument] = self.key(argument)
                token, bindings[token] = f"<artifact:{upstream[argument]}>", str(self.stages[argument].folder)
            else:
                token = f"<{kind}:{self._fingerprint(kind, Path(argument))}>"
                bindings[token] = str(Path(argument).resolve())
            return token

        node = self.tokens.node(name, resolve)
        check_node({key: value for key, value in node.items() if key != "revision"}, where=f"stages.{name}")
        key = hashlib.sha256(json.dumps(node, sort_keys=True).encode()).hexdigest()
        folder = self.store / f"{name}-{key[:16]}"
        bindings |= {OUT_DIR: str(folder), LOGGER: self.tokens.logger(name)}
        return PlannedStage(name, key, folder, node, used(node, bindings), upstream)

    def _fingerprint(self, kind: str, path: Path) -> str:
        if self.store in path.parents:  # ${folder:} around an artifact: its name already ends in its key
            return path.name
        if kind == "weights":
            return file_fingerprint(path)
        return folder_fingerprint(path, cache=self.store / ".fingerprints")


def _is_name(weights: str) -> bool:
    """Whether `weights` is a library's name for published weights (`IMAGENET1K_V1`) and not the path of a file."""
    return not Path(weights).suffix and len(Path(weights).parts) == 1 and not Path(weights).exists()
