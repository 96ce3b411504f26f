"""Settings that no stage reads: a misspelt key in a file would otherwise be an ablation without effect."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from wsss_lightning.errors import InputError

Node = dict[str, Any]

_GROUPS = ("method", "source", "tuning", "experiment", "ablation", "sweep")  # whose files are checked
# What is read outside of stages, or is a data set, a network, a field of a config group that a method may leave alone.
_ELSEWHERE = {
    *(
        "stages",
        "given",
        "card",
        "result",
        "seed",
        "hydra",
        "paths",
        "runtime",
        "logger",
        "trainer",
        "run",
        "objective",
    ),
    *("optimizer", "scheduler", "callbacks"),
    *("data", "source", "target", "crf", "stand_ins", "scenes", "maps_of_source"),
}
_BACKBONE = {"weights", "mean", "std", "trained_on", "network"}
_INNERMOST = re.compile(r"\$\{([^${}]*)\}")
_ASSIGNED = re.compile(r"\+*([\w.]+)=")


@dataclass(frozen=True)
class Origin:
    """What a composed config is made of: Hydra's choices by group, the command line, folders with config files."""

    choices: dict[str, str]
    overrides: list[str]
    folders: list[Path]

    def settings(self) -> Iterator[tuple[str, str]]:
        """Every place and the dotted names of the values that are given there; choices of groups are none."""
        for path in self._files():
            yield from ((str(path), key) for key in _keys(path))
        for match in filter(None, map(_ASSIGNED.match, self.overrides)):
            if not any((folder / match[1]).is_dir() for folder in self.folders):
                yield "command line", match[1]

    def _files(self) -> list[Path]:
        names = [f"{group}/{name}" for group, name in self.choices.items()]
        for group, _, value in (override.partition("=") for override in self.overrides):
            names += [
                f"{group}/{name.strip()}" for name in value.strip("[]").split(",")
            ]  # a list is no choice to Hydra
        paths: list[Path] = []
        while names:
            name = names.pop(0)
            for path in (folder / f"{name}.yaml" for folder in self.folders if name.split("/")[0] in _GROUPS):
                if path.is_file() and path not in paths:
                    paths.append(path)
                    names += _included(path)
        return paths

    def described(self) -> dict[str, Any]:
        """The choices, with all ablations that are in force: those of an experiment and those of the command line."""
        files = [path.with_suffix("").parts[-3:] for path in self._files()]
        return {**self.choices, "ablations": ["/".join(parts[1:]) for parts in files if parts[0] == "ablation"]}

    def variants(self) -> list[Any]:
        """Stages, card and section as the method's own files say them: what one reads may be of no use to others."""
        method = self.choices.get("method", "")
        patterns = (f"method/{method}.yaml", f"ablation/{method}/*.yaml", f"experiment/{method}/*.yaml")
        paths = [path for folder in self.folders for pattern in patterns for path in sorted(folder.glob(pattern))]
        return [_content(path).get(part) for path in paths for part in ("stages", "given", "card", method)]

    def check_backbone(self, config: Node) -> None:
        """Raise `InputError` where the method has no settings for the backbone; it names those that it has some for."""
        method, backbone = self.choices.get("method", ""), self.choices.get("backbone", "")
        tuned = {path.stem for folder in self.folders for path in (folder / "tuning" / method).glob("*.yaml")}
        if not tuned or backbone in tuned or ("tuning" in config and "network" in config.get("backbone", {})):
            return
        files = [path for folder in self.folders for path in (folder / "backbone").glob("*.yaml")]
        generic = {path.stem for path in files if _has_network(path)}
        fitting = sorted(tuned | (generic if "tuning" in config else set()))
        raise InputError(
            f"method={method} has no settings for backbone={backbone}: take one of {', '.join(fitting)}, or write "
            f"conf/tuning/{method}/{backbone}.yaml."
        )


def check_read(config: Node, stages: dict[str, Node], origin: Origin) -> None:
    """Every setting that a job's files and command line give is read by a stage, be its result asked for or not.

    Args:
        config: composed, its interpolations unresolved.
        stages: its stages, spelled out (`expand`).
        origin: where the settings come from.

    Raises:
        InputError: one is not read; it names the file and the key.
    """
    read = _references([stages, config.get("card"), *origin.variants()], config)
    parameters = {name for node in stages.values() for name in node}
    for place, key in origin.settings():
        top, _, rest = key.partition(".")
        if top == "given" and rest.split(".")[0] not in parameters:
            raise InputError(f"{place}: {key}: no stage has a parameter of this name: check its spelling.")
        elsewhere = top in _ELSEWHERE or (top == "backbone" and rest.split(".")[0] in _BACKBONE)
        if not elsewhere and not any(_overlap(key, path) for path in read):
            raise InputError(f"{place}: no stage reads {key}: check its spelling, and whether it is of this method.")


def _included(path: Path) -> Iterator[str]:
    """Files that the defaults list of a file names in a group of its own, as `/ablation/points: [top, k5]`."""
    entries = [item for item in _content(path).get("defaults", []) if isinstance(item, dict)]
    for group, value in (pair for item in entries for pair in item.items() if str(pair[0]).startswith("/")):
        yield from (f"{group[1:]}/{name}" for name in (value if isinstance(value, list) else [value]))


def _has_network(path: Path) -> bool:
    content = _content(path)
    parents = [path.with_name(f"{name}.yaml") for name in content.get("defaults", []) if isinstance(name, str)]
    return "network" in content or any(_has_network(parent) for parent in parents if parent.is_file())


def _content(path: Path) -> Node:
    return _parsed(path.read_text(encoding="utf-8"))


@cache
def _parsed(text: str) -> Node:
    """All rows of a table read the same files; libyaml, where PyYAML has it, takes a tenth of the time."""
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}


def _keys(path: Path) -> list[str]:
    """Dotted names of the values that a file gives, under the package that its first line names."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    package = first.removeprefix("# @package ") if first.startswith("# @package ") else "_global_"
    prefix = "" if package == "_global_" else f"{package}."
    content = {key: value for key, value in _content(path).items() if key != "defaults"}
    return [prefix + key for key in _leaves(content)]


def _leaves(node: Any) -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, dict) and value and "_target_" not in value:
            yield from (f"{key}.{rest}" for rest in _leaves(value))
        else:
            yield str(key)


def _references(nodes: list[Any], config: Node) -> set[str]:
    """Dotted names of all that `nodes` refer to, directly or not; `*` where a part of a name is a setting itself."""
    read: set[str] = set()
    waiting = list(nodes)
    while waiting:
        for text in _texts(waiting.pop()):
            new = {name: node for name, node in _named(text, config) if name not in read}
            read |= new.keys()
            waiting += new.values()
    return read


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _texts(child)
    elif isinstance(node, str) and "${" in node:
        yield node


def _named(text: str, config: Node) -> Iterator[tuple[str, Any]]:
    """Name and node of what the interpolations in `text` refer to, inner ones, which may be part of a name, first."""
    spelled = pattern = text  # the same text, with values and with `*` in the place of interpolations done
    while (match := _INNERMOST.search(spelled)) and (other := _INNERMOST.search(pattern)):
        path, name = (_path(each[1]) for each in (match, other))
        node = select(config, path)
        value = node if isinstance(node, str | int | float) and "${" not in str(node) else ""
        spelled = f"{spelled[: match.start()]}{value}{spelled[match.end() :]}"
        pattern = f"{pattern[: other.start()]}*{pattern[other.end() :]}"
        if path:
            yield name, node


def _path(interpolation: str) -> str:
    """The dotted name in `a.b[0]` or `oc.select:a.b,default`; empty for all other resolvers."""
    resolver, colon, arguments = interpolation.partition(":")
    named = arguments.split(",")[0] if resolver == "oc.select" else "" if colon else interpolation
    return named.replace("[", ".").replace("]", "").strip()


def select(config: Node, path: str) -> Any:
    """The node at a dotted name, None where there is none."""
    node: Any = config
    for part in path.split("."):
        if isinstance(node, list):
            node = node[int(part)] if part.isdigit() and int(part) < len(node) else None
        else:
            node = node.get(part) if isinstance(node, dict) else None
    return node


def _overlap(key: str, name: str) -> bool:
    pairs = zip(key.split("."), name.split("."), strict=False)
    return all(part == other or other == "*" for part, other in pairs)
